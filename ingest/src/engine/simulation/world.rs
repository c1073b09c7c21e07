//! A broker, a group, a store and their members, all of them dice.

mod broker; // reads, transactions, checkpoints
mod group; // who owns what
mod member; // one of them

use super::chain::{Chain, log};
use super::faults::Faults;
use crate::checkpoint::{Entries, Scope, Stored};
use crate::engine::core::{Action, Input};
use crate::{Operator, Output, Outputs, Partition, Record, Written};
use member::{Member, Transaction};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use schema::Millis;
use std::collections::{BTreeMap, BTreeSet};

const PARTITIONS: i32 = 3;
const MEMBERS: usize = 3;
const RECORDS: i64 = 60;

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
}
