//! What the webhook asks. Implementations: the session's owner in this process, the owner one hop away, and what is
//! last known of the session.

use crate::{Circumstances, Mission};
use async_trait::async_trait;
use schema::{Call, RawCall, Standing, Verdict};
use std::sync::Arc;

/// A call, scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The call, sealed.
    pub call: Call,
    /// What the detector says.
    pub verdict: Verdict,
    /// What was known of the session before this call.
    pub standing: Option<Standing>,
    /// The answer rests on less than the whole session.
    pub degraded: bool,
    /// The call's features, as the detector names them; none without a model.
    pub row: Vec<f64>,
    /// Probability of the call's tool after the tools before; none without a model.
    pub edge: Option<f64>,
    /// What the owner knows beside, where that is another replica: its session's pace and mission, its principal's cost.
    pub beside: Option<Circumstances>,
}

impl Scored {
    /// With the whole session behind it, and nothing said of features.
    pub fn new(call: Call, verdict: Verdict, standing: Option<Standing>) -> Self {
        Self { call, verdict, standing, degraded: false, row: Vec::new(), edge: None, beside: None }
    }
}

/// Why there is no score.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScorerError {
    /// The owner of the session cannot be reached.
    #[error("the session's owner is out of reach: {0}")]
    Unreachable(String),
    /// There is more to score than can be scored.
    #[error("the scorer is full")]
    Full,
    /// The scorer is broken.
    #[error("the scorer failed: {0}")]
    Failed(String),
}

/// Scores calls in the light of their sessions.
///
/// A call is scored once: the same id again yields the same answer, whatever door it came through. Dropping the
/// future gives the question up (a deadline passed); the call still counts for its session.
#[async_trait]
pub trait Scorer: Send + Sync {
    /// Scores a call before it goes through.
    async fn score(&self, raw: Arc<RawCall>) -> Result<Arc<Scored>, ScorerError>;

    /// Takes note of a call's result. It adds to the session and is not itself scored.
    async fn result(&self, raw: RawCall) -> Result<(), ScorerError> {
        self.score(Arc::new(raw)).await.map(drop)
    }

    /// Takes a mission to whoever owns its session; it comes back where that is here.
    async fn mission(&self, mission: Mission) -> Result<Option<Mission>, ScorerError> {
        Ok(Some(mission))
    }

    /// Why questions cannot be answered right now, for `/readyz`. Nothing to say: ready.
    fn not_ready(&self) -> Option<String> {
        None
    }
}
