//! What goes into the core and what comes out.

use crate::checkpoint::{Checkpoint, Stored};
use crate::engine::batch::Batch;
use crate::{Partition, Record, RestoreError};
use schema::Millis;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// The group gave us a partition, to be read from `start.from`.
    Assigned(Partition, Start),
    /// The group wants partitions back; ours until released.
    Revoked(Vec<Partition>),
    /// Partitions are someone else's already.
    Lost(Vec<Partition>),
    /// A record was read.
    Record(Record),
    /// There is nothing more to be read at the moment.
    Dry,
    /// Time has passed; any steady clock does.
    Tick(Millis),
    /// The batch on its way was committed.
    Committed,
    /// The batch on its way was given up and nothing of it can be seen; here it is again.
    Aborted(Batch),
    /// A checkpoint is safe in its store.
    Persisted(Partition),
    /// A checkpoint could not be stored.
    NotPersisted(Partition),
    /// Commit what is folded, release everything, end.
    Stop,
}

/// Where a partition's new owner begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// First offset to be read.
    pub from: i64,
    /// First offset whose outputs are wanted; below it they were written before.
    pub live_from: i64,
    /// State at `from`; without one the operator starts empty.
    pub checkpoint: Option<Stored>,
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Write outputs and offsets in one transaction; then say `Committed` or `Aborted`. Emit and commit in one.
    Commit(Batch),
    /// Store a checkpoint; then say `Persisted` or `NotPersisted`.
    Persist(Partition, Checkpoint),
    /// Read no more for now.
    Pause,
    /// Read on.
    Resume,
    /// Give the partition back to the group.
    Release(Partition),
    /// Everything is committed and released.
    Stopped,
}

/// Bounds on what is held in memory, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most input records in one batch. Default 20,000.
    pub batch_records_max: u64,
    /// Most bytes of outputs in one batch; the last record's outputs may exceed it. Default 16 MiB.
    pub batch_bytes_max: u64,
    /// How long a batch may fill before it is sent, in ms, once there is nothing more to be read. Default 5.
    pub linger_ms: u64,
    /// The same while there is: who is behind gains more from larger batches than from earlier ones. Default 100.
    pub busy_linger_ms: u64,
    /// Records of a partition from one checkpoint to the next: what changed in between is in memory once more while it is
    /// written. Default 200,000.
    pub checkpoint_records: u64,
    /// Time from one checkpoint of a partition to the next, in ms, if there were records. Default one minute.
    pub checkpoint_ms: u64,
    /// How long a partition is quiet before it is nudged, in ms, where its operator waits for time to pass. Default:
    /// none is.
    pub quiet_ms: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_records_max: 20_000,
            batch_bytes_max: 16 * 1024 * 1024,
            linger_ms: 5,
            busy_linger_ms: 100,
            checkpoint_records: 200_000,
            checkpoint_ms: 60_000,
            quiet_ms: None,
        }
    }
}

/// Whether states are persisted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// There is no store: a new owner starts empty at the committed offset.
    None,
    /// There is one.
    Checkpoints,
}

/// An operator does not take a checkpoint's state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the state of {partition} at offset {offset} is refused")]
pub struct RefusedState {
    /// Of which partition.
    pub partition: Partition,
    /// The checkpoint's offset.
    pub offset: i64,
    /// The operator's reason.
    pub source: RestoreError,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records folded in silence: another owner had answered them.
    pub replayed: u64,
    /// Records passed over: folded before, or of a partition that is not ours.
    pub passed_over: u64,
    /// Batches that had to be written again.
    pub aborted: u64,
    /// States taken over from a checkpoint made under another model than the one now in force: what was folded since
    /// then is folded again, in silence, under the new one.
    pub models_changed: u64,
    /// Checkpoints stored.
    pub checkpoints: u64,
    /// Checkpoints that could not be stored.
    pub checkpoints_failed: u64,
    /// Times a quiet partition was nudged.
    pub nudges: u64,
}
