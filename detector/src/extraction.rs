//! Extraction, judged per principal across its sessions.

use schema::{Call, Principal, QueryRecord, Status};
use serde::{Deserialize, Serialize};

/// What honest clients of an API send.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Honest {}

/// What is kept of one principal's queries.
#[derive(Debug, Clone, Default)]
pub struct PrincipalState {}

/// The call as the principals stage sees it; `None` when its arguments are no query.
pub fn query_record(call: &Call) -> Option<QueryRecord> {
    let query = call.query.clone()?;
    let principal = call.principal.clone().or_else(|| Principal::new(call.agent.as_str()).ok())?;
    Some(QueryRecord {
        v: schema::RECORD_VERSION,
        id: call.id.clone(),
        at: call.at,
        tenant: call.tenant.clone(),
        principal,
        session: call.session.clone(),
        agent: call.agent.clone(),
        device: call.device.clone(),
        app: call.app.clone(),
        tool: call.tool.clone(),
        query,
        failed: call.status == Some(Status::Error),
        result_bytes: call.result_bytes,
    })
}
