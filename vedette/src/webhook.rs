//! What the policy server asks: the owner of sessions in this process (one that is elsewhere: `hop.rs`); and what answers
//! when the owner does not.

use crate::pipeline::{Judged, Parts, Pipeline};
use async_trait::async_trait;
use detector::{Looked, SessionState};
use lru::LruCache;
use policy::{LastKnown, Scored, Scorer, ScorerError, Standings};
use schema::{Call, Millis, PValue, Phase, RawCall, Standing, TenantKey, Verdict};
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

    /// What its calls are sealed with.
    pub fn key(&self) -> &TenantKey {
        &self.parts.key
    }

    /// What is last known of sessions, here and elsewhere.
    pub fn standings(&self) -> &Standings {
        &self.standings
    }

    /// Scores a call that was sealed under [`Owner::key`].
    pub fn judge(&self, call: Call) -> Result<Arc<Scored>, ScorerError> {
        let key = self.hasher.hash_one((&call.tenant, &call.principal, &call.device, &call.session, &call.id));
        let mut shard = self.shard(&call)?;
        if let Some(scored) = shard.answered.get(&key) {
            return Ok(Arc::clone(scored));
        }
        let finished = (call.phase != Phase::Request && call.result.is_some()).then(|| call.clone());
        let (known, heard) = self.standings.before(&call).unzip();
        let heard = heard.flatten().and_then(|sketch| self.heard(&sketch, &call));
        // A call judged so long ago that its answer is gone is not judged again.
        let judged = shard.pipeline.judge_sealed(call);
        let judged = judged.ok_or_else(|| ScorerError::Failed("the call was judged before".to_owned()))?;
        let Judged { call, verdict, row, edge, before, standing, .. } = judged;
        self.standings.update(&call, &verdict, &standing);
        let (verdict, row, edge) = match heard {
            Some(heard) if heard.verdict.p_value < verdict.p_value => (heard.verdict, heard.row, heard.edge),
            _ => (verdict, row, edge),
        };
        let before = riskier(before, known, call.at);
        let parent = self.standings.of_parent(&call);
        let before = parent.map(|parent| policy::inherit(before.as_ref(), &parent, &call.session)).or(before);
        let scored = Arc::new(Scored { row, edge, ..Scored::new(call, verdict, before) });
        shard.answered.put(key, Arc::clone(&scored));
        if let Some(call) = finished {
            self.told(&mut shard.pipeline, &call);
        }
        Ok(scored)
    }

    /// What the detector says of a call in the light of results that no door saw: of the sketch that whoever reads the log
    /// tells of.
    fn heard(&self, sketch: &[u8], call: &Call) -> Option<Looked> {
        let mut state = SessionState::from_sketch(sketch)?;
        Some(self.parts.detector.observe_closely(&mut state, call))
    }

    /// Takes note of how a call ended, sealed likewise.
    pub fn note(&self, call: Call) -> Result<(), ScorerError> {
        let mut shard = self.shard(&call)?;
        shard.pipeline.judge_sealed(call.clone());
        self.told(&mut shard.pipeline, &call);
        Ok(())
    }

    /// The calls of one principal, or of one session where no principal is known, are in one shard.
    fn shard(&self, call: &Call) -> Result<MutexGuard<'_, Shard>, ScorerError> {
        let session = call.principal.is_none().then_some(&call.session);
        let at = self.hasher.hash_one((&call.tenant, &call.principal, session)) as usize % self.shards.len().max(1);
        let broken = || ScorerError::Failed("an earlier call broke it".to_owned());
        self.shards.get(at).and_then(|shard| shard.lock().ok()).ok_or_else(broken)
    }

    /// Takes note of what a finished call left behind.
    fn told(&self, pipeline: &mut Pipeline, call: &Call) {
        if call.result.is_none() {
            return;
        }
        self.standings.told(call);
        if let Some(sketch) = pipeline.sketch(call) {
            self.standings.keep(call, sketch);
        }
    }
}

/// What a session stands for at `now`: what this owner knows of it, at the risk that others know of if that is higher.
fn riskier(own: Option<Standing>, known: Option<Standing>, now: Millis) -> Option<Standing> {
    let risk = |standing: &Standing| policy::standing_risk(standing, now);
    match (own, known) {
        (Some(own), Some(known)) if risk(&known) > risk(&own) => {
            Some(Standing { risk: known.risk, at: known.at, exposed: own.exposed || known.exposed, ..own })
        }
        (own, known) => own.or(known),
    }
}

#[async_trait]
impl Scorer for Owner {
    async fn score(&self, raw: Arc<RawCall>) -> Result<Arc<Scored>, ScorerError> {
        self.judge(schema::seal(&raw, &self.parts.key))
    }

    async fn result(&self, raw: RawCall) -> Result<(), ScorerError> {
        self.note(schema::seal(&raw, &self.parts.key))
    }
}

/// Answers from what is last known of a session: its standing, and where it met instruction-like text the detector's verdict
/// on a sketch of it. Degraded, and without a promise: the p-value is 1.
pub struct Fallback {
    parts: Arc<Parts>,
    standings: Arc<Standings>,
}

impl Fallback {
    /// Knows what `standings` does.
    pub fn new(parts: Arc<Parts>, standings: Arc<Standings>) -> Self {
        Self { parts, standings }
    }

    /// What is said of a sealed call.
    pub fn answer(&self, call: Call) -> Result<Scored, ScorerError> {
        let Some(LastKnown { standing, learning, sketch }) = self.standings.last(&call) else {
            return Err(ScorerError::Unreachable("nothing is known of the session".to_owned()));
        };
        // What the call itself says is asked of the user is as known here as at the owner.
        let mut state = sketch.and_then(|sketch| SessionState::from_sketch(&sketch));
        let looked = state.as_mut().map(|state| self.parts.detector.observe_closely(state, &call));
        let (row, edge, verdict) = match looked {
            Some(looked) => (looked.row, looked.edge, looked.verdict),
            None => (Vec::new(), None, self.parts.detector.nothing_known(&call)),
        };
        let risk = if row.is_empty() { standing.risk } else { verdict.risk };
        let verdict = Verdict { risk, p_value: PValue::clamped(1.0), exposed: standing.exposed, learning, ..verdict };
        Ok(Scored { degraded: true, row, edge, ..Scored::new(call, verdict, Some(standing)) })
    }
}

#[async_trait]
impl Scorer for Fallback {
    async fn score(&self, raw: Arc<RawCall>) -> Result<Arc<Scored>, ScorerError> {
        self.answer(schema::seal(&raw, &self.parts.key)).map(Arc::new)
    }
}

/// More than there are cores, so that a lock is seldom waited for.
const SHARDS: u32 = 32;
/// Answers remembered for callers that ask again, in each shard.
const ANSWERED_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();
