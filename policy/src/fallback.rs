//! What is decided when there is no score in time.

use crate::PolicySet;
use crate::limits::RETRY_AFTER_MS;
use schema::{CallId, Decision, Ladder, Mode, PolicyId, RECORD_VERSION};
use serde::{Deserialize, Serialize};

/// What a route does when its deadline passes. It counts where the mode enforces; otherwise the call is allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fallback {
    /// Let it through.
    Allow,
    /// Ask the policies with what was last known of the session; throttled where nothing is known.
    #[default]
    LastStanding,
    /// Stop it.
    Deny,
}

/// The decision that `fallback` names, marked degraded. `why` is the reason it states, e.g. `fallback:deadline`.
///
/// [`Fallback::LastStanding`] gets here only when nothing is known of the session: it then throttles, the mildest
/// answer that is not a blind yes. A call nobody could look at is never denied unless the route says so.
pub fn fall_back(id: CallId, fallback: Fallback, why: PolicyId, policies: &PolicySet, mode: Mode) -> Decision {
    let would = match fallback {
        _ if mode == Mode::Observe => Ladder::Allow,
        Fallback::Allow => Ladder::Allow,
        Fallback::LastStanding => Ladder::Throttle,
        Fallback::Deny => Ladder::Deny,
    };
    let decision = if mode == Mode::Enforce { would } else { Ladder::Allow };
    Decision {
        v: RECORD_VERSION,
        id,
        decision,
        would,
        mode,
        degraded: true,
        reasons: vec![why],
        policy: policies.digest(),
        retry_after_ms: (decision == Ladder::Throttle).then_some(RETRY_AFTER_MS),
    }
}
