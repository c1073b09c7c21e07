//! Whether the process lives, and whether it can answer.

use super::{AppState, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;

/// The process lives.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Questions can be answered; otherwise 503 and why not.
pub(super) async fn readyz(State(state): State<Arc<AppState>>) -> Result<&'static str, Problem> {
    match state.scorer.not_ready() {
        None => Ok("ready\n"),
        Some(why) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", why)),
    }
}
