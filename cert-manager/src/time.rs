//! Milliseconds since the Unix epoch, and the interval in which a certificate is valid.

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch. Arithmetic saturates: times come from outside.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// From seconds since the epoch; a time before 1970 is the epoch.
    pub fn from_unix_seconds(seconds: i64) -> Self {
        Self(u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000))
    }

    /// Whole seconds since the epoch.
    pub fn unix_seconds(self) -> u64 {
        self.0 / 1_000
    }

    /// Time since `earlier`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// A length of time in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub u64);

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);

    /// `n` seconds.
    pub const fn seconds(n: u64) -> Self {
        Self(n.saturating_mul(1_000))
    }

    /// `n` minutes.
    pub const fn minutes(n: u64) -> Self {
        Self::seconds(n.saturating_mul(60))
    }

    /// `n` hours.
    pub const fn hours(n: u64) -> Self {
        Self::minutes(n.saturating_mul(60))
    }

    /// `n` days of 24 hours.
    pub const fn days(n: u64) -> Self {
        Self::hours(n.saturating_mul(24))
    }

    /// `numerator / denominator` of this span, rounded down; a zero denominator gives zero.
    pub fn fraction(self, numerator: u64, denominator: u64) -> Self {
        let product = u128::from(self.0) * u128::from(numerator);
        let share = product.checked_div(u128::from(denominator)).unwrap_or(0);
        Self(u64::try_from(share).unwrap_or(u64::MAX))
    }
}

impl Add<Span> for Millis {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Millis {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

/// In UTC and to the second (RFC 3339): `2026-11-22T10:24:00Z`. Past the year 9999, in milliseconds.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.unix_seconds()).ok();
        let Some(at) = seconds.and_then(|s| time::OffsetDateTime::from_unix_timestamp(s).ok()) else {
            return write!(f, "{} ms", self.0);
        };
        let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
        write!(f, "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", at.hour(), at.minute(), at.second())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 / 1_000 {
            s if s >= 2 * 86_400 => write!(f, "{} days", s / 86_400),
            s if s >= 2 * 3_600 => write!(f, "{} hours", s / 3_600),
            s if s >= 120 => write!(f, "{} minutes", s / 60),
            s => write!(f, "{s} s"),
        }
    }
}

/// When a certificate is valid: both ends included, as in RFC 5280 section 4.1.2.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// `notBefore`.
    pub from: Millis,
    /// `notAfter`.
    pub until: Millis,
}

impl Validity {
    /// How long the certificate lives.
    pub fn life(self) -> Span {
        self.until.since(self.from)
    }

    /// Whether `now` is past the last valid moment.
    pub fn expired(self, now: Millis) -> bool {
        now > self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_before_1970_is_the_epoch_and_a_far_one_saturates() {
        assert_eq!(Millis::from_unix_seconds(-5), Millis(0));
        assert_eq!(Millis::from_unix_seconds(i64::MAX), Millis(u64::MAX));
        assert_eq!(Millis(u64::MAX) + Span(1), Millis(u64::MAX));
    }

    #[test]
    fn a_fraction_of_a_span_never_overflows() {
        assert_eq!(Span::days(90).fraction(2, 3), Span::days(60));
        assert_eq!(Span(u64::MAX).fraction(2, 3).0, 12_297_829_382_473_034_410);
        assert_eq!(Span(10).fraction(1, 0), Span::ZERO);
    }
}
