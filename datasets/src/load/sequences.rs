//! Files of numbered events (`{"id","split","label","type","seq":[…]}`): number n is tool `e<n>`, `id` is the session.
//! The label is not read.

use super::calls::STEP_MS;
use super::records::SequenceLine;
use crate::limits::{CALLS_MAX, SESSIONS_MAX};
use crate::lines::GzipLines;
use crate::{Dataset, DatasetError, SessionMeta};
use schema::{Agent, App, CallId, How, IdError, Millis, Phase, RawCall, Session, Tenant, Tool};
use serde_json::Value;
use std::collections::HashSet;
use std::path::Path;

pub(super) fn load(path: &Path, name: &str) -> Result<Dataset, DatasetError> {
    let mut lines = GzipLines::open(path, &format!("set `{name}`"))?;
    let (mut seen, mut sessions, mut calls) = (HashSet::new(), Vec::new(), Vec::new());
    while let Some(line) = lines.parse_next::<SequenceLine>()? {
        let bad = |source: IdError| DatasetError::BadName { place: lines.place(), source };
        let session = Session::new(&line.id).map_err(bad)?;
        if !seen.insert(session.clone()) {
            return Err(DatasetError::Duplicate { place: lines.place(), what: "session", key: line.id });
        }
        for (what, found, more, limit) in
            [("calls", calls.len(), line.seq.len(), CALLS_MAX), ("sessions", sessions.len(), 1, SESSIONS_MAX)]
        {
            if found.saturating_add(more) > limit {
                return Err(DatasetError::TooMuch { place: lines.place(), what, limit: limit as u64 });
            }
        }
        for (seq, event) in (0u64..).zip(&line.seq) {
            calls.push(call(&session, name, seq, *event).map_err(bad)?);
        }
        sessions.push(SessionMeta { session, split: line.split, fold: None, pool: None });
    }
    if sessions.is_empty() {
        return Err(DatasetError::Empty { file: path.to_path_buf() });
    }
    Ok(Dataset { name: name.to_owned(), sessions, calls, timed: false })
}

fn call(session: &Session, name: &str, seq: u64, event: u32) -> Result<RawCall, IdError> {
    Ok(RawCall {
        id: CallId::new(&format!("{session}/{seq}"))?,
        at: Millis(seq.saturating_mul(STEP_MS)),
        tenant: Tenant::new("default")?,
        session: session.clone(),
        how: How::Explicit,
        parent: None,
        seq: Some(seq),
        phase: Phase::Done,
        agent: Agent::new("unknown")?,
        principal: None,
        actor: Vec::new(),
        device: None,
        app: Some(App::new(name)?),
        tool: Tool::new(&format!("e{event}"))?,
        tool_info: None,
        args: Value::Null,
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
