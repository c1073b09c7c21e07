//! One partition while it is ours.

use super::batch::Part;
use super::core::{Limits, Start};
use crate::checkpoint::{Checkpoint, Scope};
use crate::{NUDGE, Operator, Outputs, Partition, Record};
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
    /// A checkpoint at this offset is being stored.
    pub(super) persisting: Option<i64>,
    /// Offset of the last checkpoint that is safe: the next one adds to it. `None`: the next one is whole.
    pub(super) kept_at: Option<i64>,
    /// To be released; folds nothing any more.
    pub(super) leaving: bool,
    /// Records folded since the last checkpoint.
    pub(super) since_checkpoint: u64,
    checkpoint_at: Millis,
    /// When the last record was folded, or the partition nudged.
    heard: Millis,
    /// Where replayed records write what nobody wants.
    unwanted: Outputs,
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
            filling: Part::new(partition.clone(), tenure, start.from, Outputs::default()),
            partition,
            operator,
            tenure,
            next: start.from,
            live_from: start.live_from,
            in_flight: false,
            at_commit: None,
            persisting: None,
            kept_at: start.checkpoint.as_ref().map(|stored| stored.offset),
            leaving: false,
            since_checkpoint: 0,
            checkpoint_at: now,
            heard: now,
            unwanted: Outputs::default(),
        }
    }

    /// Whether anything waits for the next batch.
    pub(super) fn has_answers(&self) -> bool {
        self.filling.records > 0 || !self.filling.outputs.is_empty()
    }

    /// Takes note of a record before it is folded.
    pub(super) fn note(&mut self, record: &Record, now: Millis) {
        self.next = record.offset + 1;
        self.since_checkpoint += 1;
        self.heard = now;
    }

    /// Whether its operator waits for time to pass while no record comes.
    pub(super) fn is_stuck(&self, now: Millis, quiet_ms: u64) -> bool {
        !self.leaving && self.next >= self.live_from && now.since(self.heard) >= quiet_ms && self.operator.waits()
    }

    /// Writes a record that says that time has passed; returns its bytes. It is answered, and counted, when it comes.
    pub(super) fn nudge(&mut self, now: Millis) -> u64 {
        self.heard = now;
        self.filling.next = self.next; // after a replay it is behind
        let Partition { topic, number } = &self.partition;
        self.filling.outputs.push_to(topic, *number, NUDGE);
        NUDGE.len() as u64
    }

    pub(super) fn owns(&self, record: &Record) -> bool {
        self.partition.number == record.partition && self.partition.topic == record.topic
    }

    /// Folds a record in silence: what it led to was written by the partition's owner of then.
    pub(super) fn replay(&mut self, record: &Record) {
        self.operator.apply(record, &mut self.unwanted);
        self.operator.complete(&mut self.unwanted);
        self.unwanted.clear();
    }

    /// Folds a record and adds the answer to what waits; returns the answer's bytes.
    pub(super) fn answer(&mut self, record: &Record) -> u64 {
        let before = self.filling.outputs.bytes();
        self.operator.apply(record, &mut self.filling.outputs);
        self.filling.next = record.offset + 1;
        self.filling.records += 1;
        self.filling.record_bytes += record.bytes();
        self.filling.outputs.bytes() - before
    }

    /// What waits, completed. The next answers are written to `memory`.
    pub(super) fn take_part(&mut self, memory: Outputs) -> Part {
        self.operator.complete(&mut self.filling.outputs);
        self.in_flight = true;
        let empty = Part::new(self.partition.clone(), self.tenure, self.next, memory);
        std::mem::replace(&mut self.filling, empty)
    }

    pub(super) fn checkpoint_due(&self, now: Millis, limits: &Limits) -> bool {
        let old = now.since(self.checkpoint_at) >= limits.checkpoint_ms;
        self.persisting.is_none()
            && self.at_commit.is_none()
            && (self.since_checkpoint >= limits.checkpoint_records
                || (self.since_checkpoint > 0 && old)
                || self.leaving)
    }

    /// What is new since the last checkpoint, or all of the state: after every record below `next`.
    pub(super) fn checkpoint(&mut self, now: Millis) -> Checkpoint {
        self.since_checkpoint = 0;
        self.checkpoint_at = now;
        let since = self.kept_at;
        let scope = if since.is_some() { Scope::Changed } else { Scope::All };
        Checkpoint { offset: self.next, since, model: self.operator.model(), entries: self.operator.entries(scope) }
    }

    /// A checkpoint is safe, or it is not and the next one must not build upon it.
    pub(super) fn persist_ended(&mut self, safe: bool) {
        let at = self.persisting.take();
        self.kept_at = at.filter(|_| safe);
    }
}
