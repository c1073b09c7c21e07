//! The group: who owns what, who comes, goes, or is given up.

use super::World;
use super::member::{Member, Transaction};
use crate::Partition;
use crate::engine::core::{Input, Persistence, Start};
use crate::engine::start::{Known, start};
use rand::Rng as _;

impl World {
    /// The group gives a partition that nobody owns to a member, whose driver looks up where to begin.
    pub(super) fn assign(&mut self, id: usize) {
        let free: Vec<Partition> = self.log.keys().filter(|p| !self.owners.contains_key(*p)).cloned().collect();
        let Some(member) = &self.members[id] else { return };
        if free.is_empty() || member.zombie || member.core.in_flight() {
            return;
        }
        let partition = free[self.chance.random_range(0..free.len())].clone();
        let is_pending = |t: &Transaction| t.pending && t.batch.parts.iter().any(|part| part.partition == partition);
        if self.members.iter().flatten().any(|m| m.transaction.as_ref().is_some_and(is_pending)) {
            return; // KIP-447: the committed offset is not stable yet
        }
        let committed = self.committed.get(&partition).copied();
        let checkpoint = committed.and_then(|committed| {
            let kept = self.store.get(&partition)?;
            kept.range(..=committed).rev().find(|(_, (_, whole))| *whole).map(|(_, (checkpoint, _))| checkpoint.clone())
        });
        let known = Known { committed, log_start: 0, persistence: Persistence::Checkpoints };
        let start: Start = start(&partition, known, checkpoint).unwrap();
        self.faults.replayed += u64::from(start.from < start.live_from);
        self.owners.insert(partition.clone(), id);
        self.rebalanced();
        self.members[id].as_mut().unwrap().positions.insert(partition.clone(), start.from);
        self.tell(id, Input::Assigned(partition, start));
    }

    /// Every rebalance is a new generation, of which all learn but those the group has given up.
    pub(super) fn rebalanced(&mut self) {
        self.generation += 1;
        for member in self.members.iter_mut().flatten().filter(|member| !member.zombie) {
            member.generation = self.generation;
        }
    }

    pub(super) fn revoke(&mut self) {
        let owned: Vec<(Partition, usize)> = self.owners.iter().map(|(p, id)| (p.clone(), *id)).collect();
        if owned.is_empty() {
            return;
        }
        let (partition, id) = owned[self.chance.random_range(0..owned.len())].clone();
        if self.revoking.insert(partition.clone()) {
            self.faults.revoked += 1;
            self.rebalanced();
            self.tell(id, Input::Revoked(vec![partition]));
        }
    }

    pub(super) fn crash(&mut self, id: usize) {
        let Some(member) = self.members[id].take() else { return };
        self.faults.crashes += 1;
        // Killed after the broker was told to commit, before the answer: it is committed all the same.
        if let Some(transaction) = member.transaction.filter(|t| t.pending && self.chance.random_bool(0.5)) {
            self.faults.crashes_after_commit += 1;
            self.commit(transaction.batch);
        }
        self.give_up(id);
    }

    fn give_up(&mut self, id: usize) {
        let revoking = &mut self.revoking;
        self.owners.retain(|partition, owner| {
            if *owner == id {
                revoking.remove(partition);
            }
            *owner != id
        });
        self.rebalanced();
    }

    pub(super) fn revive(&mut self, id: usize) {
        if self.members[id].is_none() {
            self.generation += 1;
            self.members[id] = Some(Member::new(self.generation));
            self.rebalanced();
        }
    }

    /// The group hears nothing of a member and goes on without it. It lives, and goes on, too.
    pub(super) fn lose(&mut self, id: usize) {
        let Some(member) = &mut self.members[id] else { return };
        if !member.zombie {
            member.zombie = true;
            self.faults.zombies += 1;
            self.give_up(id);
        }
    }

    pub(super) fn learn_of_loss(&mut self, id: usize) {
        let Some(member) = &mut self.members[id] else { return };
        if member.zombie {
            let all: Vec<Partition> = member.core.partitions().cloned().collect();
            member.positions.clear();
            self.tell(id, Input::Lost(all));
            // It joins anew: from now on the group's generation is its own.
            let generation = self.generation + 1;
            let member = self.members[id].as_mut().unwrap();
            (member.zombie, member.generation) = (false, generation);
            self.rebalanced();
        }
    }
}
