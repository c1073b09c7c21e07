//! The native door: call records in, decisions out, as JSON.

use super::judge::{Judged, Question, Refusal};
use super::state::{AppState, now};
use super::{Limits, Problem};
use crate::limits::{BATCH_MAX, DEADLINE_MS_MAX};
use crate::{Certificate, Mission, ScorerError};
use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use schema::decode::{Received, native};
use schema::{Decision, Phase, RawCall};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;

/// `POST /v1/decide`: one record, one decision.
pub(super) async fn decide(
    State(state): State<Arc<AppState>>,
    request: Request<Body>,
) -> Result<Json<Decision>, Problem> {
    let (parts, body) = request.into_parts();
    let asked = Asked::of(&parts.headers)?;
    let raw = pending(&state, &read(body, &state.limits).await?)?;
    Ok(Json(state.judge(asked.about(raw)).await?.decision))
}

/// `POST /v1/decide:batch`: `{"calls":[…]}`, decided in order, each in the light of those before it.
pub(super) async fn decide_batch(
    State(state): State<Arc<AppState>>,
    request: Request<Body>,
) -> Result<Json<Answers>, Problem> {
    let (parts, body) = request.into_parts();
    let asked = Asked::of(&parts.headers)?;
    let bytes = read(body, &state.limits).await?;
    let batch: Batch<'_> = serde_json::from_slice(&bytes).map_err(|error| {
        Problem::bad(format!(
            "a batch is {{\"calls\":[…]}}: malformed at line {}, column {}",
            error.line(),
            error.column()
        ))
    })?;
    if batch.calls.len() > BATCH_MAX {
        return Err(Problem::bad(format!("{} calls in a batch, over the limit of {BATCH_MAX}", batch.calls.len())));
    }
    let mut decisions = Vec::with_capacity(batch.calls.len());
    for call in batch.calls {
        decisions.push(match pending(&state, call.get().as_bytes()) {
            Ok(raw) => match state.judge(asked.about(raw)).await {
                Ok(Judged { decision, .. }) => Answer::Decision(Box::new(decision)),
                Err(refusal) => Answer::Problem(refusal.into()),
            },
            Err(problem) => Answer::Problem(problem),
        });
    }
    Ok(Json(Answers { decisions }))
}

/// `POST /v1/result`: how a call ended. 202 when it was taken note of.
pub(super) async fn result(State(state): State<Arc<AppState>>, request: Request<Body>) -> Result<StatusCode, Problem> {
    let (parts, body) = request.into_parts();
    let route = parts.headers.get("vedette-route").and_then(|value| value.to_str().ok());
    let mut raw = record(&state, &read(body, &state.limits).await?)?;
    if raw.status.is_none() && raw.result.is_none() && raw.result_bytes.is_none() {
        return Err(Problem::bad("a result has at least one of `status`, `result`, `result_bytes`"));
    }
    raw.phase = Phase::Result;
    state.spent(&raw, route);
    let Ok(_permit) = state.in_flight.try_acquire() else { return Err(Problem::full()) };
    match state.scorer.result(raw).await {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(ScorerError::Full) => Err(Problem::full()),
        Err(error) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "scorer", error.to_string())),
    }
}

/// `POST /v1/mission`: what a session was started for. 204 when it is known from now on.
pub(super) async fn mission(State(state): State<Arc<AppState>>, request: Request<Body>) -> Result<StatusCode, Problem> {
    let bytes = read(request.into_body(), &state.limits).await?;
    // The message names fields and types of ours, and places; values only where they are no known word.
    let mission: Mission = serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad(format!("no mission: line {}, column {}", error.line(), error.column())))?;
    mission.check().map_err(|error| Problem::bad(error.to_string()))?;
    match state.scorer.mission(mission).await {
        Ok(None) => {}
        Ok(Some(own)) => state.missions.declare(own).map_err(|error| Problem::bad(error.to_string()))?,
        Err(ScorerError::Full) => return Err(Problem::full()),
        Err(error) => return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "scorer", error.to_string())),
    }
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    calls: Vec<&'a RawValue>,
}

/// Answers to a batch, in its order.
#[derive(Serialize)]
pub(super) struct Answers {
    decisions: Vec<Answer>,
}

/// `{"problem":…}` for a record that is no call, else a decision.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Problem(Problem),
    #[serde(untagged)]
    Decision(Box<Decision>),
}

/// What the headers say: `vedette-route` and `vedette-deadline-ms`.
struct Asked<'a> {
    route: Option<&'a str>,
    within: Option<Duration>,
    delegation: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn of(headers: &'a HeaderMap) -> Result<Self, Problem> {
        let route = headers.get("vedette-route").and_then(|value| value.to_str().ok());
        let within = match headers.get("vedette-deadline-ms") {
            None => None,
            Some(value) => {
                let ms = value
                    .to_str()
                    .ok()
                    .and_then(|text| text.parse().ok())
                    .filter(|ms| (1..=DEADLINE_MS_MAX).contains(ms));
                Some(Duration::from_millis(ms.ok_or_else(|| {
                    Problem::bad(format!("vedette-deadline-ms takes whole milliseconds, 1 to {DEADLINE_MS_MAX}"))
                })?))
            }
        };
        let delegation = headers.get("vedette-delegation").and_then(|value| value.to_str().ok());
        Ok(Self { route, within, delegation })
    }

    fn about(&self, raw: RawCall) -> Question<'a> {
        Question {
            raw,
            door: "native",
            route: self.route,
            within: self.within,
            delegation: self.delegation,
            certificate: Certificate::default(),
        }
    }
}

/// A call that is about to be made: a record that says nothing of its end has not ended.
fn pending(state: &AppState, bytes: &[u8]) -> Result<RawCall, Problem> {
    let mut raw = record(state, bytes)?;
    if raw.status.is_none() && raw.result.is_none() {
        raw.phase = Phase::Request;
    }
    Ok(raw)
}

fn record(state: &AppState, bytes: &[u8]) -> Result<RawCall, Problem> {
    let received = Received { at: now(), id: state.fallback_id("native") };
    native::decode(bytes, &received).map_err(|error| Problem::record(&error))
}

/// A body within its bounds of size and time.
pub(super) async fn read(body: Body, limits: &Limits) -> Result<Bytes, Problem> {
    let max = limits.body_bytes_max;
    let whole = Limited::new(body, max).collect();
    match tokio::time::timeout(Duration::from_millis(limits.body_ms_max), whole).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "oversize",
            format!("the body is over the limit of {max} bytes"),
        )),
        Ok(Err(_)) => Err(Problem::bad("the body broke off")),
        Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", "the body took too long to arrive")),
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => Problem::full(),
        }
    }
}
