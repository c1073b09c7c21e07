//! A broker, a group, a store and their members, all of them dice.

use super::chain::{BOUNDS, Chain, log};
use super::faults::Faults;
use crate::checkpoint::{Checkpoint, Entries, Scope, Stored};
use crate::engine::batch::Batch;
use crate::engine::core::{Action, Core, Input, Limits, Persistence, Start};
use crate::engine::start::{Known, start};
use crate::{NUDGE, Operator, Output, Outputs, Partition, Record, Written};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use schema::Millis;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const PARTITIONS: i32 = 3;
const MEMBERS: usize = 3;
const RECORDS: i64 = 60;

type Factory = fn(Partition) -> Box<dyn Operator>;

/// A transaction: first its outputs and offsets are with the broker, then it is ended.
struct Transaction {
    batch: Batch,
    generation: u64,
    /// The broker took the offsets: nobody may read the group's offsets of these partitions until it ends.
    pending: bool,
}

struct Member {
    core: Core<Factory>,
    /// Generation it believes in: of its last join, or of the group as long as it hears from it.
    generation: u64,
    /// The group gave it up, and it does not know yet.
    zombie: bool,
    /// Next offset to be read, of each partition it reads.
    positions: BTreeMap<Partition, i64>,
    transaction: Option<Transaction>,
    persisting: VecDeque<(Partition, Checkpoint)>,
    paused: bool,
    /// Records that came through a pause.
    slipped: u64,
    stopped: bool,
    now: u64,
}

impl Member {
    fn new(generation: u64) -> Self {
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

/// A run that nothing disturbs.
#[derive(Default)]
struct Single {
    operator: Chain,
    outputs: Outputs,
    /// Its state before each offset.
    states: Vec<Entries>,
}

impl Single {
    fn apply(&mut self, record: &Record) {
        self.states.push(self.operator.entries(Scope::All));
        self.operator.apply(record, &mut self.outputs);
    }

    fn state_before(&mut self, offset: i64) -> Entries {
        match self.states.get(offset as usize) {
            Some(state) => state.clone(),
            None => self.operator.entries(Scope::All),
        }
    }
}

pub(super) struct World {
    chance: ChaCha8Rng,
    log: BTreeMap<Partition, Vec<Record>>,
    /// What an undisturbed run makes of each partition's log.
    expected: BTreeMap<Partition, Single>,
    committed: BTreeMap<Partition, i64>,
    visible: BTreeMap<Partition, Vec<Output>>,
    /// Checkpoints by offset; `false`: torn.
    store: BTreeMap<Partition, BTreeMap<i64, (Stored, bool)>>,
    generation: u64,
    /// Who owns what, as the group sees it.
    owners: BTreeMap<Partition, usize>,
    /// Asked back and not released yet.
    revoking: BTreeSet<Partition>,
    members: Vec<Option<Member>>,
    pub(super) faults: Faults,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let (mut logs, mut expected) = (BTreeMap::new(), BTreeMap::new());
        for number in 0..PARTITIONS {
            let partition = Partition::new("in", number);
            let (records, mut single) = (log(&partition, RECORDS, &mut chance), Single::default());
            records.iter().for_each(|record| single.apply(record));
            logs.insert(partition.clone(), records);
            expected.insert(partition, single);
        }
        let visible = logs.keys().map(|partition| (partition.clone(), Vec::new())).collect();
        let members = (0..MEMBERS).map(|_| Some(Member::new(0))).collect();
        Self {
            chance,
            log: logs,
            expected,
            committed: BTreeMap::new(),
            visible,
            store: BTreeMap::new(),
            generation: 0,
            owners: BTreeMap::new(),
            revoking: BTreeSet::new(),
            members,
            faults: Faults::default(),
        }
    }

    /// One thing happens to one member.
    pub(super) fn step(&mut self) {
        let id = self.chance.random_range(0..MEMBERS);
        match self.chance.random_range(0..100) {
            0..45 => self.read(id),
            45..55 => self.tick(id),
            55..75 => self.write(id, true),
            75..82 => self.persist(id, true),
            82..90 => self.assign(id),
            90..92 => self.crash(id),
            92..94 => self.revive(id),
            94..96 => self.revoke(),
            96..97 => self.lose(id),
            97..98 => self.learn_of_loss(id),
            98..99 => self.read_again(id),
            _ => self.stray(id),
        }
    }

    /// No more faults: everything is read, written and stored; then everyone stops.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            for id in 0..MEMBERS {
                self.revive(id);
                self.learn_of_loss(id);
                self.assign(id);
                self.read(id);
                self.tick(id);
                self.write(id, false);
                self.persist(id, false);
            }
            let all =
                |partition: &Partition| self.committed.get(partition) == Some(&(self.log[partition].len() as i64));
            if self.log.keys().all(all) && !self.expected.values().any(|single| single.operator.holds_any()) {
                break;
            }
        }
        self.assert_states();
        for id in 0..MEMBERS {
            self.tell(id, Input::Stop);
        }
        for _ in 0..100 {
            for id in 0..MEMBERS {
                self.write(id, false);
                self.persist(id, false);
            }
        }
        assert!(self.members.iter().flatten().all(|member| member.stopped), "a member does not stop");
    }

    pub(super) fn assert_exactly_once(&mut self) {
        for (partition, single) in &mut self.expected {
            let outputs: Vec<Output> = single.outputs.iter().map(Written::to_output).collect();
            assert!(self.visible[partition] == outputs, "outputs of {partition} are not those of a single run");
            let (end, (checkpoint, _)) =
                (self.log[partition].len() as i64, self.store[partition].values().next_back().unwrap());
            assert_eq!(checkpoint.offset, end, "stopping leaves a checkpoint of the last record");
            assert_eq!(Entries::folded(&checkpoint.segments), single.state_before(end));
            self.faults.held += single.operator.held();
        }
    }

    fn assert_states(&mut self) {
        for member in self.members.iter_mut().flatten() {
            for (partition, next, state) in member.core.states() {
                let single = self.expected.get_mut(partition).unwrap().state_before(next);
                assert_eq!(state, single, "state of {partition} before {next}");
            }
        }
    }

    /// Gives a fact to a member's core and does what it wants done.
    fn tell(&mut self, id: usize, input: Input) {
        let Some(member) = &mut self.members[id] else { return };
        member.core.handle(input).unwrap();
        while let Some(action) = member.core.next_action() {
            match action {
                Action::Commit(batch) => {
                    assert!(member.transaction.is_none(), "two batches on their way");
                    assert!(batch.records() <= 7 + member.slipped, "a batch over its limit");
                    let generation = member.generation;
                    member.transaction = Some(Transaction { batch, generation, pending: false });
                }
                Action::Persist(partition, checkpoint) => {
                    let committed = self.committed.get(&partition).copied().unwrap_or(0);
                    assert!(checkpoint.offset <= committed, "a checkpoint past the committed offset");
                    if checkpoint.since.is_none() {
                        let single = self.expected.get_mut(&partition).unwrap().state_before(checkpoint.offset);
                        assert_eq!(checkpoint.entries, single);
                    }
                    self.faults.added += u64::from(checkpoint.since.is_some());
                    member.persisting.push_back((partition, checkpoint));
                }
                Action::Pause => member.paused = true,
                Action::Resume => member.paused = false,
                Action::Release(partition) => {
                    member.positions.remove(&partition);
                    if self.owners.get(&partition) == Some(&id) && !member.zombie {
                        self.owners.remove(&partition);
                        self.revoking.remove(&partition);
                        self.rebalanced();
                        return self.act_on(id);
                    }
                }
                Action::Stopped => member.stopped = true,
            }
        }
    }

    /// The rest of a member's actions, after the world has changed under it.
    fn act_on(&mut self, id: usize) {
        let now = self.members[id].as_ref().map_or(0, |member| member.now);
        self.tell(id, Input::Tick(Millis(now)));
    }

    /// Every rebalance is a new generation, of which all learn but those the group has given up.
    fn rebalanced(&mut self) {
        self.generation += 1;
        for member in self.members.iter_mut().flatten().filter(|member| !member.zombie) {
            member.generation = self.generation;
        }
    }

    fn read(&mut self, id: usize) {
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

    fn tick(&mut self, id: usize) {
        let passed = self.chance.random_range(0..10);
        if self.chance.random() {
            self.tell(id, Input::Dry);
        }
        let Some(member) = &mut self.members[id] else { return };
        member.now += passed;
        let now = member.now;
        self.tell(id, Input::Tick(Millis(now)));
    }

    /// A transaction's next step: its offsets are taken or refused; then it ends.
    fn write(&mut self, id: usize, with_faults: bool) {
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

    fn commit(&mut self, batch: Batch) {
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

    fn persist(&mut self, id: usize, with_faults: bool) {
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

    /// The group gives a partition that nobody owns to a member, whose driver looks up where to begin.
    fn assign(&mut self, id: usize) {
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

    fn crash(&mut self, id: usize) {
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

    fn revive(&mut self, id: usize) {
        if self.members[id].is_none() {
            self.generation += 1;
            self.members[id] = Some(Member::new(self.generation));
            self.rebalanced();
        }
    }

    fn revoke(&mut self) {
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

    /// The group hears nothing of a member and goes on without it. It lives, and goes on, too.
    fn lose(&mut self, id: usize) {
        let Some(member) = &mut self.members[id] else { return };
        if !member.zombie {
            member.zombie = true;
            self.faults.zombies += 1;
            self.give_up(id);
        }
    }

    fn learn_of_loss(&mut self, id: usize) {
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

    /// The consumer hands out a record for the second time.
    fn read_again(&mut self, id: usize) {
        let Some(member) = &self.members[id] else { return };
        let Some((partition, position)) = member.positions.iter().find(|(_, at)| **at > 0) else { return };
        let offset = self.chance.random_range(0..*position);
        let record = self.log[partition][offset as usize].clone();
        self.faults.duplicates += 1;
        self.tell(id, Input::Record(record));
    }

    /// A record of a partition that is not the member's.
    fn stray(&mut self, id: usize) {
        let Some(member) = &self.members[id] else { return };
        let Some(partition) = self.log.keys().find(|p| !member.positions.contains_key(*p)) else { return };
        let offset = self.chance.random_range(0..RECORDS);
        let record = self.log[partition][offset as usize].clone();
        self.faults.strays += 1;
        self.tell(id, Input::Record(record));
    }
}
