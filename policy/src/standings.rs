//! What is last known of every session, at hand for when its owner is not: a few numbers each, and a sketch of what it
//! was told where it met instruction-like text. Answers from here are degraded.

use crate::exposure::Exposure;
use crate::limits::STANDINGS_MAX;
use crate::shards::Shards;
use crate::{Scored, Scorer, ScorerError};
use async_trait::async_trait;
use schema::{
    Budgets, Call, Millis, PValue, Pattern, RECORD_VERSION, RawCall, Risk, Session, Standing, TenantKey, Verdict, seal,
};
use std::sync::Arc;

/// Standings of at most [`STANDINGS_MAX`] sessions; the least recently used go first.
///
/// A session is who it is of: tenant, principal, device and its own id. Nobody joins another's by naming it.
pub struct Standings {
    key: TenantKey,
    known: Shards<Known>,
}

/// One session: 72 bytes here, beside its sketch.
#[derive(Default)]
struct Known {
    risk: f64,
    budgets: Budgets,
    at: u64,
    learning: bool,
    exposed: bool,
    told: Option<Box<Exposure>>,
}

impl Standings {
    /// Knows nothing yet. `key` is the one calls are sealed with: a sketch compares fingerprints.
    pub fn new(key: TenantKey) -> Self {
        Self { key, known: Shards::new(STANDINGS_MAX) }
    }

    /// Takes note of what is known of a session after `call`.
    pub fn update(&self, call: &Call, verdict: &Verdict, standing: &Standing) {
        self.known.with(self.of(call), |known| {
            known.risk = standing.risk.get();
            known.budgets = standing.budgets;
            known.at = standing.at.0;
            known.learning = verdict.learning;
            known.exposed |= standing.exposed;
        });
    }

    /// Takes note of the result of `call`. `strengths`: how instruction-like each sentence of it is.
    pub fn told(&self, call: &Call, strengths: &[f64]) {
        let Some(text) = &call.result else { return };
        if strengths.iter().all(|strength| *strength < 0.5) {
            return;
        }
        self.known.with(self.of(call), |known| {
            known.exposed = true;
            let at = known.budgets.calls.saturating_sub(1);
            known.told.get_or_insert_default().add(at, text, strengths);
        });
    }

    /// What is known of the session that started the one of `call`, under the same tenant, principal and device.
    pub fn of_parent(&self, call: &Call) -> Option<Standing> {
        let parent = call.parent.as_ref()?;
        let key = self.known.key(&(&call.tenant, &call.principal, &call.device, parent));
        self.known.read(key, |known| known.standing(parent))
    }

    /// Sessions known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nothing is known of any session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn of(&self, call: &Call) -> u64 {
        self.known.key(&(&call.tenant, &call.principal, &call.device, &call.session))
    }
}

impl Known {
    fn standing(&self, session: &Session) -> Standing {
        Standing {
            v: RECORD_VERSION,
            session: session.clone(),
            risk: Risk::clamped(self.risk),
            exposed: self.exposed,
            last: vec![],
            budgets: self.budgets,
            at: Millis(self.at),
        }
    }
}

#[async_trait]
impl Scorer for Standings {
    /// From what is last known: no p-value, and a pattern only where the sketch traces the call to a text.
    async fn score(&self, raw: Arc<RawCall>) -> Result<Arc<Scored>, ScorerError> {
        let call = seal(&raw, &self.key);
        let answer = self.known.read(self.of(&call), |known| {
            let standing = known.standing(&call.session);
            let trace = known.told.as_ref().and_then(|told| told.trace(&call));
            (standing, trace, known.learning)
        });
        let Some((standing, trace, learning)) = answer else {
            return Err(ScorerError::Unreachable("nothing is known of the session".to_owned()));
        };
        let risk = trace.as_ref().map_or(0.0, |trace| trace.strength).max(standing.risk.get());
        let verdict = Verdict {
            v: RECORD_VERSION,
            id: call.id.clone(),
            session: call.session.clone(),
            how: call.how,
            sure: call.how.sure(),
            risk: Risk::clamped(risk),
            p_value: PValue::clamped(1.0),
            pattern: if trace.is_some() { Pattern::Injection } else { Pattern::None },
            // No model spoke.
            model: schema::Digest([0; 32]),
            exposed: standing.exposed,
            learning,
            evidence: trace.map(|trace| trace.evidence).into_iter().collect(),
        };
        Ok(Arc::new(Scored { degraded: true, ..Scored::new(call, verdict, Some(standing)) }))
    }
}
