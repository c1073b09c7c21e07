//! Which model is in force where, and since when.
//!
//! A model is announced by a record on `agent.models`: its digest and where its file lies. A partition takes it up with the
//! first record of its next batch and says so there, in the transaction of that batch: a partition that is taken over is
//! folded again under the models that were in force, offset by offset. What is not what its record says, or is older than
//! what is in force, is refused, and the last good model stays.

mod announced; // a record → a model, or why not
mod in_force; // one partition's share

pub use announced::{Refusal, announcement};
pub use in_force::{InForce, Turn};

use announced::read_model;
use arc_swap::ArcSwap;
use detector::Detector;
use ingest::cluster::Cluster;
use ingest::follow::Follower;
use ingest::{IngestError, Output, Partition, Record};
use schema::{DeadReason, Digest, Millis, ModelChange, ModelRecord, TenantKey, topics};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The models of one engine.
pub struct Models {
    group: String,
    key: TenantKey,
    /// The owner's root document; empty: a model needs no signature.
    trust: PathBuf,
    current: ArcSwap<Detector>,
    known: Mutex<Known>,
    /// Announcements that were refused, and times a partition took up another model.
    refused: AtomicU64,
    changes: AtomicU64,
}

struct Known {
    follower: Option<Follower>,
    /// Time of the newest announcement that was taken.
    newest: Millis,
    /// Where models lie.
    files: HashMap<Digest, PathBuf>,
    loaded: HashMap<Digest, Arc<Detector>>,
    /// By partition: from which offset on which model was in force.
    changes: BTreeMap<Partition, BTreeMap<i64, Digest>>,
    /// Reports of refusals that are not written yet.
    letters: Vec<Output>,
}

impl Models {
    /// The models of the group's engine, and what was announced so far; `None` where there is no topic for
    /// them. `base`: in force until one is announced. `trust`: the root document that has to stand behind announced ones,
    /// if it names one. Blocks.
    pub fn open(
        cluster: &Cluster,
        group: &str,
        key: TenantKey,
        base: Arc<Detector>,
        trust: &Path,
    ) -> Result<Option<Arc<Self>>, IngestError> {
        let Some(follower) = Follower::open(cluster, topics::MODELS)? else { return Ok(None) };
        let models = Self { trust: trust.into(), ..Self::new(group, key, base, Some(follower)) };
        // A broker that has only just come up may be slow, and an engine must not begin without what was announced.
        models.catch_up_within(OPEN_MAX)?;
        // What was refused by an earlier run was reported by it.
        models.known().letters.clear();
        Ok(Some(Arc::new(models)))
    }

    fn new(group: &str, key: TenantKey, base: Arc<Detector>, follower: Option<Follower>) -> Self {
        let known = Known {
            follower,
            newest: Millis(0),
            files: HashMap::new(),
            loaded: HashMap::from([(base.digest(), Arc::clone(&base))]),
            changes: BTreeMap::new(),
            letters: Vec::new(),
        };
        Self {
            group: group.to_owned(),
            key,
            trust: PathBuf::new(),
            current: ArcSwap::new(base),
            known: Mutex::new(known),
            refused: AtomicU64::new(0),
            changes: AtomicU64::new(0),
        }
    }

    /// The model to be used from now on.
    pub fn current(&self) -> Arc<Detector> {
        self.current.load_full()
    }

    /// Announcements refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Times a partition took up another model.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Takes in what was announced, and what other engines of the group said of their partitions. Blocks, two seconds at
    /// most.
    pub fn catch_up(&self) -> Result<(), IngestError> {
        self.catch_up_within(CATCH_UP_MAX)
    }

    fn catch_up_within(&self, patience: Duration) -> Result<(), IngestError> {
        let mut known = self.known();
        let records = match &mut known.follower {
            Some(follower) => follower.catch_up(patience)?,
            None => Vec::new(),
        };
        self.take_in(&mut known, &records);
        Ok(())
    }

    /// Reports of refusals, to be written once.
    pub fn letters(&self) -> Vec<Output> {
        std::mem::take(&mut self.known().letters)
    }

    /// The share of a partition that has become ours: all that is known of it now.
    pub fn of(self: &Arc<Self>, partition: &Partition) -> InForce {
        if let Err(error) = self.catch_up() {
            tracing::warn!(%error, %partition, "models that were announced a moment ago may be taken up late");
        }
        let changes = self.known().changes.get(partition).cloned().unwrap_or_default();
        InForce::new(Arc::clone(self), partition.clone(), changes)
    }

    /// The model of that digest, where it is to be had.
    fn named(&self, digest: Digest) -> Option<Arc<Detector>> {
        let mut known = self.known();
        if let Some(loaded) = known.loaded.get(&digest) {
            return Some(Arc::clone(loaded));
        }
        let path = known.files.get(&digest)?;
        match read_model(path, digest) {
            Ok(detector) => {
                let detector = Arc::new(detector);
                known.loaded.insert(digest, Arc::clone(&detector));
                Some(detector)
            }
            Err(error) => {
                tracing::error!(%digest, %error, "a model that was in force cannot be had any more");
                None
            }
        }
    }

    fn take_in(&self, known: &mut Known, records: &[Record]) {
        let mut candidates: Vec<(ModelRecord, &Record)> = Vec::new();
        for record in records {
            let key = record.key.as_deref().unwrap_or_default();
            if key.starts_with(MODEL_KEY.as_bytes()) {
                match announced::parse(record) {
                    Ok(model) => candidates.push((model, record)),
                    Err(refusal) => self.refuse(known, record, &refusal),
                }
            } else if let Ok(change) = serde_json::from_slice::<ModelChange>(&record.payload)
                && key == change_key(&self.group, &change)
            {
                let partition = Partition::new(&change.topic, change.partition);
                known.changes.entry(partition).or_default().insert(change.offset, change.digest);
            }
        }
        for (model, _) in &candidates {
            known.files.insert(model.digest, PathBuf::from(&model.location));
        }
        // The newest that holds is taken; what it supersedes is not looked at.
        candidates.sort_by_key(|(model, _)| std::cmp::Reverse(model.at));
        let newest_before = known.newest;
        for (model, record) in candidates {
            if model.at < newest_before {
                self.refuse(known, record, &Refusal::Older { newest: newest_before });
                continue;
            }
            if model.at < known.newest {
                continue;
            }
            let path = PathBuf::from(&model.location);
            match announced::trusted(&path, &self.trust).and_then(|()| read_model(&path, model.digest)) {
                Ok(detector) => {
                    let detector = Arc::new(detector);
                    known.newest = model.at;
                    known.loaded.insert(model.digest, Arc::clone(&detector));
                    self.current.store(detector);
                    tracing::info!(digest = %model.digest, "a model was announced and is taken up with the next batch");
                }
                Err(refusal) => self.refuse(known, record, &refusal),
            }
        }
    }

    fn refuse(&self, known: &mut Known, record: &Record, refusal: &Refusal) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        tracing::error!(record = record.id(), %refusal, "an announced model is refused; the last good one stays in force");
        let reason = schema::decode::DecodeError { reason: DeadReason::Refused, detail: refusal.to_string() };
        known.letters.push(ingest::dead_letter(&self.key, record, &reason));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Models {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Models({}, {}, ..)", self.group, self.current().digest())
    }
}

/// Begins the key of an announcement; its digest follows, so that each model's newest is kept.
const MODEL_KEY: &str = "model/";

/// Names one change of one partition, for one group, for good.
fn change_key(group: &str, change: &ModelChange) -> Vec<u8> {
    let ModelChange { topic, partition, offset, .. } = change;
    format!("change/{topic}/{partition}/{offset}/{group}").into_bytes()
}

/// Longest wait for the end of the topic while the engine works, and before it begins.
const CATCH_UP_MAX: Duration = Duration::from_secs(2);
const OPEN_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
