//! Envoy's ext_authz v3 over gRPC, and grpc.health.v1.
//!
//! A denial is a decision of the policies. A failure of ours is a gRPC error, so that Envoy's `failure_mode_allow` has
//! its say; where no mode binds, a failure is an OK marked degraded, for shadow must never hold a call up.

pub(super) mod metadata; // dynamic metadata: what the access log and later filters can read
mod timeout; // the `grpc-timeout` header

pub use timeout::grpc_timeout;

use super::gateway::{From, Unanswered};
use super::judge::Judged;
use super::listen::{Endpoint, ServeError, listen};
use super::state::{AppState, now};
use crate::sighting::Seen;
use crate::{Answer, PolicySet};
use envoy_types::ext_authz::v3::pb::{
    Authorization, AuthorizationServer, CheckRequest, CheckResponse, DeniedHttpResponse, HeaderAppendAction,
    HeaderValue, HeaderValueOption, HttpResponse, HttpStatus, OkHttpResponse,
};
use envoy_types::pb::google::rpc;
use schema::Ladder;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Request, Response, Status};
use tonic_health::ServingStatus;

/// All gRPC doors, until `shutdown`.
///
/// Errors: as [`super::serve`].
pub async fn serve_grpc(
    endpoint: impl Into<Endpoint>,
    state: Arc<AppState>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let limits = state.limits;
    let (reporter, health) = tonic_health::server::health_reporter();
    // Base64 and headers come on top of the body.
    let bytes_max = limits.body_bytes_max.saturating_add(64 * 1024);
    let door = AuthorizationServer::new(Door(Arc::clone(&state))).max_decoding_message_size(bytes_max);
    let routes = tonic::service::Routes::new(door)
        .add_service(super::ext_proc::service(Arc::clone(&state), bytes_max))
        .add_service(super::ext_mcp::service(Arc::clone(&state), bytes_max))
        .add_service(health);
    let watched = Arc::clone(&state);
    let report = tokio::spawn(async move {
        loop {
            let status =
                if watched.scorer.not_ready().is_none() { ServingStatus::Serving } else { ServingStatus::NotServing };
            reporter.set_service_status("", status).await;
            for service in SERVICES {
                reporter.set_service_status(service, status).await;
            }
            tokio::time::sleep(HEALTH_EVERY).await;
        }
    });
    let doors = super::keys::guard(routes.into_axum_router(), &state);
    let served = listen(endpoint, doors, limits, shutdown).await;
    report.abort();
    served
}

/// How soon a change of readiness shows in grpc.health.v1.
const HEALTH_EVERY: Duration = Duration::from_millis(500);

const SERVICES: [&str; 3] = [
    "envoy.service.auth.v3.Authorization",
    "envoy.service.ext_proc.v3.ExternalProcessor",
    "agentgateway.dev.ext_mcp.ExtMcp",
];

struct Door(Arc<AppState>);

#[tonic::async_trait]
impl Authorization for Door {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let state = &self.0;
        let within = request.metadata().get("grpc-timeout").and_then(|v| v.to_str().ok()).and_then(grpc_timeout);
        let check = request.into_inner();
        let route = told(&check).and_then(|told| told.get("route")).map(String::as_str);
        let http = check.attributes.as_ref().and_then(|attributes| attributes.request.as_ref()?.http.as_ref());
        let delegation = http.and_then(|http| http.headers.get("vedette-delegation")).map(String::as_str);
        let source = check.attributes.as_ref().and_then(|attributes| attributes.source.as_ref());
        let certificate = state.certificate(source.map_or("", |source| &source.certificate), now());
        let from = From { door: "ext-authz", route, within, delegation, certificate };
        let asked = match self.ask(&check, from).await {
            Some(asked) => asked,
            None => return unanswered(state, route, Status::invalid_argument("a check needs attributes.request.http")),
        };
        match asked {
            Ok(None) => Ok(Response::new(passes())),
            Ok(Some(judged)) if judged.own_failure && state.binds(route) => {
                Err(Status::unavailable("the scorer failed"))
            }
            Ok(Some(judged)) => Ok(Response::new(response(&judged, &state.policies.now()))),
            Err(Unanswered::Full) => {
                unanswered(state, route, Status::resource_exhausted("more questions are in hand than may be"))
            }
            Err(Unanswered::Unreadable(error)) => unanswered(state, route, Status::invalid_argument(error.to_string())),
        }
    }
}

fn unanswered(state: &AppState, route: Option<&str>, status: Status) -> Result<Response<CheckResponse>, Status> {
    if state.binds(route) { Err(status) } else { Ok(Response::new(passes())) }
}

fn told(check: &CheckRequest) -> Option<&HashMap<String, String>> {
    check.attributes.as_ref().map(|attributes| &attributes.context_extensions)
}

impl Door {
    /// The answer to a check; none when it does not describe an HTTP request.
    async fn ask(&self, check: &CheckRequest, from: From<'_>) -> Option<Result<Option<Judged>, Unanswered>> {
        let attributes = check.attributes.as_ref()?;
        let http = attributes.request.as_ref()?.http.as_ref()?;
        let seen = Seen {
            at: now(),
            // The id the access log shows comes first; `http.id` is Envoy's own.
            id: Some(http.headers.get("x-request-id").unwrap_or(&http.id)),
            method: &http.method,
            path: &http.path,
            host: &http.host,
            header: &|name| http.headers.get(name).map(String::as_str),
            told: &|name| attributes.context_extensions.get(name).map(String::as_str),
            peer: attributes.source.as_ref().map(|peer| peer.principal.as_str()).filter(|name| !name.is_empty()),
            // Envoy fills one of the two (`pack_as_bytes`).
            body: if http.raw_body.is_empty() { http.body.as_bytes() } else { &http.raw_body },
        };
        Some(self.0.ask(&seen, from).await)
    }
}

fn passes() -> CheckResponse {
    let status = Some(rpc::Status { code: Code::Ok as i32, ..rpc::Status::default() });
    CheckResponse {
        status,
        dynamic_metadata: None,
        http_response: Some(HttpResponse::OkResponse(OkHttpResponse::default())),
    }
}

fn response(judged: &Judged, policies: &PolicySet) -> CheckResponse {
    let dynamic_metadata = Some(metadata::of(judged));
    if judged.decision.decision == Ladder::Allow {
        return CheckResponse { dynamic_metadata, ..passes() };
    }
    let answer = Answer::of(&judged.decision, policies);
    let headers = answer.headers.into_iter().map(|(name, value)| header(name, value)).collect();
    let denied =
        DeniedHttpResponse { status: Some(HttpStatus { code: i32::from(answer.status) }), headers, body: answer.body };
    let code = match judged.decision.decision {
        Ladder::Throttle => Code::ResourceExhausted,
        Ladder::StepUp => Code::Unauthenticated,
        Ladder::Allow | Ladder::Deny => Code::PermissionDenied,
    };
    let status = Some(rpc::Status { code: code as i32, ..rpc::Status::default() });
    CheckResponse { status, dynamic_metadata, http_response: Some(HttpResponse::DeniedResponse(denied)) }
}

fn header(name: &str, value: String) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value, ..HeaderValue::default() }),
        append_action: HeaderAppendAction::OverwriteIfExistsOrAdd as i32,
        ..HeaderValueOption::default()
    }
}
