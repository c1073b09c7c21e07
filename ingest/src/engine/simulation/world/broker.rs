//! What the broker and the store do for a member: records, transactions, checkpoints.

use super::{RECORDS, World};
use crate::checkpoint::Stored;
use crate::engine::batch::Batch;
use crate::engine::core::Input;
use crate::engine::simulation::chain::BOUNDS;
use crate::{NUDGE, Output, Partition, Record, Written};
use rand::Rng as _;
use schema::Millis;

impl World {
    pub(super) fn read(&mut self, id: usize) {
        let Some(member) = &mut self.members[id] else { return };
        // Now and then a record slips through a pause, as it may with a real consumer.
        if member.paused {
            if !self.chance.random_ratio(1, 50) {
                return;
            }
            member.slipped += 1;
        }
        let readable: Vec<Partition> = member
            .positions
            .iter()
            .filter(|(p, at)| **at < self.log[*p].len() as i64)
            .map(|(p, _)| p.clone())
            .collect();
        if readable.is_empty() {
            return;
        }
        let partition = &readable[self.chance.random_range(0..readable.len())];
        let position = member.positions.get_mut(partition).unwrap();
        let record = self.log[partition][*position as usize].clone();
        *position += 1;
        self.tell(id, Input::Record(record));
    }

    /// The consumer hands out a record for the second time.
    pub(super) fn read_again(&mut self, id: usize) {
        let Some(member) = &self.members[id] else { return };
        let Some((partition, position)) = member.positions.iter().find(|(_, at)| **at > 0) else { return };
        let offset = self.chance.random_range(0..*position);
        let record = self.log[partition][offset as usize].clone();
        self.faults.duplicates += 1;
        self.tell(id, Input::Record(record));
    }

    /// A record of a partition that is not the member's.
    pub(super) fn stray(&mut self, id: usize) {
        let Some(member) = &self.members[id] else { return };
        let Some(partition) = self.log.keys().find(|p| !member.positions.contains_key(*p)) else { return };
        let offset = self.chance.random_range(0..RECORDS);
        let record = self.log[partition][offset as usize].clone();
        self.faults.strays += 1;
        self.tell(id, Input::Record(record));
    }

    /// A transaction's next step: its offsets are taken or refused; then it ends.
    pub(super) fn write(&mut self, id: usize, with_faults: bool) {
        let aborts = with_faults && self.chance.random_ratio(1, 10);
        let Some(member) = &mut self.members[id] else { return };
        let Some(mut transaction) = member.transaction.take() else { return };
        let stale = transaction.generation != self.generation;
        if !transaction.pending && !stale && !aborts {
            transaction.pending = true;
            member.transaction = Some(transaction);
        } else if aborts || !transaction.pending {
            self.faults.aborted += 1;
            self.faults.refused_of_zombies += u64::from(member.zombie && stale);
            self.tell(id, Input::Aborted(transaction.batch));
            let again = self.members[id].as_ref().is_some_and(|member| member.transaction.is_some());
            self.faults.dropped += u64::from(!again);
        } else {
            self.commit(transaction.batch);
            self.tell(id, Input::Committed);
        }
    }

    pub(super) fn commit(&mut self, batch: Batch) {
        for part in batch.parts {
            let before = self.committed.insert(part.partition.clone(), part.next).unwrap_or(0);
            let forward = before < part.next || (before == part.next && part.records == 0);
            assert!(forward, "{} is committed backwards: {before} to {}", part.partition, part.next);
            for nudge in part.outputs.iter().filter(|output| *output.topic == *part.partition.topic) {
                assert_eq!((nudge.partition, nudge.payload), (Some(part.partition.number), NUDGE));
                self.append_nudge(&part.partition);
            }
            let outputs = part.outputs.iter().filter(|o| *o.topic != *part.partition.topic).map(Written::to_output);
            let (completed, outputs): (Vec<Output>, Vec<Output>) = outputs.partition(|o| o.topic == "completed");
            let answered: u64 = completed.iter().map(|output| u64::from(output.payload[0])).sum();
            assert_eq!((completed.len(), answered), (1, part.records), "a batch is completed once, by its own records");
            self.visible.get_mut(&part.partition).unwrap().extend(outputs);
        }
    }

    /// Time has passed: more than anything may be held for.
    fn append_nudge(&mut self, partition: &Partition) {
        let log = self.log.get_mut(partition).unwrap();
        let at = Millis(log.last().map_or(0, |record| record.at.0) + BOUNDS.ms);
        let (topic, number, offset) = (partition.topic.clone(), partition.number, log.len() as i64);
        let nudge = Record { topic, partition: number, offset, at, key: None, payload: NUDGE.to_vec() };
        self.expected.get_mut(partition).unwrap().apply(&nudge);
        log.push(nudge);
        self.faults.nudged += 1;
    }

    pub(super) fn persist(&mut self, id: usize, with_faults: bool) {
        let dice = if with_faults { self.chance.random_range(0..10) } else { 9 };
        let Some(member) = &mut self.members[id] else { return };
        let Some((partition, checkpoint)) = member.persisting.pop_front() else { return };
        if dice == 0 {
            self.faults.not_persisted += 1;
            return self.tell(id, Input::NotPersisted(partition));
        }
        // Torn: the disk said yes and kept half.
        let torn = dice == 1;
        self.faults.torn += u64::from(torn);
        let kept = self.store.entry(partition.clone()).or_default();
        let (mut segments, base_whole) = match checkpoint.since.map(|since| kept.get(&since)) {
            None => (Vec::new(), true),
            Some(Some((base, whole))) => (base.segments.clone(), *whole),
            Some(None) => {
                self.faults.gaps += 1;
                return self.tell(id, Input::NotPersisted(partition));
            }
        };
        segments.push(checkpoint.entries);
        kept.split_off(&checkpoint.offset);
        let stored = Stored { offset: checkpoint.offset, model: checkpoint.model, segments };
        kept.insert(checkpoint.offset, (stored, !torn && base_whole));
        while kept.len() > 2 {
            kept.pop_first();
        }
        self.tell(id, Input::Persisted(partition));
    }
}
