//! Where other replicas ask this one about sessions that it owns. A call that another one owns is refused: nothing is
//! passed on twice.

use super::answer::Answer;
use crate::members::{Membership, owned_by, owned_by_mission};
use crate::webhook::Owner;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use cert_manager::est::server::wall_clock;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Bytes;
use metrics::counter;
use policy::server::{AppState, Limits, Problem};
use policy::{Mission, ScorerError};
use schema::decode::{Received, sealed};
use schema::{Call, Millis, StateId};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// What is asked with a sealed call.
pub(super) const SCORE: &str = "/v1/members/score";
/// What is told with a sealed call's end.
pub(super) const RESULT: &str = "/v1/members/result";
/// What is told with a mission: the user's words are sealed with the session's next call.
pub(super) const MISSION: &str = "/v1/members/mission";

/// Bounds of this door: a sealed call within the seal's bounds is smaller.
pub const LIMITS: Limits = Limits {
    body_bytes_max: 1024 * 1024,
    body_ms_max: 5_000,
    header_ms_max: 5_000,
    header_bytes_max: 8 * 1024,
    connections_max: 1_024,
    streams_max: 1_024,
    resets_max: 64,
    in_flight_max: 1_024,
    drain_ms_max: 10_000,
};

#[derive(Clone)]
struct Door {
    owner: Arc<Owner>,
    membership: Arc<Membership>,
    /// Knows pace, missions and costs.
    state: Arc<AppState>,
    in_flight: Arc<Semaphore>,
}

/// The doors for other replicas.
pub fn router(owner: Arc<Owner>, membership: Arc<Membership>, state: Arc<AppState>) -> Router {
    let in_flight = Arc::new(Semaphore::new(LIMITS.in_flight_max as usize));
    let nothing = async || Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this path");
    Router::new()
        .route(SCORE, post(score))
        .route(RESULT, post(result))
        .route(MISSION, post(mission))
        .fallback(nothing)
        .with_state(Door { owner, membership, state, in_flight })
}

async fn score(State(door): State<Door>, request: Request<Body>) -> Response {
    let answered = door.call(request).await.and_then(|mut call| {
        let asked = if call.mission.is_none() { door.state.missions.take_text_of(&call) } else { None };
        if let Some(text) = asked {
            call.mission = Some(schema::seal_mission(&text, &call, door.owner.key()));
        }
        let scored = door.owner.judge(call).map_err(|error| problem(&error))?;
        let beside = door.state.beside(&scored);
        Ok(Json(Answer::of(&scored, beside, door.owner.standings())).into_response())
    });
    said(answered)
}

async fn result(State(door): State<Door>, request: Request<Body>) -> Response {
    let noted = door.call(request).await.and_then(|call| door.owner.note(call).map_err(|error| problem(&error)));
    said(noted.map(|()| StatusCode::ACCEPTED.into_response()))
}

async fn mission(State(door): State<Door>, request: Request<Body>) -> Response {
    let declared = door.body(request).await.and_then(|bytes| {
        let bad = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "bad-request", detail);
        let mission: Mission = serde_json::from_slice(&bytes)
            .map_err(|error| bad(format!("no mission: line {}, column {}", error.line(), error.column())))?;
        door.own(owned_by_mission(door.owner.key(), &mission))?;
        door.state.missions.declare(mission).map_err(|error| bad(error.to_string()))
    });
    said(declared.map(|()| StatusCode::NO_CONTENT.into_response()))
}

impl Door {
    /// The call that is asked about or told of, where this replica owns it. What it has cost is taken note of.
    async fn call(&self, request: Request<Body>) -> Result<Call, Problem> {
        let (bytes, now) = (self.body(request).await?, Millis(wall_clock().0));
        let call = sealed::decode(&bytes, &Received { at: now, id: String::new() })
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "bad-record", error.to_string()))?;
        if call.fpk != self.owner.key().id(call.tenant.as_str()) {
            let detail = "the call is sealed under another key: `seal.key_file` has to hold the same one everywhere";
            return Err(Problem::new(StatusCode::FORBIDDEN, "key", detail));
        }
        self.own(owned_by(self.owner.key(), &call))?;
        if let Some(cost) = call.cost {
            self.state.wallets.spend(&call.tenant, call.principal.as_ref(), cost.units, now);
        }
        Ok(call)
    }

    /// Nothing is passed on: what another replica owns is refused.
    fn own(&self, of: StateId) -> Result<(), Problem> {
        match self.membership.owner(of) {
            None => Ok(()),
            Some(_) => {
                let detail = "another replica owns the session";
                Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "not-the-owner", detail))
            }
        }
    }

    async fn body(&self, request: Request<Body>) -> Result<Bytes, Problem> {
        let Ok(_permit) = self.in_flight.try_acquire() else { return Err(Problem::full()) };
        let body = Limited::new(request.into_body(), LIMITS.body_bytes_max).collect();
        match tokio::time::timeout(Duration::from_millis(LIMITS.body_ms_max), body).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let detail = format!("the body is over the limit of {} bytes", LIMITS.body_bytes_max);
                Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "oversize", detail))
            }
            Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "broken-body", "the body broke off")),
            Err(_) => Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", "the body took too long to arrive")),
        }
    }
}

fn problem(error: &ScorerError) -> Problem {
    match error {
        ScorerError::Full => Problem::full(),
        error => Problem::new(StatusCode::SERVICE_UNAVAILABLE, "scorer", error.to_string()),
    }
}

fn said(answered: Result<Response, Problem>) -> Response {
    let outcome = match &answered {
        Ok(_) => "answered",
        Err(problem) if problem.status == StatusCode::MISDIRECTED_REQUEST => "misdirected",
        Err(problem) if problem.status == StatusCode::TOO_MANY_REQUESTS => "full",
        Err(problem) if problem.status == StatusCode::SERVICE_UNAVAILABLE => "failed",
        Err(_) => "refused",
    };
    counter!("vedette_policy_answered_total", "outcome" => outcome).increment(1);
    answered.unwrap_or_else(Problem::into_response)
}
