//! agentgateway's ExtMCP: MCP requests and responses as the gateway understood them (`ext_mcp.proto`, package
//! `agentgateway.dev.ext_mcp`). The protocol names neither request nor session; the gateway's configuration passes them
//! on as `metadata_context`, whose fields are those of `docs/doors.md` and `id`.

mod message; // the protocol's messages
mod service; // its two methods as a gRPC service

pub(super) use service::service;

use super::gateway::{From, Unanswered};
use super::judge::Judged;
use super::state::{AppState, now};
use crate::answer::word;
use crate::shards::Shards;
use crate::sighting::{Seen, outcome, sight};
use message::{AuthorizationError, Code, Fields, McpRequest, McpResponse, Outcome, json, structure};
use metrics::counter;
use schema::{Ladder, Phase, RawCall};
use serde_json::{Value, json};
use std::sync::Arc;
use tonic::Status;

/// The door, with the calls whose responses are still to come.
pub(super) struct Mcp {
    state: Arc<AppState>,
    pending: Shards<Option<Box<RawCall>>>,
}

impl Mcp {
    pub(super) fn new(state: Arc<AppState>) -> Self {
        Self { state, pending: Shards::new(PENDING_MAX) }
    }

    /// Errors: a failure of ours where a mode enforces; the gateway's failure mode decides then.
    async fn check_request(&self, request: McpRequest) -> Result<Outcome, Status> {
        let told = Fields::of(request.metadata_context);
        let route = told.text("route");
        let message = json!({"jsonrpc": "2.0", "method": request.method, "params": json(request.mcp_request)});
        let body = serde_json::to_vec(&message).unwrap_or_default();
        let seen = Seen {
            at: now(),
            id: told.text("id"),
            method: "POST",
            path: "/",
            host: &request.service_name,
            header: &|name| told.text(name),
            told: &|name| told.text(name),
            peer: None,
            body: &body,
        };
        let delegation = told.text("delegation");
        let asked = match sight(&seen, &self.state.fallback_id("ext-mcp")) {
            Ok(calls) => {
                let kept = calls.first().map(|call| RawCall { args: Value::Null, ..call.clone() });
                let from = From::door("ext-mcp", route, delegation);
                let asked = self.state.ask_about(calls, from).await;
                if let (Some(key), Some(call)) = (self.key(&told), kept) {
                    self.pending.with(key, |pending| *pending = Some(Box::new(call)));
                }
                asked
            }
            Err(error) => Err(Unanswered::Unreadable(error)),
        };
        match asked {
            Ok(None) => Ok(Outcome::Pass),
            Ok(Some(judged)) if judged.own_failure && self.state.binds(route) => {
                Err(Status::unavailable("the scorer failed"))
            }
            Ok(Some(judged)) => Ok(said(&judged)),
            Err(_) if !self.state.binds(route) => Ok(Outcome::Pass),
            Err(Unanswered::Full) => Err(Status::resource_exhausted("more questions are in hand than may be")),
            Err(Unanswered::Unreadable(error)) => Err(Status::invalid_argument(error.to_string())),
        }
    }

    /// Takes note of a result and lets it pass: what it says counts from the session's next call on.
    async fn check_response(&self, response: McpResponse) -> Outcome {
        let told = Fields::of(response.metadata_context);
        let call = self.key(&told).and_then(|key| self.pending.with(key, Option::take));
        let Some(call) = call.filter(|_| response.method == "tools/call") else { return Outcome::Pass };
        let body = serde_json::to_vec(&json!({"jsonrpc": "2.0", "result": json(response.mcp_response)}));
        let body = body.unwrap_or_default();
        let found = outcome(200, &body);
        let raw = RawCall {
            phase: Phase::Result,
            at: now(),
            status: Some(found.status),
            result: found.result,
            result_bytes: Some(body.len() as u64),
            ..*call
        };
        let deadline = self.state.routes.of(told.text("route")).deadline(None);
        let noted = tokio::time::timeout(deadline, self.state.scorer.result(raw)).await;
        if !matches!(noted, Ok(Ok(()))) {
            counter!("vedette_policy_results_lost_total").increment(1);
        }
        Outcome::Pass
    }

    /// Requests and responses meet by `id`; without one a response cannot be told whose it is.
    fn key(&self, told: &Fields) -> Option<u64> {
        Some(self.pending.key(&(told.text("tenant"), told.text("session"), told.text("id")?)))
    }
}

fn said(judged: &Judged) -> Outcome {
    let decision = &judged.decision;
    let code = match decision.decision {
        Ladder::Allow => return Outcome::Pass,
        Ladder::Throttle => Code::ResourceExhausted,
        Ladder::StepUp | Ladder::Deny => Code::PermissionDenied,
    };
    let reason = decision.reasons.first().map_or_else(String::new, ToString::to_string);
    let data = json!({"decision": word(decision.decision), "decision_id": decision.id, "reasons": decision.reasons,
        "retry_after_ms": decision.retry_after_ms});
    // An implementation-defined server error of JSON-RPC 2.0, section 5.1.
    let error = json!({"code": -32_001, "message": format!("{} by policy", word(decision.decision)), "data": data});
    Outcome::Error(AuthorizationError { code: code as i32, reason, mcp_error: structure(&error) })
}

const PENDING_MAX: usize = 65_536;
