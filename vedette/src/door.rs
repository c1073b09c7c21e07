//! `POST /v1/calls`: the door for devices and small sites that do not speak to Kafka.
//!
//! A body is lines of JSON, each a call record or a call that its device has sealed. 202 means that Kafka has acknowledged
//! every one of them; whatever else is answered, the body may be sent again as it is: a line that was taken is not
//! taken twice, and where this process does not remember it any more, the engine tells a call by its id.

pub mod inflate; // what is small on the wire → what is in memory
pub mod lines; // a line → the record Kafka gets

mod body; // a body as it comes in, within bounds
mod meters;

pub use meters::{Meters, Outcome};

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse as _, Response};
use cert_manager::est::server::wall_clock;
use inflate::{Coding, InflateError};
use ingest::acked::{AckError, Acked};
use ingest::cluster::Cluster;
use ingest::{IngestError, Output};
use lines::{LINES_MAX, Line, Reading};
use lru::LruCache;
use policy::server::{BadLine, Keys, PeerCertificate, Problem};
use schema::{Device, Millis, TenantKey};
use serde::Serialize;
use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

/// The door, open. Cheap to clone.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    producer: Acked,
    key: TenantKey,
    keys: Option<Keys>,
    calls: Option<String>,
    taken: Mutex<LruCache<u64, ()>>,
    /// In units of [`UNIT_BYTES`].
    room: Arc<Semaphore>,
    meters: Arc<Meters>,
}

/// What a door is made of.
pub struct Settings<'a> {
    /// Kafka.
    pub cluster: &'a Cluster,
    /// For digests of lines.
    pub key: TenantKey,
    /// Who may send; `None`: whoever can reach the listener.
    pub keys: Option<Keys>,
    /// The topic of plain calls; `None`: the engine reads no topic of Vedette's own records, and none is taken.
    pub calls: Option<String>,
}

/// What became of a body: the answer 202.
#[derive(Debug, Serialize)]
struct Taken {
    /// Lines that are in Kafka now as calls.
    calls: u64,
    /// Lines that were taken before and are not written again.
    repeated: u64,
    /// Lines that could not be read; each has left a dead letter.
    dead: u64,
    /// The first of them, with their reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<BadLine>,
}

impl Door {
    /// Opens it. Nothing is asked of Kafka yet.
    pub fn new(settings: Settings<'_>) -> Result<Self, IngestError> {
        Ok(Self(Arc::new(Inner {
            producer: Acked::new(settings.cluster)?,
            key: settings.key,
            keys: settings.keys,
            calls: settings.calls,
            taken: Mutex::new(LruCache::new(TAKEN_MAX)),
            room: Arc::new(Semaphore::new(IN_FLIGHT_BYTES_MAX / UNIT_BYTES)),
            meters: Arc::default(),
        })))
    }

    /// What it counts.
    pub fn meters(&self) -> Arc<Meters> {
        Arc::clone(&self.0.meters)
    }

    /// Bytes of bodies in hand.
    pub fn in_flight_bytes(&self) -> usize {
        IN_FLIGHT_BYTES_MAX - self.0.room.available_permits() * UNIT_BYTES
    }

    /// `POST /v1/calls`.
    pub async fn calls(State(door): State<Self>, request: Request<Body>) -> Response {
        let inner = &door.0;
        match inner.take(request).await {
            Ok(taken) => {
                inner.meters.count(Outcome::Taken);
                (StatusCode::ACCEPTED, axum::Json(taken)).into_response()
            }
            Err(problem) => {
                inner.meters.count(Outcome::of(problem.status));
                let unknown = problem.status == StatusCode::UNAUTHORIZED;
                let mut response = problem.into_response();
                if unknown {
                    let ask = HeaderValue::from_static("Bearer realm=\"vedette\"");
                    response.headers_mut().insert(WWW_AUTHENTICATE, ask);
                }
                response
            }
        }
    }
}

impl Inner {
    async fn take(&self, request: Request<Body>) -> Result<Taken, Problem> {
        let (parts, body) = request.into_parts();
        if self.keys.as_ref().is_some_and(|keys| keys.of(&parts.headers).is_none()) {
            let detail = "a sender has to show a known key as `Authorization: Bearer` or `Vedette-Key`";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "key", detail));
        }
        let Some(calls) = &self.calls else {
            let detail = "this engine reads no topic of Vedette's own records: give one `format = \"native\"`";
            return Err(Problem::new(StatusCode::NOT_FOUND, "no-topic", detail));
        };
        let device = parts.extensions.get::<PeerCertificate>().map(device_of).transpose()?;
        let coding = coding(&parts.headers)?;
        // Held until the answer: what is in hand is bounded, however many send at once.
        let (body, mut room) = body::read(body, &self.room).await?;
        let inflated = tokio::task::spawn_blocking({
            let all = Arc::clone(&self.room);
            move || {
                let mut total = body.len();
                let grant = |bytes| {
                    total += bytes;
                    body::grow(&all, &mut room, total)
                };
                inflate::inflate(&body, coding, INFLATED_BYTES_MAX, grant).map(|lines| (lines, room))
            }
        });
        let (text, _room) = inflated.await.map_err(|_| failed("the body could not be read"))?.map_err(problem)?;
        self.meters.bytes(text.len() as u64);

        let reading = Reading { at: Millis(wall_clock().0), device: device.as_ref(), key: &self.key, calls };
        let lines = reading.lines(&text).map_err(too_many)?;
        drop(text);
        self.write(lines, device.as_ref()).await
    }

    /// Writes the lines that were not taken before, and answers once Kafka has them.
    async fn write(&self, lines: Vec<Line>, device: Option<&Device>) -> Result<Taken, Problem> {
        let of = device.map_or(0, |device| self.key.digest(device.as_str().as_bytes()).0);
        let (mut records, mut digests): (Vec<Output>, _) = (Vec::new(), HashSet::new());
        let mut taken = Taken { calls: 0, repeated: 0, dead: 0, lines: Vec::new() };
        for line in lines {
            let digest = line.digest.wrapping_add(of);
            if self.taken().contains(&digest) || !digests.insert(digest) {
                taken.repeated += 1;
                continue;
            }
            match line.bad {
                None => taken.calls += 1,
                Some(bad) => {
                    taken.dead += 1;
                    if taken.lines.len() < LINES_TOLD_MAX {
                        taken.lines.push(bad);
                    }
                }
            }
            records.push(line.output);
        }
        self.producer.send(&records).await.map_err(refused)?;
        let mut remembered = self.taken();
        for digest in digests {
            remembered.put(digest, ());
        }
        self.meters.lines(taken.calls, taken.repeated, taken.dead);
        Ok(taken)
    }

    fn taken(&self) -> std::sync::MutexGuard<'_, LruCache<u64, ()>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The device a certificate names, which TLS has checked.
fn device_of(peer: &PeerCertificate) -> Result<Device, Problem> {
    let facts = cert_manager::facts::parse_certificate(&peer.0).ok();
    let name = facts.and_then(|facts| facts.common_name).and_then(|name| name.parse().ok());
    let nameless = || Problem::new(StatusCode::FORBIDDEN, "no-name", "the client's certificate names no device");
    name.ok_or_else(nameless)
}

fn coding(headers: &HeaderMap) -> Result<Coding, Problem> {
    let unsupported = |what| Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media-type", what);
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("?"));
    // Lines of JSON have several names; what curl sends when nobody says is one, too.
    const TYPES: [&str; 5] = [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl",
        "application/json",
        "application/x-www-form-urlencoded",
    ];
    let kind = text(CONTENT_TYPE).map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    if kind.is_some_and(|kind| !TYPES.contains(&kind.as_str())) {
        return Err(unsupported("the body is to be lines of JSON: `Content-Type: application/x-ndjson`"));
    }
    let named = Coding::named(text(CONTENT_ENCODING).unwrap_or_default());
    named.ok_or_else(|| unsupported("`Content-Encoding` may be `gzip`, `zstd` or `identity`"))
}

fn problem(error: InflateError) -> Problem {
    match error {
        InflateError::TooLong { .. } => Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-long", error.to_string()),
        InflateError::NoRoom => busy(),
        InflateError::Broken(_) => Problem::new(StatusCode::BAD_REQUEST, "broken-body", error.to_string()),
    }
}

fn too_many(line: u64) -> Problem {
    let detail = format!("more than {LINES_MAX} lines: send the rest in a body of its own");
    let mut problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-many-lines", detail);
    let detail = "the first line too many".into();
    problem.lines.push(BadLine { line, reason: schema::DeadReason::Oversize, detail });
    problem
}

/// More is in hand than may be.
fn busy() -> Problem {
    let detail = "more is in hand than may be; send the body again later";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail).retry_after(BUSY_S)
}

fn refused(error: AckError) -> Problem {
    match error {
        AckError::Full => busy(),
        error => {
            tracing::warn!(%error, "calls were not taken");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "kafka", error.to_string()).retry_after(AWAY_S)
        }
    }
}

fn failed(what: &str) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", what)
}

#[cfg(test)]
mod tests;

/// Longest body as it comes.
pub const BODY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest body once it is inflated.
pub const INFLATED_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of bodies in hand, as they came and inflated; what is beyond is answered 429.
pub const IN_FLIGHT_BYTES_MAX: usize = 64 * 1024 * 1024;
const UNIT_BYTES: usize = 1024;
/// Lines remembered so that they are not written twice.
const TAKEN_MAX: NonZeroUsize = NonZeroUsize::new(262_144).unwrap();
/// Unreadable lines that an answer names.
const LINES_TOLD_MAX: usize = 100;
/// `Retry-After` while more is in hand than may be, and while Kafka is away, in seconds.
const BUSY_S: u64 = 1;
const AWAY_S: u64 = 5;
