//! What the door counts.

use axum::http::StatusCode;
use std::sync::atomic::{AtomicU64, Ordering};

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 202.
    Taken,
    /// No known key, no name.
    Refused,
    /// 429.
    Busy,
    /// Nothing that can be read.
    Bad,
    /// Kafka is away, or we are at fault.
    Failed,
}

impl Outcome {
    /// All, in order.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Taken, "taken"),
        (Self::Refused, "refused"),
        (Self::Busy, "busy"),
        (Self::Bad, "bad"),
        (Self::Failed, "failed"),
    ];

    /// The outcome an answer's status means.
    pub fn of(status: StatusCode) -> Self {
        match status {
            status if status.is_success() => Self::Taken,
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Self::Refused,
            StatusCode::TOO_MANY_REQUESTS => Self::Busy,
            status if status.is_client_error() => Self::Bad,
            _ => Self::Failed,
        }
    }
}

/// Counts since the start.
#[derive(Debug, Default)]
pub struct Meters {
    requests: [AtomicU64; Outcome::ALL.len()],
    bytes: AtomicU64,
    calls: AtomicU64,
    repeated: AtomicU64,
    dead: AtomicU64,
}

impl Meters {
    pub(super) fn count(&self, outcome: Outcome) {
        if let Some(count) = self.requests.get(outcome as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn lines(&self, calls: u64, repeated: u64, dead: u64) {
        self.calls.fetch_add(calls, Ordering::Relaxed);
        self.repeated.fetch_add(repeated, Ordering::Relaxed);
        self.dead.fetch_add(dead, Ordering::Relaxed);
    }

    /// Requests that ended so.
    pub fn requests(&self, outcome: Outcome) -> u64 {
        self.requests.get(outcome as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Bytes of bodies, inflated.
    pub fn inflated_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Lines that were calls, that were taken before, and that could not be read, by name.
    pub fn by_kind(&self) -> [(&'static str, u64); 3] {
        [("call", &self.calls), ("repeated", &self.repeated), ("dead", &self.dead)]
            .map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}
