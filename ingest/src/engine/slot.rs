//! One partition while it is ours.

use super::batch::Part;
use super::core::{Limits, Start};
use crate::checkpoint::Checkpoint;
use crate::{Operator, Output, Partition, Record};
use schema::Millis;

/// A partition's operator, and how far it has come.
pub(super) struct Slot {
    pub(super) partition: Partition,
    pub(super) operator: Box<dyn Operator>,
    /// Differs from one time of owning the partition to the next.
    pub(super) tenure: u64,
    /// First offset not folded yet.
    pub(super) next: i64,
    /// First offset whose outputs are wanted.
    pub(super) live_from: i64,
    /// Answers that wait for the next batch.
    pub(super) filling: Part,
    /// Has a part in the batch on its way.
    pub(super) in_flight: bool,
    /// To be persisted when that batch is committed.
    pub(super) at_commit: Option<Checkpoint>,
    /// A checkpoint is being stored.
    pub(super) persisting: bool,
    /// To be released; folds nothing any more.
    pub(super) leaving: bool,
    /// Records folded since the last checkpoint.
    pub(super) since_checkpoint: u64,
    checkpoint_at: Millis,
}

impl Slot {
    pub(super) fn new(
        partition: Partition,
        operator: Box<dyn Operator>,
        tenure: u64,
        start: &Start,
        now: Millis,
    ) -> Self {
        Self {
            filling: Part::new(partition.clone(), tenure, start.from),
            partition,
            operator,
            tenure,
            next: start.from,
            live_from: start.live_from,
            in_flight: false,
            at_commit: None,
            persisting: false,
            leaving: false,
            since_checkpoint: 0,
            checkpoint_at: now,
        }
    }

    pub(super) fn owns(&self, record: &Record) -> bool {
        self.partition.number == record.partition && self.partition.topic == record.topic
    }

    /// Adds the answer to one record to what waits; returns its bytes.
    pub(super) fn answer(&mut self, record: &Record, mut outputs: Vec<Output>) -> u64 {
        let bytes = outputs.iter().map(Output::bytes).sum();
        self.filling.outputs.append(&mut outputs);
        self.filling.next = record.offset + 1;
        self.filling.records += 1;
        self.filling.record_bytes += record.bytes();
        self.filling.output_bytes += bytes;
        bytes
    }

    pub(super) fn take_part(&mut self) -> Part {
        self.in_flight = true;
        let empty = Part::new(self.partition.clone(), self.tenure, self.next);
        std::mem::replace(&mut self.filling, empty)
    }

    pub(super) fn checkpoint_due(&self, now: Millis, limits: &Limits) -> bool {
        let old = now.since(self.checkpoint_at) >= limits.checkpoint_ms;
        !self.persisting
            && self.at_commit.is_none()
            && (self.since_checkpoint >= limits.checkpoint_records
                || (self.since_checkpoint > 0 && old)
                || self.leaving)
    }

    /// The state as it is now: after every record below `next`.
    pub(super) fn checkpoint(&mut self, now: Millis) -> Checkpoint {
        self.since_checkpoint = 0;
        self.checkpoint_at = now;
        Checkpoint { offset: self.next, model: self.operator.model(), state: self.operator.snapshot() }
    }
}
