//! What time it certainly is not before, on a device whose clock may be anything.
//!
//! The floor is the newest of: build time, signed server times, and dates in verified metadata. The
//! local clock never raises it. A signed time answers a fresh nonce, so an old answer is no answer.

use serde::{Deserialize, Serialize};

use crate::digest::{HexError, hex, unhex_array};
use crate::envelope::{Envelope, EnvelopeError, parse_envelope};
use crate::sign::{PublicKey, Role, SigningKey};
use crate::time::{Millis, Span};

/// When this program was made, as far as it knows: no device that runs it lives earlier.
pub const BUILD_TIME: Millis = Millis(1_795_305_600_000); // 22 November 2026, moved on at each release

/// Sixteen random bytes that make one time answer good for one question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Nonce(pub [u8; 16]);

impl From<Nonce> for String {
    fn from(nonce: Nonce) -> Self {
        hex(&nonce.0)
    }
}

impl TryFrom<String> for Nonce {
    type Error = HexError;
    fn try_from(text: String) -> Result<Self, HexError> {
        unhex_array(&text).map(Self)
    }
}

/// What a time answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeAnswer {
    /// The nonce of the question.
    pub nonce: Nonce,
    /// The server's clock.
    pub time_ms: Millis,
    /// The newest root document the server has, so that a device knows whether to walk.
    pub trust_version: u32,
}

/// Why a time answer is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimeError {
    /// Not an envelope, or not signed by a time key.
    #[error("time answer refused")]
    Envelope(#[from] EnvelopeError),
    /// Not a time answer.
    #[error("not a time answer")]
    Malformed,
    /// An answer to another question: a replay.
    #[error("time answer to another question")]
    Nonce,
}

impl TimeAnswer {
    /// Signs the answer.
    pub fn sign(&self, key: &SigningKey) -> Vec<u8> {
        let payload = serde_json::to_vec(self).unwrap_or_default(); // INVARIANT: plain data serialises
        Envelope::sign(payload, Role::Time, &[key]).to_bytes()
    }
}

/// Reads and verifies a time answer.
///
/// # Errors
/// [`TimeError`].
pub fn read_time_answer(bytes: &[u8], keys: &[PublicKey], nonce: Nonce) -> Result<TimeAnswer, TimeError> {
    let envelope = parse_envelope(bytes)?;
    let payload = envelope.verify(Role::Time, keys, 1)?;
    let answer: TimeAnswer = serde_json::from_slice(payload).map_err(|_| TimeError::Malformed)?;
    if answer.nonce == nonce { Ok(answer) } else { Err(TimeError::Nonce) }
}

/// The moment it certainly is not before. Only ever rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Floor(Millis);

impl Default for Floor {
    fn default() -> Self {
        Self(BUILD_TIME)
    }
}

impl Floor {
    /// Its value.
    pub fn at(self) -> Millis {
        self.0
    }

    /// Raised to a moment that a verified signature vouches for; never lowered.
    #[must_use]
    pub fn raised(self, signed: Millis) -> Self {
        Self(self.0.max(signed))
    }
}

/// What a device makes of its clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The certain lower bound.
    pub floor: Floor,
    /// What the local clock says; may be anything.
    pub local: Millis,
    /// A signed time of this boot, and how long ago by a clock that cannot be set.
    pub signed: Option<(Millis, Span)>,
}

impl Clock {
    /// Best guess of now. With a signed time of this boot the local clock is not asked at all; without
    /// one it may add urgency, which costs at most one question for the time.
    pub fn now(&self) -> Millis {
        match self.signed {
            Some((at, ago)) => self.floor.0.max(at + ago),
            None => self.floor.0.max(self.local),
        }
    }

    /// Whether the guess rests on a signed time.
    pub fn sure(&self) -> bool {
        self.signed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: Nonce = Nonce([7; 16]);

    #[test]
    fn a_replayed_a_forged_and_a_foreign_time_answer_are_refused() {
        let (key, thief) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let answer = TimeAnswer { nonce: NONCE, time_ms: Millis(5), trust_version: 3 };
        let keys = [key.public()];
        assert_eq!(read_time_answer(&answer.sign(&key), &keys, NONCE), Ok(answer));
        assert_eq!(read_time_answer(&answer.sign(&key), &keys, Nonce([8; 16])), Err(TimeError::Nonce));
        let short = TimeError::Envelope(EnvelopeError::Threshold { found: 0, threshold: 1 });
        assert_eq!(read_time_answer(&answer.sign(&thief), &keys, NONCE), Err(short));
        let other = Envelope::sign(b"{}".to_vec(), Role::Time, &[&key]).to_bytes();
        assert_eq!(read_time_answer(&other, &keys, NONCE), Err(TimeError::Malformed));
    }

    #[test]
    fn the_local_clock_adds_urgency_but_never_raises_the_floor() {
        let floor = Floor::default().raised(BUILD_TIME + Span::days(100));
        assert_eq!(floor.raised(Millis(0)), floor, "1970 does not lower it");
        let clock = |local, signed| Clock { floor, local, signed };
        let far = floor.at() + Span::days(3_650);
        assert_eq!(clock(Millis(0), None).now(), floor.at());
        assert_eq!(clock(far, None).now(), far);
        assert!(!clock(far, None).sure());
        let signed = floor.at() + Span::days(1);
        assert_eq!(clock(far, Some((signed, Span::hours(2)))).now(), signed + Span::hours(2));
    }
}
