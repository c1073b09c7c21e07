//! Items that come before their turn, kept for a moment until what is missing has come. Pure: time is what records say.
//!
//! Each key (a session) numbers its items. One whose number is next, or was before, goes at once; one that comes too early
//! waits until those before it have come, or until its own bound has passed: then it goes with all that wait before it, in
//! order, and what is missing is passed over. What waits is bounded in number and bytes, for a key and in all; where there
//! is more, the one that has waited longest goes early.

use schema::Millis;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How far the numbers of one key have come: a few bytes, kept by whoever keeps the key's state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Turn {
    /// The number that is next; none before the first.
    next: Option<u64>,
    /// Gaps in a row that nothing filled.
    holes: u8,
}

/// Bounds on what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Longest wait of an item, in ms. Default: 2,000.
    pub ms: u64,
    /// The first number of a key. Default: 0.
    pub first: u64,
    /// Most items and bytes that wait, of one key. Default: 64, and 1 MiB.
    pub of_key: Load,
    /// The same of all keys together. Default: 10,000, and 32 MiB.
    pub in_all: Load,
}

/// A number of items, and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Load {
    /// Items.
    pub items: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// What came of the items that had to wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Went in their turn, after a wait.
    pub in_turn: u64,
    /// Gaps that nothing filled in time, or for which there was no room.
    pub gaps: u64,
}

/// An item that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held<T> {
    /// Its number.
    pub seq: u64,
    /// When it came.
    pub at: Millis,
    /// As whoever brought it counts them.
    pub bytes: usize,
    /// The item.
    pub item: T,
}

/// What waits.
#[derive(Debug)]
pub struct Hold<K, T> {
    bounds: Bounds,
    /// Of each key, by number, equal ones as they came.
    waiting: BTreeMap<K, Vec<Held<T>>>,
    /// By when the oldest of each key came.
    oldest: BTreeSet<(Millis, K)>,
    load: Load,
    /// Keys of which more waits than may.
    crowded: BTreeSet<K>,
    /// Keys of which something else waits than when [`Hold::take_changed`] was asked.
    changed: BTreeSet<K>,
    counts: Counts,
}

impl Default for Bounds {
    fn default() -> Self {
        let (of_key, in_all) = (Load { items: 64, bytes: 1 << 20 }, Load { items: 10_000, bytes: 32 << 20 });
        Self { ms: 2_000, first: 0, of_key, in_all }
    }
}

impl Load {
    fn is_over(self, max: Self) -> bool {
        self.items > max.items || self.bytes > max.bytes
    }
}

impl Turn {
    /// Whether number `seq` need not wait. A key whose gaps are never filled numbers otherwise than we think: nothing of it
    /// waits any more.
    pub fn has_come(&self, seq: u64, bounds: &Bounds) -> bool {
        seq <= self.next.unwrap_or(bounds.first) || self.holes >= HOLES_MAX
    }

    /// Number `seq` goes.
    pub fn pass(&mut self, seq: u64, bounds: &Bounds) {
        let next = self.next.unwrap_or(bounds.first);
        if seq == next {
            self.holes = 0;
        } else if seq > next {
            self.holes = self.holes.saturating_add(1);
        }
        self.next = Some(next.max(seq.saturating_add(1)));
    }

    /// Whether it is as new.
    pub fn is_new(&self) -> bool {
        *self == Self::default()
    }
}

impl<K: Copy + Ord, T> Hold<K, T> {
    /// Nothing waits.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            waiting: BTreeMap::new(),
            oldest: BTreeSet::new(),
            load: Load::default(),
            crowded: BTreeSet::new(),
            changed: BTreeSet::new(),
            counts: Counts::default(),
        }
    }

    /// The bounds.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// How much waits.
    pub fn load(&self) -> Load {
        self.load
    }

    /// What came of what waited, since the start.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Lets an item of `key` wait.
    pub fn put(&mut self, key: K, held: Held<T>) {
        self.change(key, |items| {
            let at = items.partition_point(|other| other.seq <= held.seq);
            items.insert(at, held);
        });
    }

    /// The next item of `key`, if its turn has come.
    pub fn in_turn(&mut self, key: K, turn: &mut Turn) -> Option<T> {
        let first = self.waiting.get(&key)?.first()?;
        if !turn.has_come(first.seq, &self.bounds) {
            return None;
        }
        turn.pass(first.seq, &self.bounds);
        self.counts.in_turn += 1;
        self.pop(key)
    }

    /// The key of which an item has to go although its turn has not come: it is `now`, or there is no more room.
    pub fn overdue(&self, now: Millis) -> Option<K> {
        let (oldest, key) = self.oldest.first()?;
        let due = now.since(*oldest) >= self.bounds.ms || self.load.is_over(self.bounds.in_all);
        if due { Some(*key) } else { self.crowded.first().copied() }
    }

    /// The first item of `key`, whose turn it is now: what is missing before it is passed over.
    pub fn let_go(&mut self, key: K, turn: &mut Turn) -> Option<T> {
        let seq = self.waiting.get(&key)?.first()?.seq;
        turn.pass(seq, &self.bounds);
        self.counts.gaps += 1;
        self.pop(key)
    }

    /// Keys of which something else waits than when this was asked last.
    pub fn take_changed(&mut self) -> BTreeSet<K> {
        std::mem::take(&mut self.changed)
    }

    /// Keys of which something waits.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.waiting.keys().copied()
    }

    /// What waits of `key`, by number.
    pub fn of(&self, key: K) -> &[Held<T>] {
        self.waiting.get(&key).map_or(&[], Vec::as_slice)
    }

    /// What waits of `key` is this, by number.
    pub fn restore(&mut self, key: K, held: Vec<Held<T>>) {
        self.change(key, |items| *items = held);
        self.changed.remove(&key);
    }

    fn pop(&mut self, key: K) -> Option<T> {
        let mut popped = None;
        self.change(key, |items| popped = (!items.is_empty()).then(|| items.remove(0)));
        popped.map(|held| held.item)
    }

    fn change(&mut self, key: K, change: impl FnOnce(&mut Vec<Held<T>>)) {
        let mut items = self.waiting.remove(&key).unwrap_or_default();
        let oldest = |items: &[Held<T>]| items.iter().map(|held| held.at).min();
        let (before, was) = (load(&items), oldest(&items));
        change(&mut items);
        let (after, is) = (load(&items), oldest(&items));
        self.load.items = self.load.items + after.items - before.items;
        self.load.bytes = self.load.bytes + after.bytes - before.bytes;
        match after.is_over(self.bounds.of_key) {
            true => self.crowded.insert(key),
            false => self.crowded.remove(&key),
        };
        if let Some(at) = was {
            self.oldest.remove(&(at, key));
        }
        if let Some(at) = is {
            self.oldest.insert((at, key));
        }
        if !items.is_empty() {
            self.waiting.insert(key, items);
        }
        self.changed.insert(key);
    }
}

fn load<T>(items: &[Held<T>]) -> Load {
    Load { items: items.len(), bytes: items.iter().map(|held| held.bytes).sum() }
}

/// Gaps in a row that nothing filled, after which a key's items wait no more.
const HOLES_MAX: u8 = 3;

#[cfg(test)]
mod tests;
