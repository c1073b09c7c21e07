//! Every decision of the engine, with no clock, socket or thread: facts go in through [`Core::handle`], what to do
//! about them comes out of [`Core::next_action`]. The driver (`member.rs`) carries it out; a simulation can, too.
//!
//! The rules:
//! - A partition's records are folded in order, each once: what was folded before is passed over.
//! - Records below the committed offset were answered by an earlier owner: folded in silence.
//! - One batch at a time is on its way; the next one fills meanwhile, up to its limits, then reading pauses.
//! - A checkpoint is persisted only when its offset has been committed.
//! - A partition is released when all of its folded records are committed (and its state is persisted), or at once
//!   when it is lost: then nothing of it is written any more.

mod facts;

pub use facts::{Action, Counts, Input, Limits, Persistence, RefusedState, Start};

use super::batch::{Batch, Part};
use super::slot::Slot;
use crate::checkpoint::{Entries, Scope};
use crate::{Operator, Outputs, Partition, Record};
use schema::Millis;
use std::collections::VecDeque;

/// The engine of one member of the group.
pub struct Core<F> {
    factory: F,
    limits: Limits,
    persistence: Persistence,
    slots: Vec<Slot>,
    /// Index of the slot of the last record: records come in runs.
    last: usize,
    tenures: u64,
    filling: Filling,
    in_flight: bool,
    paused: bool,
    stopping: Stopping,
    /// Nothing more was to be read when we last looked.
    dry: bool,
    now: Millis,
    actions: VecDeque<Action>,
    counts: Counts,
    /// Memory of batches that are done with, for those to come.
    memory: Vec<Outputs>,
}

#[derive(Debug, Default)]
struct Filling {
    records: u64,
    bytes: u64,
    /// When its first answer was written; none while there is none.
    since: Option<Millis>,
}

impl Filling {
    fn begin(&mut self, now: Millis) {
        self.since.get_or_insert(now);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Stopping {
    No,
    Asked,
    Done,
}

impl<F: FnMut(Partition) -> Box<dyn Operator>> Core<F> {
    /// A core that owns nothing yet.
    pub fn new(factory: F, limits: Limits, persistence: Persistence) -> Self {
        Self {
            factory,
            limits,
            persistence,
            slots: Vec::new(),
            last: 0,
            tenures: 0,
            filling: Filling::default(),
            in_flight: false,
            paused: false,
            stopping: Stopping::No,
            dry: false,
            now: Millis(0),
            actions: VecDeque::new(),
            counts: Counts::default(),
            memory: Vec::new(),
        }
    }

    /// Gives back the memory of a batch that was committed.
    pub fn recycle(&mut self, memory: Vec<Outputs>) {
        self.memory = memory; // at most a batch's
    }

    /// Takes in what happened. The only error: an operator refuses a checkpoint; the partition is not owned then.
    pub fn handle(&mut self, input: Input) -> Result<(), RefusedState> {
        match input {
            Input::Record(record) => {
                self.dry = false;
                self.fold(&record);
                if !self.is_full() {
                    return Ok(()); // nothing else can have changed: the path of nearly every record
                }
            }
            Input::Assigned(partition, start) => self.assign(partition, start)?,
            Input::Revoked(partitions) => self.leave(|slot| partitions.contains(&slot.partition)),
            Input::Lost(partitions) => self.lose(&partitions),
            Input::Dry => self.dry = true,
            Input::Tick(now) => self.now = self.now.max(now),
            Input::Committed => self.committed(),
            Input::Aborted(batch) => self.aborted(batch),
            Input::Persisted(partition) => {
                self.counts.checkpoints += 1;
                self.persist_ended(&partition, true);
            }
            Input::NotPersisted(partition) => {
                self.counts.checkpoints_failed += 1;
                self.persist_ended(&partition, false);
            }
            Input::Stop => {
                if self.stopping == Stopping::No {
                    self.stopping = Stopping::Asked;
                    self.leave(|_| true);
                }
            }
        }
        self.advance();
        Ok(())
    }

    /// What to do next; `None`: wait for something to happen.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether a batch is on its way.
    pub fn in_flight(&self) -> bool {
        self.in_flight
    }

    /// When the filling batch is due, by the clock of the ticks; `None` when nothing waits or it cannot go yet.
    pub fn due(&self) -> Option<Millis> {
        let since = self.filling.since.filter(|_| !self.in_flight)?;
        Some(Millis(since.0 + self.limits.linger_ms))
    }

    /// Counts since the start.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The partitions owned.
    pub fn partitions(&self) -> impl Iterator<Item = &Partition> {
        self.slots.iter().map(|slot| &slot.partition)
    }

    /// The partitions owned, with the state each would checkpoint now and the first offset not folded.
    pub fn states(&mut self) -> impl Iterator<Item = (&Partition, i64, Entries)> {
        self.slots.iter_mut().map(|slot| {
            // Asked for all of it, an operator forgets what was new: the next checkpoint has to be whole.
            slot.kept_at = None;
            (&slot.partition, slot.next, slot.operator.entries(Scope::All))
        })
    }

    fn assign(&mut self, partition: Partition, mut start: Start) -> Result<(), RefusedState> {
        self.lose(std::slice::from_ref(&partition));
        let mut operator = (self.factory)(partition.clone());
        operator.begin(start.from, start.live_from);
        if let Some(checkpoint) = &mut start.checkpoint {
            let offset = checkpoint.offset;
            // Each is let go of as soon as it is taken in.
            for segment in std::mem::take(&mut checkpoint.segments) {
                operator.restore(&segment).map_err(|source| RefusedState {
                    partition: partition.clone(),
                    offset,
                    source,
                })?;
            }
            self.counts.models_changed += u64::from(operator.model() != checkpoint.model);
        }
        self.tenures += 1;
        let mut slot = Slot::new(partition, operator, self.tenures, &start, self.now);
        if start.checkpoint.is_none() && self.persistence == Persistence::Checkpoints {
            // The first of its history: what a successor replays from when it dies before the next one.
            let first = slot.checkpoint(self.now);
            slot.persisting = Some(first.offset);
            self.actions.push_back(Action::Persist(slot.partition.clone(), first));
        }
        slot.leaving = self.stopping != Stopping::No;
        self.slots.push(slot);
        Ok(())
    }

    fn leave(&mut self, which: impl Fn(&Slot) -> bool) {
        self.slots.iter_mut().filter(|slot| which(slot)).for_each(|slot| slot.leaving = true);
    }

    /// Forgets partitions and what waits to be written of them. Parts on their way go when their batch comes back.
    fn lose(&mut self, partitions: &[Partition]) {
        let filling = &mut self.filling;
        self.slots.retain(|slot| {
            let lost = partitions.contains(&slot.partition);
            if lost {
                filling.records -= slot.filling.records;
                filling.bytes -= slot.filling.outputs.bytes();
            }
            !lost
        });
        if !self.slots.iter().any(Slot::has_answers) {
            filling.since = None;
        }
        self.last = 0;
    }

    fn fold(&mut self, record: &Record) {
        let Some(index) = self.slot_of(record) else {
            self.counts.passed_over += 1;
            return;
        };
        let Some(slot) = self.slots.get_mut(index) else { return };
        if slot.leaving || record.offset < slot.next {
            self.counts.passed_over += 1;
            return;
        }
        slot.note(record, self.now);
        if record.offset < slot.live_from {
            self.counts.replayed += 1;
            slot.replay(record);
            return;
        }
        let bytes = slot.answer(record);
        self.filling.begin(self.now);
        self.filling.records += 1;
        self.filling.bytes += bytes;
    }

    fn slot_of(&mut self, record: &Record) -> Option<usize> {
        if !self.slots.get(self.last).is_some_and(|slot| slot.owns(record)) {
            self.last = self.slots.iter().position(|slot| slot.owns(record))?;
        }
        Some(self.last)
    }

    fn is_full(&self) -> bool {
        self.filling.records >= self.limits.batch_records_max || self.filling.bytes >= self.limits.batch_bytes_max
    }

    fn committed(&mut self) {
        self.in_flight = false;
        for slot in &mut self.slots {
            slot.in_flight = false;
            if let Some(checkpoint) = slot.at_commit.take() {
                slot.persisting = Some(checkpoint.offset);
                self.actions.push_back(Action::Persist(slot.partition.clone(), checkpoint));
            }
        }
    }

    /// The same bytes again, less what has been lost since.
    fn aborted(&mut self, mut batch: Batch) {
        self.counts.aborted += 1;
        batch.parts.retain(|part| self.slots.iter().any(|slot| slot.in_flight && slot.tenure == part.tenure));
        if batch.parts.is_empty() {
            self.in_flight = false;
        } else {
            self.actions.push_back(Action::Commit(batch));
        }
    }

    fn persist_ended(&mut self, partition: &Partition, safe: bool) {
        self.slots.iter_mut().filter(|slot| slot.partition == *partition).for_each(|slot| slot.persist_ended(safe));
    }

    /// Does whatever has become possible.
    fn advance(&mut self) {
        self.nudge();
        if !self.in_flight && self.is_due() {
            self.close();
        }
        self.release();
        match (self.paused, self.is_full()) {
            (false, true) => {
                self.paused = true;
                self.actions.push_back(Action::Pause);
            }
            (true, false) => {
                self.paused = false;
                self.actions.push_back(Action::Resume);
            }
            _ => {}
        }
        if self.stopping == Stopping::Asked && self.slots.is_empty() && !self.in_flight {
            self.stopping = Stopping::Done;
            self.actions.push_back(Action::Stopped);
        }
    }

    /// Sees to it that time passes where an operator waits for it and nothing else is to be read.
    fn nudge(&mut self) {
        let Some(quiet_ms) = self.limits.quiet_ms.filter(|_| self.dry && !self.paused) else { return };
        for slot in self.slots.iter_mut().filter(|slot| slot.is_stuck(self.now, quiet_ms)) {
            self.filling.begin(self.now);
            self.filling.bytes += slot.nudge(self.now);
            self.counts.nudges += 1;
        }
    }

    fn is_due(&self) -> bool {
        let Some(since) = self.filling.since else { return false };
        let linger_ms = if self.dry { self.limits.linger_ms } else { self.limits.busy_linger_ms };
        self.is_full() || self.now.since(since) >= linger_ms || self.slots.iter().any(|slot| slot.leaving)
    }

    /// Sends the filling batch on its way.
    fn close(&mut self) {
        let mut parts: Vec<Part> = Vec::new();
        for slot in self.slots.iter_mut().filter(|slot| slot.has_answers()) {
            if self.persistence == Persistence::Checkpoints && slot.checkpoint_due(self.now, &self.limits) {
                slot.at_commit = Some(slot.checkpoint(self.now));
            }
            parts.push(slot.take_part(self.memory.pop().unwrap_or_default()));
        }
        self.filling = Filling::default();
        self.in_flight = true;
        self.actions.push_back(Action::Commit(Batch { parts }));
    }

    /// Lets go of the partitions that are leaving and have nothing left to be written.
    fn release(&mut self) {
        let (persistence, now, actions) = (self.persistence, self.now, &mut self.actions);
        let before = self.slots.len();
        self.slots.retain_mut(|slot| {
            if !slot.leaving || slot.in_flight || slot.has_answers() || slot.persisting.is_some() {
                return true;
            }
            if persistence == Persistence::Checkpoints && slot.since_checkpoint > 0 && slot.next >= slot.live_from {
                let last = slot.checkpoint(now);
                slot.persisting = Some(last.offset);
                actions.push_back(Action::Persist(slot.partition.clone(), last));
                return true;
            }
            actions.push_back(Action::Release(slot.partition.clone()));
            false
        });
        if self.slots.len() != before {
            self.last = 0;
        }
    }
}
