//! The operator of the simulation, and the records it is fed.

use crate::checkpoint::{Entries, Scope};
use crate::hold::{Bounds, Held, Hold, Load, Turn};
use crate::{NUDGE, Operator, Outputs, Partition, Record, RestoreError};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use schema::{Digest, Millis};
use std::collections::{BTreeMap, BTreeSet};

/// State: four digests, of which each record moves one by all of them, so that nothing can be lost, doubled or swapped
/// unseen, and most of the state is not new at a checkpoint. Every seventh record has no output, every fifth has two.
/// Records of two sessions come out of order: they are taken in the order of their numbers, as far as the bound allows.
pub(super) struct Chain {
    links: [Vec<u8>; 4],
    changed: BTreeSet<u8>,
    hold: Hold<u8, Item>,
    turns: BTreeMap<u8, Turn>,
    /// Latest time of a record.
    clock: Millis,
    /// Records since the batch was completed.
    answered: u8,
}

/// Offset and payload of a record.
type Item = (i64, Vec<u8>);

impl Default for Chain {
    fn default() -> Self {
        Self {
            links: Default::default(),
            changed: BTreeSet::new(),
            hold: Hold::new(BOUNDS),
            turns: BTreeMap::new(),
            clock: Millis(0),
            answered: 0,
        }
    }
}

impl Chain {
    pub(super) fn holds_any(&self) -> bool {
        self.hold.load().items > 0
    }

    /// Records that came before their turn.
    pub(super) fn held(&self) -> u64 {
        self.hold.counts().in_turn + self.hold.counts().gaps
    }

    fn take(&mut self, (offset, payload): Item, out: &mut Outputs) {
        let seen = [self.links.concat(), payload].concat();
        let at = offset as usize % self.links.len();
        self.links[at] = Digest::of(&seen).0.to_vec();
        self.changed.insert(at as u8);
        let count = if offset % 7 == 3 { 0 } else { 1 + usize::from(offset % 5 == 0) };
        let payload = &self.links[at];
        (0..count).for_each(|n: usize| out.push("out", &[n as u8], payload));
    }

    fn drain(&mut self, session: u8, out: &mut Outputs) {
        while let Some(item) = self.hold.in_turn(session, self.turns.entry(session).or_default()) {
            self.take(item, out);
        }
    }

    fn let_go(&mut self, out: &mut Outputs) {
        while let Some(session) = self.hold.overdue(self.clock) {
            let item = self.hold.let_go(session, self.turns.entry(session).or_default()).unwrap();
            self.take(item, out);
            self.drain(session, out);
        }
    }
}

impl Operator for Chain {
    fn apply(&mut self, record: &Record, out: &mut Outputs) {
        self.answered += 1;
        self.clock = self.clock.max(record.at);
        self.let_go(out);
        if record.payload == NUDGE {
            return;
        }
        let (session, seq) = (record.payload[0], u64::from(record.payload[1]));
        let item = (record.offset, record.payload.clone());
        let turn = self.turns.entry(session).or_default();
        if turn.has_come(seq, &BOUNDS) {
            turn.pass(seq, &BOUNDS);
            self.take(item, out);
            self.drain(session, out);
        } else {
            self.hold.put(session, Held { seq, at: record.at, bytes: 1, item });
            self.let_go(out);
        }
    }

    fn waits(&self) -> bool {
        self.holds_any()
    }

    fn complete(&mut self, out: &mut Outputs) {
        // One a batch, and of a batch's own records only: what was folded in silence must not show here.
        out.push("completed", b"", &[std::mem::take(&mut self.answered)]);
    }

    fn entries(&mut self, scope: Scope) -> Entries {
        let (changed, held) = (std::mem::take(&mut self.changed), self.hold.take_changed());
        let mut entries = Entries::default();
        for (at, link) in (0u8..).zip(&self.links).filter(|(_, link)| !link.is_empty()) {
            if scope == Scope::All || changed.contains(&at) {
                entries.push(&[at], Some(link));
            }
        }
        for (session, turn) in &self.turns {
            entries.push(&[TURN, *session], Some(&serde_json::to_vec(turn).unwrap()));
        }
        for session in 0..SESSIONS {
            let items = self.hold.of(session);
            if !items.is_empty() && (scope == Scope::All || held.contains(&session)) {
                entries.push(&[HELD, session], Some(&serde_json::to_vec(items).unwrap()));
            } else if scope == Scope::Changed && held.contains(&session) {
                entries.push(&[HELD, session], None);
            }
        }
        if self.clock > Millis(0) {
            entries.push(&[CLOCK], Some(&self.clock.0.to_le_bytes()));
        }
        entries
    }

    fn restore(&mut self, entries: &Entries) -> Result<(), RestoreError> {
        for (key, value) in entries.iter() {
            let value = value.unwrap_or_default();
            match *key {
                [CLOCK] => self.clock = Millis(u64::from_le_bytes(value.try_into().unwrap())),
                [TURN, session] => drop(self.turns.insert(session, serde_json::from_slice(value).unwrap())),
                [HELD, session] if value.is_empty() => self.hold.restore(session, Vec::new()),
                [HELD, session] => self.hold.restore(session, serde_json::from_slice(value).unwrap()),
                [at] => self.links[usize::from(at)] = value.to_vec(),
                _ => panic!("an entry of no kind"),
            }
        }
        Ok(())
    }
}

/// Records of two sessions, each numbered, as a careless network brings them: most in order, some a little late, some too
/// late, some twice, some never.
pub(super) fn log(partition: &Partition, count: i64, chance: &mut ChaCha8Rng) -> Vec<Record> {
    let (mut sent, mut next, mut at) = (Vec::new(), [0u8; SESSIONS as usize], 1_000_000u64);
    while sent.len() < count as usize {
        at += chance.random_range(0..300);
        let session = chance.random_range(0..SESSIONS);
        let seq = &mut next[usize::from(session)];
        let mut payload = chance.random::<[u8; 8]>().to_vec();
        (payload[0], payload[1]) = (session, *seq);
        *seq += 1;
        let delay = match chance.random_range(0..20) {
            0..12 => 0,
            12..18 => chance.random_range(0..BOUNDS.ms),
            18 => chance.random_range(0..2 * BOUNDS.ms),
            _ => continue,
        };
        if chance.random_ratio(1, 15) {
            sent.push((at + delay + 1, payload.clone()));
        }
        sent.push((at + delay, payload));
    }
    sent.sort_unstable();
    let records = sent.into_iter().take(count as usize).zip(0..).map(|((at, payload), offset)| {
        let (topic, partition) = (partition.topic.clone(), partition.number);
        Record { topic, partition, offset, at: Millis(at), key: None, payload }
    });
    records.collect()
}

/// Small enough that crowds happen, too.
pub(super) const BOUNDS: Bounds =
    Bounds { ms: 2_000, first: 0, of_key: Load { items: 6, bytes: 100 }, in_all: Load { items: 8, bytes: 100 } };
const SESSIONS: u8 = 2;
/// Kinds of entries; links are those below 4.
const TURN: u8 = 10;
const HELD: u8 = 20;
const CLOCK: u8 = 30;
