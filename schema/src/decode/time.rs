//! Times as logs write them: numbers in a unit, or RFC 3339.

use super::DecodeError;
use crate::limits::{AT_MS_MAX, FUTURE_MS_MAX};
use crate::{DeadReason, Millis};
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Parts of a second that a number counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Seconds, with a fraction or without.
    S,
    /// Milliseconds.
    #[default]
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

impl Unit {
    fn to_ms(self, number: f64) -> f64 {
        match self {
            Self::S => number * 1e3,
            Self::Ms => number,
            Self::Us => number / 1e3,
            Self::Ns => number / 1e6,
        }
    }
}

/// The time in `value`: a number (or one written as text) of `unit` since the epoch, or RFC 3339. `field` names it in
/// errors; `received` bounds how far ahead it may lie.
pub(super) fn of(value: &Value, field: &str, unit: Unit, received: Millis) -> Result<Millis, DecodeError> {
    let bad = |what: &str| DecodeError::new(DeadReason::BadTime, format!("`{field}` {what}"));
    let ms = match value {
        Value::Number(number) => unit.to_ms(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => match text.parse::<f64>() {
            Ok(number) => unit.to_ms(number),
            Err(_) => parsed(text).ok_or_else(|| bad("is neither a number nor a time as RFC 3339 writes it"))?,
        },
        _ => return Err(DecodeError::new(DeadReason::WrongType, format!("`{field}` is neither a number nor a text"))),
    };
    // NaN fails the comparison, too.
    if !(0.0..=AT_MS_MAX as f64).contains(&ms) {
        return Err(bad("is negative or beyond the year 2200"));
    }
    let at = Millis(ms as u64);
    if at.0 > received.0.saturating_add(FUTURE_MS_MAX) {
        return Err(bad("lies more than a day ahead of the transport's clock"));
    }
    Ok(at)
}

/// The time as RFC 3339 writes it, in UTC with milliseconds: `2026-11-22T11:04:00.062Z`.
pub fn rfc3339(at: Millis) -> String {
    let nanos = i128::from(at.0.min(AT_MS_MAX)) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, millisecond) = (time.date(), time.millisecond());
    format!("{date}T{:02}:{:02}:{:02}.{millisecond:03}Z", time.hour(), time.minute(), time.second())
}

/// The time that `text` states as RFC 3339 has it; none for anything else, and for times before the epoch.
pub fn parse(text: &str) -> Option<Millis> {
    parsed(text).filter(|ms| (0.0..=AT_MS_MAX as f64).contains(ms)).map(|ms| Millis(ms as u64))
}

/// Milliseconds since the epoch, negative before it.
fn parsed(text: &str) -> Option<f64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some((time.unix_timestamp_nanos() / 1_000_000) as f64)
}

/// Milliseconds of a duration: a number of ms, or a text with its unit (`476ms`, `1.5s`, `80us`); none for anything else.
pub(super) fn duration_ms(value: &Value) -> Option<f64> {
    let ms = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => {
            let at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
            let (number, unit) = text.split_at_checked(at)?;
            let unit = match unit {
                "" | "ms" => Unit::Ms,
                "s" => Unit::S,
                "us" | "µs" => Unit::Us,
                "ns" => Unit::Ns,
                _ => return None,
            };
            unit.to_ms(number.parse().ok()?)
        }
        _ => return None,
    };
    (ms >= 0.0 && ms.is_finite()).then_some(ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_time_is_read_in_every_way_a_log_writes_it() {
        let now = Millis(1_795_343_100_000);
        let check = |value: Value, unit, ms| assert_eq!(of(&value, "time", unit, now), Ok(Millis(ms)), "{value}");
        check(json!(1_795_343_040_062u64), Unit::Ms, 1_795_343_040_062);
        check(json!("1795343040062000000"), Unit::Ns, 1_795_343_040_062);
        check(json!(1_795_343_040.5), Unit::S, 1_795_343_040_500);
        check(json!("2026-11-22T11:04:00.062Z"), Unit::Ms, 1_795_345_440_062);
        check(json!("2026-11-22T12:04:00.062+01:00"), Unit::Ms, 1_795_345_440_062);
    }

    #[test]
    fn a_time_is_written_as_it_was_read() {
        let at = Millis(1_795_345_440_062);
        assert_eq!(rfc3339(at), "2026-11-22T11:04:00.062Z");
        assert_eq!(of(&json!(rfc3339(at)), "time", Unit::Ms, at), Ok(at));
        assert_eq!(rfc3339(Millis(0)), "1970-01-01T00:00:00.000Z");
        assert!(rfc3339(Millis(u64::MAX)).starts_with("2200-"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let now = Millis(1_795_343_040_062);
        for value in [
            json!(-1),
            json!("1e300"),
            json!("NaN"),
            json!("1969-12-31T23:59:59Z"),
            json!("yesterday"),
            json!(1_995_343_040_062u64),
        ] {
            assert_eq!(of(&value, "time", Unit::Ms, now).unwrap_err().reason, DeadReason::BadTime, "{value}");
        }
        assert_eq!(of(&json!([1]), "time", Unit::Ms, now).unwrap_err().reason, DeadReason::WrongType);
    }

    #[test]
    fn a_duration_is_milliseconds_whatever_its_unit() {
        for (value, ms) in [
            (json!(7), Some(7.0)),
            (json!("476ms"), Some(476.0)),
            (json!("1.5s"), Some(1500.0)),
            (json!("80µs"), Some(0.08)),
        ] {
            assert_eq!(duration_ms(&value), ms, "{value}");
        }
        for value in [json!("-"), json!(-5), json!("5 minutes"), json!({}), json!("é")] {
            assert_eq!(duration_ms(&value), None, "{value}");
        }
    }
}
