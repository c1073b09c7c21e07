//! Small values by key for very many keys: bounded, the least recently used go first, and no lock is held for long.

use lru::LruCache;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

/// At most so many values, by 64 bits of their key's hash. The hash is keyed afresh in each process, so nobody outside
/// can choose keys that meet.
pub(crate) struct Shards<V> {
    hasher: RandomState,
    shards: Vec<Mutex<LruCache<u64, V>>>,
    max: NonZeroUsize,
}

impl<V: Default> Shards<V> {
    pub(crate) fn new(max: usize) -> Self {
        let max = NonZeroUsize::new(max.div_ceil(SHARDS)).unwrap_or(NonZeroUsize::MIN);
        // Unbounded, then bounded by hand: a bounded one takes all its memory at once.
        let shards = (0..SHARDS).map(|_| Mutex::new(LruCache::unbounded())).collect();
        Self { hasher: RandomState::new(), shards, max }
    }

    pub(crate) fn key(&self, parts: &impl Hash) -> u64 {
        self.hasher.hash_one(parts)
    }

    /// Works on the value of `key`, made where there is none.
    pub(crate) fn with<R>(&self, key: u64, work: impl FnOnce(&mut V) -> R) -> R {
        self.in_shard(key, |shard, max| {
            if !shard.contains(&key) && shard.len() >= max {
                shard.pop_lru();
            }
            work(shard.get_or_insert_mut(key, V::default))
        })
    }

    /// Reads the value of `key`, where there is one.
    pub(crate) fn read<R>(&self, key: u64, work: impl FnOnce(&V) -> R) -> Option<R> {
        self.in_shard(key, |shard, _| shard.get(&key).map(work))
    }

    /// Works on the value of `key`, where there is one.
    pub(crate) fn change<R>(&self, key: u64, work: impl FnOnce(&mut V) -> R) -> Option<R> {
        self.in_shard(key, |shard, _| shard.get_mut(&key).map(work))
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    fn in_shard<R>(&self, key: u64, work: impl FnOnce(&mut LruCache<u64, V>, usize) -> R) -> R {
        // INVARIANT: the shards are never empty. Values are whole after every step, so a lock that a panic left
        // behind holds nothing torn.
        #[expect(clippy::indexing_slicing, reason = "a remainder lies below its divisor")]
        let shard = &self.shards[(key >> 32) as usize % SHARDS];
        work(&mut shard.lock().unwrap_or_else(PoisonError::into_inner), self.max.get())
    }
}

const SHARDS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let shards: Shards<u32> = Shards::new(SHARDS * 2);
        for n in 0..10_000u64 {
            shards.with(shards.key(&n), |value| *value = n as u32);
        }
        assert_eq!(shards.len(), SHARDS * 2);
        assert_eq!(shards.read(shards.key(&9_999u64), |value| *value), Some(9_999));
        assert_eq!(shards.read(shards.key(&0u64), |value| *value), None);
    }
}
