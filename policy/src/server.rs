//! The webhook. A door turns a gateway's question into a [`schema::RawCall`], `judge` answers it, the door says the
//! answer in the gateway's words.

mod auth; // forward-auth, auth_request, ext_authz by HTTP
mod certificate; // of the device a call came from
mod envoy; // ext_authz by gRPC
mod ext_mcp; // agentgateway: MCP requests and responses
mod ext_proc; // bodies of requests and responses
mod gateway; // what the doors of gateways share
mod health; // /healthz, /readyz
mod judge; // deadline, fallback, decision: the same for every door
mod keys; // who may ask
mod listen; // connections and their limits
mod metrics; // /metrics
mod native; // /v1/decide, /v1/decide:batch, /v1/result
mod openapi; // /openapi.json
mod problem; // errors as RFC 9457 problem bodies
mod state; // what the doors share
mod tls; // mutual TLS
mod workers; // threads that serve connections

pub use certificate::{Certificates, Shown};
pub use envoy::{grpc_timeout, serve_grpc};
pub use judge::{Judged, Logged, Question, Refusal};
pub use keys::{Keys, KeysError};
pub use listen::{Endpoint, PeerCertificate, ServeError, listen};
pub use metrics::record_metrics;
pub use openapi::OPENAPI;
pub use problem::{BadLine, Problem};
pub use state::{AppState, Limits};
pub use tls::{Tls, TlsError};
pub use workers::Workers;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, get, post};
use std::sync::Arc;

/// All HTTP doors.
pub fn router(state: Arc<AppState>) -> Router {
    let doors = Router::new()
        .route("/v1/decide", post(native::decide))
        .route("/v1/decide:batch", post(native::decide_batch))
        .route("/v1/result", post(native::result))
        .route("/v1/mission", post(native::mission))
        .route("/v1/forward-auth", any(auth::forward))
        .route("/v1/auth-request", any(auth::auth_request))
        .route("/v1/ext-authz", any(auth::ext_authz))
        .route("/v1/ext-authz/{*path}", any(auth::ext_authz))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::openapi))
        .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this path") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path takes another method")
        })
        .with_state(Arc::clone(&state));
    keys::guard(doors, &state)
}

/// Serves the HTTP doors until `shutdown` is done and the calls in hand are answered.
///
/// Errors: a listener beyond loopback, which needs TLS; a listener that broke.
pub async fn serve(
    endpoint: impl Into<Endpoint>,
    state: impl Into<Arc<AppState>>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let state = state.into();
    let limits = state.limits;
    listen(endpoint, router(state), limits, shutdown).await
}
