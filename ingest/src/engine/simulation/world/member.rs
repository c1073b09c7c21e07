//! One member, and the transaction it has under way.

use crate::checkpoint::Checkpoint;
use crate::engine::batch::Batch;
use crate::engine::core::{Core, Limits, Persistence};
use crate::engine::simulation::chain::Chain;
use crate::{Operator, Partition};
use std::collections::{BTreeMap, VecDeque};

type Factory = fn(Partition) -> Box<dyn Operator>;

/// A transaction: first its outputs and offsets are with the broker, then it is ended.
pub(super) struct Transaction {
    pub(super) batch: Batch,
    pub(super) generation: u64,
    /// The broker took the offsets: nobody may read the group's offsets of these partitions until it ends.
    pub(super) pending: bool,
}

pub(super) struct Member {
    pub(super) core: Core<Factory>,
    /// Generation it believes in: of its last join, or of the group as long as it hears from it.
    pub(super) generation: u64,
    /// The group gave it up, and it does not know yet.
    pub(super) zombie: bool,
    /// Next offset to be read, of each partition it reads.
    pub(super) positions: BTreeMap<Partition, i64>,
    pub(super) transaction: Option<Transaction>,
    pub(super) persisting: VecDeque<(Partition, Checkpoint)>,
    pub(super) paused: bool,
    /// Records that came through a pause.
    pub(super) slipped: u64,
    pub(super) stopped: bool,
    pub(super) now: u64,
}

impl Member {
    pub(super) fn new(generation: u64) -> Self {
        let limits = Limits {
            batch_records_max: 7,
            batch_bytes_max: 300,
            linger_ms: 5,
            busy_linger_ms: 9,
            checkpoint_records: 9,
            checkpoint_ms: 40,
            quiet_ms: Some(20),
        };
        Self {
            core: Core::new(|_| Box::new(Chain::default()), limits, Persistence::Checkpoints),
            generation,
            zombie: false,
            positions: BTreeMap::new(),
            transaction: None,
            persisting: VecDeque::new(),
            paused: false,
            slipped: 0,
            stopped: false,
            now: 0,
        }
    }
}
