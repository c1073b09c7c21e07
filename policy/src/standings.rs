//! What is last known of every session, at hand for when its owner is not: a few numbers each, and the scorer's own sketch
//! of those that met instruction-like text. What is judged by it is degraded.

use crate::limits::{SKETCH_BYTES_MAX, STANDINGS_MAX};
use crate::shards::Shards;
use crate::standing::standing_risk;
use schema::{Budgets, Call, Millis, RECORD_VERSION, Risk, Session, Standing, StandingRecord, Verdict};

/// Standings of at most [`STANDINGS_MAX`] sessions; the least recently used go first.
///
/// A session is who it is of: tenant, principal, device and its own id. Nobody joins another's by naming it.
pub struct Standings {
    known: Shards<Known>,
}

/// One session: 96 bytes here, beside its sketches; a test holds it.
#[derive(Default)]
struct Known {
    risk: f64,
    budgets: Budgets,
    at: u64,
    learning: bool,
    exposed: bool,
    /// Results of it come by the doors.
    told: bool,
    sketch: Option<Box<[u8]>>,
    /// Calls of it that the owner judged, and that whoever reads the log did; and the latter's sketch.
    judged: u32,
    logged: u32,
    heard: Option<Box<[u8]>>,
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
            known.budgets = standing.budgets;
            known.judged = standing.budgets.calls;
            known.learning = verdict.learning;
            known.take(standing);
        });
    }

    /// Takes note of what another who judges the session's calls knows of it: an engine that reads the log.
    pub fn hear(&self, record: &StandingRecord) {
        let StandingRecord { standing, tenant, principal, device, learning, sketch } = record;
        let key = self.known.key(&(tenant, principal, device, &standing.session));
        self.known.with(key, |known| {
            if standing.at.0 >= known.at {
                (known.budgets, known.learning) = (standing.budgets, *learning);
            }
            known.take(standing);
            known.logged = known.logged.max(standing.budgets.calls);
            if let Some(sketch) = sketch {
                known.exposed = true;
                known.heard = Some(sketch.clone());
            }
        });
    }

    /// Results of the session of `call` come by the doors.
    pub fn told(&self, call: &Call) {
        self.known.with(self.of(call), |known| known.told = true);
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

    /// What is known of the session of `call` before it: its standing, and what whoever reads the log knows of it and its
    /// owner does not. That is the sketch of one whose results no door has told of, or of which the log has more calls than
    /// the owner judged, as of one that it took over.
    pub fn before(&self, call: &Call) -> Option<(Standing, Option<Box<[u8]>>)> {
        self.known.read(self.of(call), |known| {
            let news = !known.told || known.logged > known.judged;
            (known.standing(&call.session), known.heard.clone().filter(|_| news))
        })
    }

    /// What is last known of the session of `call`; nothing, of one that only names another's id.
    pub fn last(&self, call: &Call) -> Option<LastKnown> {
        self.known.read(self.of(call), |known| LastKnown {
            standing: known.standing(&call.session),
            learning: known.learning,
            sketch: known.sketch.as_ref().or(known.heard.as_ref()).cloned(),
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
    /// The higher of two risks, each as it is by the later of their times.
    fn take(&mut self, standing: &Standing) {
        let at = Millis(self.at.max(standing.at.0));
        let own = self.standing(&standing.session);
        self.risk = standing_risk(standing, at).get().max(standing_risk(&own, at).get());
        self.at = at.0;
        self.exposed |= standing.exposed;
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_standings_take_little() {
        assert!(size_of::<Known>() <= 96, "{}", size_of::<Known>());
    }
}
