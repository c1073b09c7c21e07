//! What a loaded or generated set is.

use schema::{Agent, CallId, How, IdError, Millis, Phase, RawCall, Session, Tenant, Tool};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Which side of a set a session is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// May be learned from.
    Train,
    /// Is judged.
    Test,
}

/// All that is known of a session besides its calls; no label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionMeta {
    /// The session.
    pub session: Session,
    /// Train or test.
    pub split: Split,
    /// Group of user tasks, for task-disjoint cross-validation.
    pub fold: Option<u8>,
    /// Calibration group: fit on one, set thresholds on another.
    pub pool: Option<String>,
}

/// A set of recorded sessions.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// Its name.
    pub name: String,
    /// Its sessions, in the order of the sessions file.
    pub sessions: Vec<SessionMeta>,
    /// All calls, in file order; those of one session count upwards.
    pub calls: Vec<RawCall>,
    /// Every call has a recorded time. Otherwise calls without one come a second apart, from 0 in each session.
    pub timed: bool,
}

impl Dataset {
    /// Indices into `calls` of each session, in the order of `sessions`; the inner lists count upwards.
    pub fn calls_by_session(&self) -> Vec<(&SessionMeta, Vec<usize>)> {
        let mut of: HashMap<&Session, Vec<usize>> = HashMap::with_capacity(self.sessions.len());
        for (index, call) in self.calls.iter().enumerate() {
            of.entry(&call.session).or_default().push(index);
        }
        self.sessions.iter().map(|meta| (meta, of.remove(&meta.session).unwrap_or_default())).collect()
    }
}

/// A call of which no more is known than this; id `session/seq`, tenant `default`.
pub(crate) fn bare_call(session: &Session, seq: u64, at: Millis, agent: &str, tool: &str) -> Result<RawCall, IdError> {
    Ok(RawCall {
        id: CallId::new(&format!("{session}/{seq}"))?,
        at,
        tenant: Tenant::new("default")?,
        session: session.clone(),
        how: How::Explicit,
        parent: None,
        seq: Some(seq),
        phase: Phase::Done,
        agent: Agent::new(agent)?,
        principal: None,
        actor: Vec::new(),
        device: None,
        app: None,
        tool: Tool::new(tool)?,
        tool_info: None,
        args: serde_json::Value::Null,
        mission: None,
        status: None,
        result: None,
        result_bytes: None,
        segments_ms: None,
        telemetry: None,
        cost: None,
        traceparent: None,
    })
}
