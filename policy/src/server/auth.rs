//! Doors for gateways that ask by HTTP sub-request: forward-auth (Caddy, Traefik), nginx `auth_request`, Envoy's HTTP
//! ext_authz. None shows us a response; what that costs is in `docs/doors.md`.

use super::gateway::{From, Unanswered};
use super::native::read;
use super::state::{AppState, now};
use super::{Judged, Problem};
use crate::Answer;
use crate::sighting::Seen;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use std::sync::Arc;

/// `/v1/forward-auth`, any method: the request is told by `X-Forwarded-Method`, `-Uri` and `-Host`.
pub(super) async fn forward(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    let (method, path) = (text(&headers, "x-forwarded-method"), text(&headers, "x-forwarded-uri"));
    let (Some(method), Some(path)) = (method, path) else {
        return Problem::bad("forward-auth needs X-Forwarded-Method and X-Forwarded-Uri").into_response();
    };
    let host = text(&headers, "x-forwarded-host").unwrap_or_default();
    let asked = Asked { door: "forward-auth", method, path, host, headers: &headers, body: Bytes::new() };
    asked.answer(&state).await
}

/// `/v1/auth-request`, any method: as above, told by `X-Original-Method`, `-Uri` and `-Host`. nginx takes 2xx, 401 and
/// 403 for an answer and anything else for a failure, so a throttle comes as 403; `Vedette-Decision` and `Retry-After`
/// let the configuration turn it into 429 (`examples/nginx`).
pub(super) async fn auth_request(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Response {
    let (method, path) = (text(&headers, "x-original-method"), text(&headers, "x-original-uri"));
    let (Some(method), Some(path)) = (method, path) else {
        return Problem::bad("auth-request needs X-Original-Method and X-Original-Uri").into_response();
    };
    let host = text(&headers, "x-original-host").unwrap_or_default();
    let asked = Asked { door: "auth-request", method, path, host, headers: &headers, body: Bytes::new() };
    let mut response = asked.answer(&state).await;
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        *response.status_mut() = StatusCode::FORBIDDEN;
        response.headers_mut().insert("vedette-decision", HeaderValue::from_static("throttle"));
    }
    response
}

/// `/v1/ext-authz/<path of the request>`, its method, its headers and, where Envoy sends it, its body.
pub(super) async fn ext_authz(State(state): State<Arc<AppState>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = match read(body, &state.limits).await {
        Ok(body) => body,
        Err(problem) => return problem.into_response(),
    };
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = path.strip_prefix("/v1/ext-authz").unwrap_or(path);
    let host = parts.uri.host().or_else(|| text(&parts.headers, "host")).unwrap_or_default();
    let asked =
        Asked { door: "ext-authz-http", method: parts.method.as_str(), path, host, headers: &parts.headers, body };
    asked.answer(&state).await
}

struct Asked<'a> {
    door: &'static str,
    method: &'a str,
    path: &'a str,
    host: &'a str,
    headers: &'a HeaderMap,
    body: Bytes,
}

impl Asked<'_> {
    async fn answer(self, state: &AppState) -> Response {
        let headers = self.headers;
        let route = text(headers, "vedette-route");
        let seen = Seen {
            at: now(),
            id: text(headers, "x-request-id"),
            method: self.method,
            path: self.path,
            host: self.host,
            header: &|name| text(headers, name),
            told: &|_| None,
            peer: None,
            body: &self.body,
        };
        match state.ask(&seen, From::door(self.door, route, text(headers, "vedette-delegation"))).await {
            Ok(None) => StatusCode::OK.into_response(),
            Ok(Some(judged)) => answer(&judged, state),
            // Where nothing binds, nothing we cannot answer holds a call up.
            Err(_) if !state.binds(route) => ([("vedette-degraded", "true")], StatusCode::OK).into_response(),
            Err(Unanswered::Full) => Problem::full().into_response(),
            Err(Unanswered::Unreadable(error)) => Problem::record(&error).into_response(),
        }
    }
}

fn answer(judged: &Judged, state: &AppState) -> Response {
    let Answer { status, headers, body } = Answer::of(&judged.decision, &state.policies.now());
    let mut response = (StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN), body).into_response();
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
