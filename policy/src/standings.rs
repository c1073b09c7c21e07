//! What is last known of every session, at hand for when its owner is not: a few numbers each, and the scorer's own sketch
//! of those that met instruction-like text. What is judged by it is degraded.

use crate::limits::{SKETCH_BYTES_MAX, STANDINGS_MAX};
use crate::shards::Shards;
use schema::{Budgets, Call, Millis, RECORD_VERSION, Risk, Session, Standing, Verdict};

/// Standings of at most [`STANDINGS_MAX`] sessions; the least recently used go first.
///
/// A session is who it is of: tenant, principal, device and its own id. Nobody joins another's by naming it.
pub struct Standings {
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
    sketch: Option<Box<[u8]>>,
}

/// What is known of one session.
#[derive(Debug, Clone, PartialEq)]
pub struct LastKnown {
    /// After its last call.
    pub standing: Standing,
    /// No model was in force then.
    pub learning: bool,
    /// Of a session that met instruction-like text.
    pub sketch: Option<Box<[u8]>>,
}

impl Default for Standings {
    fn default() -> Self {
        Self::new()
    }
}

impl Standings {
    /// Knows nothing yet.
    pub fn new() -> Self {
        Self { known: Shards::new(STANDINGS_MAX) }
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

    /// Keeps a sketch of the session of `call`, which met instruction-like text; one that is too large is not kept.
    pub fn keep(&self, call: &Call, sketch: Vec<u8>) {
        if sketch.len() > SKETCH_BYTES_MAX {
            return;
        }
        self.known.with(self.of(call), |known| {
            known.exposed = true;
            known.sketch = Some(sketch.into_boxed_slice());
        });
    }

    /// What is last known of the session of `call`; nothing, of one that only names another's id.
    pub fn last(&self, call: &Call) -> Option<LastKnown> {
        self.known.read(self.of(call), |known| LastKnown {
            standing: known.standing(&call.session),
            learning: known.learning,
            sketch: known.sketch.clone(),
        })
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
