//! How long a gRPC caller waits.

use std::time::Duration;

/// The `grpc-timeout` header: up to eight digits and a unit (gRPC over HTTP/2, "Requests"). None when it is malformed:
/// the route's own deadline then holds.
pub fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_the_protocol_says() {
        assert_eq!(grpc_timeout("200m"), Some(Duration::from_millis(200)));
        assert_eq!(grpc_timeout("99999999H"), Some(Duration::from_secs(359_999_996_400)));
        for bad in ["", "m", "1", "123456789m", "-1m", "1é", "é", "1 m"] {
            assert_eq!(grpc_timeout(bad), None, "{bad}");
        }
    }
}
