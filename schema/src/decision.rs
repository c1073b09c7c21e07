//! What policy does about a verdict.

use crate::{CallId, Digest, PolicyId};
use serde::{Deserialize, Serialize};

/// What happens to a call, mildest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ladder {
    /// It goes through.
    #[default]
    Allow,
    /// It goes through later.
    Throttle,
    /// It goes through once the user has proved to be there (RFC 9470).
    StepUp,
    /// It does not go through.
    Deny,
}

/// Whether decisions bind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Only scored.
    Observe,
    /// Decided and logged; everything is allowed.
    #[default]
    Shadow,
    /// Decided and done.
    Enforce,
}

/// Policy's word on one call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Record version.
    pub v: u8,
    /// The call.
    pub id: CallId,
    /// What is done.
    pub decision: Ladder,
    /// What the policies say; differs from `decision` unless the mode enforces.
    pub would: Ladder,
    /// The mode in force.
    pub mode: Mode,
    /// The answer rests on less than the whole session.
    pub degraded: bool,
    /// Policies that decided, in their order.
    pub reasons: Vec<PolicyId>,
    /// The policy set in force.
    pub policy: Digest,
    /// When to try again, for a throttled call.
    pub retry_after_ms: Option<u64>,
}
