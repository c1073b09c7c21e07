//! Numbers that carry their unit and their range.

use serde::{Deserialize, Serialize};

/// Why a number is none of ours.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitError {
    /// Not a finite number in `[0, 1]`.
    #[error("{what} must lie in 0..=1, got {found}")]
    Share {
        /// Which unit.
        what: &'static str,
        /// What was given.
        found: f64,
    },
    /// Not `sha256:` and 64 hex digits.
    #[error("a digest is `sha256:` and 64 hex digits, got `{found}`")]
    Digest {
        /// What was given, cut to 80 bytes.
        found: String,
    },
}

/// Milliseconds since the Unix epoch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// Milliseconds from `earlier` to here; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

macro_rules! share {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// A finite number in `[0, 1]`.
            pub fn new(value: f64) -> Result<Self, UnitError> {
                if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(UnitError::Share { what: $what, found: value }) }
            }
            /// Nearest value in `[0, 1]`; NaN becomes 1, the end that hides nothing.
            pub fn clamped(value: f64) -> Self {
                if value.is_nan() { Self(1.0) } else { Self(value.clamp(0.0, 1.0)) }
            }
            /// The number.
            pub fn get(self) -> f64 {
                self.0
            }
        }
        impl TryFrom<f64> for $name {
            type Error = UnitError;
            fn try_from(value: f64) -> Result<Self, UnitError> {
                Self::new(value)
            }
        }
        impl From<$name> for f64 {
            fn from(share: $name) -> f64 {
                share.0
            }
        }
    };
}

share!(
    /// How anomalous a session looks at a call: higher is more anomalous. It never saturates, so calls can be ranked.
    Risk, "risk");
share!(
    /// Share of clean sessions that ever look at least this anomalous (conformal; smaller is more anomalous).
    PValue, "p-value");

/// SHA-256 of a model, policy set or bundle; written `sha256:<hex>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Digest(pub [u8; 32]);

/// Every verdict holds one: written without formatter or allocation.
impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let digit = |nibble: u8| if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 };
        let mut text = *b"sha256:0000000000000000000000000000000000000000000000000000000000000000";
        let (_, digits) = text.split_at_mut("sha256:".len());
        for (pair, byte) in digits.chunks_mut(2).zip(self.0) {
            if let [high, low] = pair {
                (*high, *low) = (digit(byte >> 4), digit(byte & 15));
            }
        }
        out.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

impl std::str::FromStr for Digest {
    type Err = UnitError;
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bad = || UnitError::Digest { found: text.chars().take(80).collect() };
        let hex = text.strip_prefix("sha256:").filter(|h| h.len() == 64 && h.is_ascii()).ok_or_else(bad)?;
        let mut bytes = [0u8; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(bad)?;
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = UnitError;
    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_refuse_what_is_no_share() {
        assert!(Risk::new(0.5).is_ok());
        assert!(Risk::new(f64::NAN).is_err() && Risk::new(1.1).is_err() && Risk::new(-0.1).is_err());
        assert_eq!(Risk::clamped(f64::NAN).get(), 1.0);
    }

    #[test]
    fn a_digest_reads_back_what_it_writes() {
        let digest = Digest::of(b"model");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("sha256:12".parse::<Digest>().is_err());
        assert!(format!("sha256:{}", "é".repeat(32)).parse::<Digest>().is_err());
    }
}
