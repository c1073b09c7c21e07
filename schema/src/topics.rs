//! Names of Vedette's topics and what their records are. ACLs: a producer of calls needs write on [`CALLS`] only;
//! nobody but Vedette writes the others.

/// Raw calls as gateways wrote them; the owner's, read only.
pub const CALLS: &str = "agent.calls";
/// [`crate::Call`], keyed by derived session.
pub const SEALED: &str = "agent.sealed";
/// [`crate::QueryRecord`], keyed by tenant and principal.
pub const QUERIES: &str = "agent.queries";
/// [`crate::Verdict`], one a call.
pub const VERDICTS: &str = "agent.verdicts";
/// OCSF Detection Findings (class 2004), one an incident.
pub const ALERTS: &str = "agent.alerts";
/// [`crate::Standing`], compacted, keyed by session.
pub const STANDING: &str = "agent.standing";
/// [`crate::Decision`], one a question.
pub const DECISIONS: &str = "agent.decisions";
/// Decisions of the webhook with all they rest on, each chained to the one before of the same key: a process's.
pub const DECISION_LOG: &str = "agent.decisions.log";
/// [`crate::ModelRecord`], compacted: which model is to be used.
pub const MODELS: &str = "agent.models";
/// [`crate::Member`], compacted: the replicas that answer for sessions.
pub const MEMBERS: &str = "agent.members";
/// [`crate::DeadLetter`]: what could not be read, and why.
pub const DEAD: &str = "agent.calls.dead";
