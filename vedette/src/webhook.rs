//! What the policy server asks: the owner of all sessions, in this process.

use crate::pipeline::{Judged, Parts, Pipeline};
use async_trait::async_trait;
use lru::LruCache;
use policy::{Scored, Scorer, ScorerError, Standings};
use schema::{Call, Phase, RawCall};
use std::hash::{BuildHasher as _, RandomState};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::{Arc, Mutex, MutexGuard};

/// Answers from full state; a call asked about twice is scored once.
///
/// Principals are spread over shards, each with a lock of its own: what a session and its principal's other sessions
/// show is in one place, and two principals seldom wait for each other.
pub struct Owner {
    parts: Arc<Parts>,
    standings: Arc<Standings>,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

struct Shard {
    pipeline: Pipeline,
    answered: LruCache<u64, Arc<Scored>>,
}

impl Owner {
    /// Remembers nothing yet. What is known of each session also goes to `standings`.
    pub fn new(parts: Arc<Parts>, standings: Arc<Standings>) -> Self {
        let share = |max: NonZeroU32| NonZeroU32::new(max.get().div_ceil(SHARDS)).unwrap_or(max);
        let mut own = (*parts).clone();
        (own.sessions_max, own.principals_max) = (share(own.sessions_max), share(own.principals_max));
        let own = Arc::new(own);
        let shard = || Shard { pipeline: Pipeline::new(Arc::clone(&own)), answered: LruCache::new(ANSWERED_MAX) };
        let shards = (0..SHARDS).map(|_| Mutex::new(shard())).collect();
        Self { parts, standings, hasher: RandomState::new(), shards }
    }

    /// The calls of one principal, or of one session where no principal is known, are in one shard.
    fn shard(&self, call: &Call) -> Result<MutexGuard<'_, Shard>, ScorerError> {
        let session = call.principal.is_none().then_some(&call.session);
        let at = self.hasher.hash_one((&call.tenant, &call.principal, session)) as usize % self.shards.len().max(1);
        let broken = || ScorerError::Failed("an earlier call broke it".to_owned());
        self.shards.get(at).and_then(|shard| shard.lock().ok()).ok_or_else(broken)
    }

    fn told(&self, call: &Call) {
        if let Some(text) = &call.result {
            self.standings.told(call, &self.parts.detector.strengths(text));
        }
    }
}

#[async_trait]
impl Scorer for Owner {
    async fn score(&self, raw: Arc<RawCall>) -> Result<Arc<Scored>, ScorerError> {
        let call = schema::seal(&raw, &self.parts.key);
        let key = self.hasher.hash_one((&call.tenant, &call.principal, &call.device, &call.session, &call.id));
        let mut shard = self.shard(&call)?;
        if let Some(scored) = shard.answered.get(&key) {
            return Ok(Arc::clone(scored));
        }
        let finished = (call.phase != Phase::Request).then(|| call.clone());
        // A call judged so long ago that its answer is gone is not judged again.
        let judged = shard.pipeline.judge_sealed(call);
        let judged = judged.ok_or_else(|| ScorerError::Failed("the call was judged before".to_owned()))?;
        let Judged { call, verdict, row, edge, before, standing, .. } = judged;
        self.standings.update(&call, &verdict, &standing);
        let parent = self.standings.of_parent(&call);
        let before = parent.map(|parent| policy::inherit(before.as_ref(), &parent, &call.session)).or(before);
        let scored = Arc::new(Scored { row, edge, ..Scored::new(call, verdict, before) });
        shard.answered.put(key, Arc::clone(&scored));
        drop(shard);
        if let Some(call) = finished {
            self.told(&call);
        }
        Ok(scored)
    }

    async fn result(&self, raw: RawCall) -> Result<(), ScorerError> {
        let call = schema::seal(&raw, &self.parts.key);
        self.told(&call);
        self.shard(&call)?.pipeline.judge_sealed(call);
        Ok(())
    }
}

/// More than there are cores, so that a lock is seldom waited for.
const SHARDS: u32 = 32;
/// Answers remembered for callers that ask again, in each shard.
const ANSWERED_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();
