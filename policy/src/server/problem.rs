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
    /// Which lines of a body of lines, where some are at fault (an extension member, section 3.2).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<BadLine>,
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

/// A line at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: u64,
    /// The kind of fault, as dead letters name it.
    pub reason: schema::DeadReason,
    /// Where and what, without any value of the line.
    pub detail: String,
}

impl Problem {
    /// A problem by name.
    pub fn new(status: StatusCode, name: &str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:vedette:problem:{name}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: detail.into(),
            lines: Vec::new(),
            retry_after_s: None,
        }
    }

    /// With a `Retry-After` (RFC 9110, section 10.2.3).
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
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
