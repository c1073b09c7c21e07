//! The HTTP doors as an OpenAPI 3.1 document, served and held against what they really say by `tests/server/openapi.rs`.

use axum::http::header;
use axum::response::IntoResponse;

/// The document.
pub const OPENAPI: &str = include_str!("../../openapi.json");

/// `GET /openapi.json`.
pub(super) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/openapi+json;version=3.1")], OPENAPI)
}
