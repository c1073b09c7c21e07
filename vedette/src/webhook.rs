//! What the policy server asks: the owner of all sessions, in this process.

use crate::pipeline::{Judged, Parts, Pipeline};
use crate::states::SessionKey;
use async_trait::async_trait;
use lru::LruCache;
use policy::{Scored, Scorer, ScorerError};
use schema::{CallId, RawCall};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

/// Answers from full state; a call asked about twice is scored once.
pub struct Owner(Mutex<Inner>);

struct Inner {
    pipeline: Pipeline,
    answered: LruCache<(SessionKey, CallId), Scored>,
}

impl Owner {
    /// Remembers nothing yet.
    pub fn new(parts: Arc<Parts>) -> Self {
        Self(Mutex::new(Inner { pipeline: Pipeline::new(parts), answered: LruCache::new(ANSWERED_MAX) }))
    }
}

#[async_trait]
impl Scorer for Owner {
    async fn score(&self, raw: RawCall) -> Result<Scored, ScorerError> {
        let mut inner = self.0.lock().map_err(|_| ScorerError::Failed("an earlier call broke it".to_owned()))?;
        let key = (SessionKey::from(&raw), raw.id.clone());
        if let Some(scored) = inner.answered.get(&key) {
            return Ok(scored.clone());
        }
        // A call judged so long ago that its answer is gone is not judged again.
        let judged =
            inner.pipeline.judge(&raw).ok_or_else(|| ScorerError::Failed("the call was judged before".to_owned()))?;
        let Judged { call, verdict, before, .. } = judged;
        let scored = Scored { call, verdict, standing: before, degraded: false };
        inner.answered.put(key, scored.clone());
        Ok(scored)
    }

    async fn result(&self, raw: RawCall) -> Result<(), ScorerError> {
        let mut inner = self.0.lock().map_err(|_| ScorerError::Failed("an earlier call broke it".to_owned()))?;
        inner.pipeline.judge(&raw);
        Ok(())
    }
}

/// Answers remembered for callers that ask again.
const ANSWERED_MAX: NonZeroUsize = NonZeroUsize::new(4_096).unwrap();
