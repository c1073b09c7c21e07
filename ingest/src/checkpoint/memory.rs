//! Checkpoints in memory: for tests, and for engines that end with their process.

use super::{Checkpoint, CheckpointError, CheckpointStore, KEPT};
use crate::Partition;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keeps checkpoints as long as it lives.
#[derive(Debug, Default)]
pub struct MemoryStore {
    kept: Mutex<BTreeMap<Partition, BTreeMap<i64, Checkpoint>>>,
}

impl MemoryStore {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<Partition, BTreeMap<i64, Checkpoint>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CheckpointStore for MemoryStore {
    fn save(&self, partition: &Partition, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let mut kept = self.kept();
        let history = kept.entry(partition.clone()).or_default();
        history.split_off(&checkpoint.offset);
        history.insert(checkpoint.offset, checkpoint.clone());
        while history.len() > KEPT {
            history.pop_first();
        }
        Ok(())
    }

    fn newest(&self, partition: &Partition, offset_max: i64) -> Result<Option<Checkpoint>, CheckpointError> {
        let kept = self.kept();
        Ok(kept.get(partition).and_then(|history| history.range(..=offset_max).next_back()).map(|(_, c)| c.clone()))
    }
}
