//! Errors as RFC 9457 problem bodies.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schema::decode::DecodeError;
use serde::Serialize;

/// A problem (RFC 9457, section 3). `detail` never holds a value of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Which problem: `urn:vedette:problem:<name>`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The status, in words.
    pub title: &'static str,
    /// The HTTP status.
    #[serde(serialize_with = "number")]
    pub status: StatusCode,
    /// What happened here.
    pub detail: String,
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem by name.
    pub fn new(status: StatusCode, name: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:vedette:problem:{name}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: detail.into(),
            retry_after_s: None,
        }
    }

    /// The queue is full: try again in a second.
    pub fn full() -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "full", "more questions are in hand than may be");
        Self { retry_after_s: Some(1), ..problem }
    }

    pub(super) fn record(error: &DecodeError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-record", error.to_string())
    }

    /// A bad question: the caller has to change it.
    pub(super) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

fn number<S: serde::Serializer>(status: &StatusCode, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u16(status.as_u16())
}
