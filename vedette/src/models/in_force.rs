//! Which model one partition uses, offset by offset.

use super::{Models, change_key};
use detector::Detector;
use ingest::{Output, Partition};
use schema::{Digest, ModelChange, topics};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// One partition's share of the models.
pub struct InForce {
    models: Arc<Models>,
    partition: Partition,
    /// From which offset on which model was in force.
    changes: BTreeMap<i64, Digest>,
    live_from: i64,
    /// The next record is the first of a batch.
    fresh: bool,
}

/// What a record is preceded by.
pub struct Turn {
    /// Another model from here on.
    pub detector: Option<Arc<Detector>>,
    /// What says so.
    pub output: Option<Output>,
}

impl InForce {
    pub(super) fn new(models: Arc<Models>, partition: Partition, changes: BTreeMap<i64, Digest>) -> Self {
        Self { models, partition, changes, live_from: 0, fresh: true }
    }

    /// The model at `from`, where folding begins; records below `live_from` are folded in silence.
    pub fn begin(&mut self, from: i64, live_from: i64) -> Option<Arc<Detector>> {
        self.live_from = live_from;
        self.models.named(self.at(from)?)
    }

    /// What is to be done before the record at `offset`, under the model `mine` so far.
    pub fn turn(&mut self, offset: i64, mine: Digest) -> Option<Turn> {
        if offset < self.live_from {
            // As its owner of then has folded it.
            let then = self.at(offset)?;
            return (then != mine).then(|| Turn { detector: self.models.named(then), output: None });
        }
        if !std::mem::take(&mut self.fresh) {
            return None;
        }
        let current = self.models.current();
        let digest = current.digest();
        let told = self.at(offset) != Some(digest);
        let other = digest != mine;
        if !told && !other {
            return None;
        }
        let output = told.then(|| self.change(offset, digest));
        if other {
            self.models.changes.fetch_add(1, Ordering::Relaxed);
        }
        Some(Turn { detector: other.then_some(current), output })
    }

    /// A batch is closed: its records have been answered under one model.
    pub fn batch_ended(&mut self) {
        self.fresh = true;
    }

    fn at(&self, offset: i64) -> Option<Digest> {
        self.changes.range(..=offset).next_back().map(|(_, digest)| *digest)
    }

    fn change(&mut self, offset: i64, digest: Digest) -> Output {
        self.changes.insert(offset, digest);
        let Partition { topic, number } = &self.partition;
        let change =
            ModelChange { v: schema::RECORD_VERSION, topic: topic.to_string(), partition: *number, offset, digest };
        // INVARIANT: strings and integers only, so the record is always representable.
        let payload = serde_json::to_vec(&change).unwrap_or_default();
        Output { topic: topics::MODELS.to_owned(), key: change_key(&self.models.group, &change), payload }
    }
}
