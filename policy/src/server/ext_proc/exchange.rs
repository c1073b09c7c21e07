//! One HTTP request and its response, step by step.

use super::super::gateway::{From, Unanswered};
use super::super::state::{AppState, now};
use super::reply;
use crate::Answer;
use crate::sighting::{Outcome, Seen, Sse, outcome, sight};
use envoy_types::pb::envoy::config::core::v3::HeaderMap;
use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3::processing_mode::BodySendMode;
use envoy_types::pb::envoy::service::ext_proc::v3::processing_request::Request as Step;
use envoy_types::pb::envoy::service::ext_proc::v3::{HttpBody, ProcessingRequest, ProcessingResponse};
use metrics::counter;
use schema::{Ladder, Phase, RawCall};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use tonic::Status;
use tonic::metadata::MetadataMap;

/// What is known of an exchange so far.
pub(super) struct Exchange {
    state: Arc<AppState>,
    /// `vedette-*` of the filter's `grpc_initial_metadata`: the gateway's own word.
    told: HashMap<String, String>,
    request: HashMap<String, String>,
    judged: bool,
    bodies: Option<BodySendMode>,
    /// The calls of the request, without their arguments, to hang results on.
    calls: Vec<RawCall>,
    response: Reading,
}

/// A response as it streams by.
#[derive(Default)]
struct Reading {
    status: u16,
    events: Option<Sse>,
    body: Vec<u8>,
    bytes: u64,
}

impl Exchange {
    pub(super) fn new(state: Arc<AppState>, metadata: &MetadataMap) -> Self {
        let told = NAMES.iter().filter_map(|name| {
            let value = metadata.get(format!("vedette-{name}"))?.to_str().ok()?;
            Some(((*name).to_owned(), value.to_owned()))
        });
        let told = told.collect();
        let (request, calls, response) = (HashMap::new(), vec![], Reading::default());
        Self { state, told, request, judged: false, bodies: None, calls, response }
    }

    /// What Envoy is told about `message`.
    ///
    /// Errors: a failure of ours where a mode enforces; Envoy's `failure_mode_allow` decides then.
    pub(super) async fn step(&mut self, message: ProcessingRequest) -> Result<ProcessingResponse, Status> {
        if let Some(protocol) = &message.protocol_config {
            self.bodies = BodySendMode::try_from(protocol.request_body_mode).ok();
        }
        match message.request {
            Some(Step::RequestHeaders(headers)) => {
                self.request = read(headers.headers);
                if headers.end_of_stream || self.bodies == Some(BodySendMode::None) {
                    self.judge(&[], reply::request_headers).await
                } else {
                    Ok(reply::request_headers())
                }
            }
            // More of a body that was judged by its beginning.
            Some(Step::RequestBody(_)) if self.judged => Ok(reply::request_body()),
            Some(Step::RequestBody(body)) => self.judge(&body.body, reply::request_body).await,
            Some(Step::ResponseHeaders(headers)) => {
                let headers_in = read(headers.headers);
                self.response.status = headers_in.get(":status").and_then(|text| text.parse().ok()).unwrap_or(0);
                let kind = headers_in.get("content-type").map_or("", String::as_str);
                self.response.events = kind.starts_with("text/event-stream").then(Sse::default);
                if headers.end_of_stream {
                    self.end().await;
                }
                Ok(reply::response_headers())
            }
            Some(Step::ResponseBody(body)) => {
                self.respond(&body).await;
                Ok(reply::response_body())
            }
            Some(Step::RequestTrailers(_)) => Ok(reply::request_trailers()),
            Some(Step::ResponseTrailers(_)) => {
                self.end().await;
                Ok(reply::response_trailers())
            }
            None => Err(Status::invalid_argument("a processing request without a request")),
        }
    }

    async fn judge(&mut self, body: &[u8], go_on: fn() -> ProcessingResponse) -> Result<ProcessingResponse, Status> {
        self.judged = true;
        let state = Arc::clone(&self.state);
        let route = self.told.get("route").cloned();
        let delegation = self.request.get("vedette-delegation").cloned();
        let from = From::door("ext-proc", route.as_deref(), delegation.as_deref());
        let asked = match self.sight(body) {
            Ok(calls) => state.ask_about(calls, from).await,
            Err(error) => Err(Unanswered::Unreadable(error)),
        };
        match asked {
            Ok(None) => Ok(go_on()),
            Ok(Some(judged)) if judged.own_failure && state.binds(from.route) => {
                Err(Status::unavailable("the scorer failed"))
            }
            Ok(Some(judged)) if judged.decision.decision == Ladder::Allow => Ok(reply::with_metadata(go_on(), &judged)),
            Ok(Some(judged)) => {
                self.calls.clear(); // A call that was stopped has no result.
                Ok(reply::stop(Answer::of(&judged.decision, &state.policies.now()), &judged))
            }
            Err(_) if !state.binds(from.route) => Ok(go_on()),
            Err(Unanswered::Full) => Err(Status::resource_exhausted("more questions are in hand than may be")),
            Err(Unanswered::Unreadable(error)) => Err(Status::invalid_argument(error.to_string())),
        }
    }

    fn sight(&mut self, body: &[u8]) -> Result<Vec<RawCall>, schema::decode::DecodeError> {
        let (request, told) = (&self.request, &self.told);
        let header = |name: &str| request.get(name).map(String::as_str);
        let seen = Seen {
            at: now(),
            id: header("x-request-id"),
            method: header(":method").unwrap_or_default(),
            path: header(":path").unwrap_or_default(),
            host: header(":authority").unwrap_or_default(),
            header: &|name| request.get(name).map(String::as_str),
            told: &|name| told.get(name).map(String::as_str),
            peer: None,
            body,
        };
        let calls = sight(&seen, &self.state.fallback_id("ext-proc"))?;
        self.calls = calls.iter().map(|call| RawCall { args: Value::Null, ..call.clone() }).collect();
        Ok(calls)
    }

    /// Reads a piece of the response.
    async fn respond(&mut self, body: &HttpBody) {
        self.response.bytes = self.response.bytes.saturating_add(body.body.len() as u64);
        let events = self.response.events.as_mut().map(|sse| sse.push(&body.body));
        match events {
            Some(events) => {
                for event in events {
                    let found = outcome(self.response.status, &event);
                    // A progress notice is no result.
                    if found.result.is_some() {
                        self.note(found, event.len() as u64).await;
                    }
                }
            }
            None if self.response.body.len() + body.body.len() <= self.state.limits.body_bytes_max => {
                self.response.body.extend_from_slice(&body.body);
            }
            // What is over the limit is not read, only counted.
            None => counter!("vedette_policy_oversize_responses_total").increment(1),
        }
        if body.end_of_stream {
            self.end().await;
        }
    }

    /// The response is complete.
    async fn end(&mut self) {
        if self.response.events.is_none() {
            let body = std::mem::take(&mut self.response.body);
            let found = outcome(self.response.status, &body);
            self.note(found, self.response.bytes).await;
        }
        self.calls.clear();
    }

    /// Hands a result to the scorer, so that the session's next call is judged knowing it.
    async fn note(&self, found: Outcome, bytes: u64) {
        for call in &self.calls {
            // The results of a batch are not told apart (MCP dropped batches in 2025-06-18): each of its calls is
            // taken to have seen all of them, the end that hides nothing.
            let raw = RawCall {
                phase: Phase::Result,
                at: now(),
                status: Some(found.status),
                result: found.result.clone(),
                result_bytes: Some(bytes),
                ..call.clone()
            };
            let deadline = self.state.routes.of(self.told.get("route").map(String::as_str)).deadline(None);
            let noted = tokio::time::timeout(deadline, self.state.scorer.result(raw)).await;
            if !matches!(noted, Ok(Ok(()))) {
                counter!("vedette_policy_results_lost_total").increment(1);
            }
        }
    }
}

/// What the filter's configuration may say of a call.
const NAMES: [&str; 8] = ["agent", "principal", "device", "tenant", "session", "app", "tool", "route"];

/// Envoy fills `raw_value`; older ones `value`.
fn read(headers: Option<HeaderMap>) -> HashMap<String, String> {
    let headers = headers.unwrap_or_default().headers.into_iter();
    headers
        .map(|header| {
            let raw = || String::from_utf8_lossy(&header.raw_value).into_owned();
            let value = if header.raw_value.is_empty() { header.value.clone() } else { raw() };
            (header.key, value)
        })
        .collect()
}
