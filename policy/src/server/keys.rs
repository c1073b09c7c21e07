//! Keys of callers: who may ask, where the operator wants that known. Only digests are kept.

use super::{AppState, Problem};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use metrics::counter;
use schema::Digest;
use std::sync::Arc;

/// Digests of the keys that callers may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Keys(Vec<(String, Digest)>);

/// Why keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A line is no name with a digest.
    #[error("line {0} is no name and `sha256:` with 64 hex digits")]
    Line(usize),
    /// Too many lines.
    #[error("{0} keys, over the limit of {KEYS_MAX}")]
    TooMany(usize),
    /// No line: everybody would be refused.
    #[error("there is no key in it, which would refuse every caller")]
    Empty,
}

impl Keys {
    /// Reads one name and one digest (`sha256:` and 64 hex digits) a line; `#` begins a comment.
    pub fn parse(text: &str) -> Result<Self, KeysError> {
        let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let keys: Vec<_> = lines
            .map(|(at, line)| {
                let (name, digest) = line.split_once(char::is_whitespace).ok_or(KeysError::Line(at))?;
                Ok((name.to_owned(), digest.trim().parse().map_err(|_| KeysError::Line(at))?))
            })
            .collect::<Result<_, _>>()?;
        match keys.len() {
            0 => Err(KeysError::Empty),
            many if many > KEYS_MAX => Err(KeysError::TooMany(many)),
            _ => Ok(Self(keys)),
        }
    }

    /// Who shows a known key with these headers: `Vedette-Key`, or `Authorization: Bearer`.
    pub fn of(&self, headers: &HeaderMap) -> Option<&str> {
        self.owner(shown(headers)?)
    }

    /// Whose key it is. Digests are compared, all of each, so how long it takes says nothing of a key.
    fn owner(&self, key: &str) -> Option<&str> {
        let shown = Digest::of(key.as_bytes());
        let differ = |known: &Digest| known.0.iter().zip(shown.0).fold(0, |differ, (a, b)| differ | (a ^ b));
        self.0.iter().find(|(_, known)| differ(known) == 0).map(|(name, _)| name.as_str())
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keys({})", self.0.len())
    }
}

/// The doors, shut to whoever shows no known key; as they are where none is asked for.
pub(super) fn guard(doors: Router, state: &Arc<AppState>) -> Router {
    match state.keys {
        Some(_) => doors.layer(axum::middleware::from_fn_with_state(Arc::clone(state), check)),
        None => doors,
    }
}

/// Lets a request on where its key is known. Health can be asked by anybody.
async fn check(State(state): State<Arc<AppState>>, request: Request, next: Next) -> Response {
    let open = ["/healthz", "/readyz", "/grpc.health.v1.Health/"].iter().any(|p| request.uri().path().starts_with(p));
    let known = match &state.keys {
        Some(keys) if !open => keys.of(request.headers()).is_some(),
        _ => true,
    };
    if known {
        return next.run(request).await;
    }
    counter!("vedette_policy_refused_total", "door" => "any", "why" => "key").increment(1);
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "key", "a caller has to show a known key as Vedette-Key");
    let mut response = problem.into_response();
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"vedette\""));
    response
}

/// `Vedette-Key`, for doors that pass on the agent's own `Authorization`; else that.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text("vedette-key").or_else(|| text("authorization")?.strip_prefix("Bearer "))
}

const KEYS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_digest_and_shown_to_nobody() {
        let keys = Keys::parse(&format!("# gateways\nenvoy  {}\n", Digest::of(b"hunter2"))).unwrap();
        assert_eq!((keys.owner("hunter2"), keys.owner("hunter3")), (Some("envoy"), None));
        assert_eq!(format!("{keys:?}"), "Keys(1)");
        assert_eq!(Keys::parse("envoy hunter2"), Err(KeysError::Line(1)));
        assert_eq!(Keys::parse("\n# none\n"), Err(KeysError::Empty));
    }
}
