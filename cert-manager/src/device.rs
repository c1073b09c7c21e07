//! Names of devices and of their requests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::{Digest, HexError, hex, unhex_array};

/// A device's name: 1 to 64 of `A-Z a-z 0-9 . _ : -`, the common name of its certificates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeviceId(String);

/// Longest device name, in bytes.
pub const DEVICE_BYTES_MAX: usize = 64;

impl DeviceId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name that is empty, too long, or has a character outside the alphabet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a device name is 1 to {DEVICE_BYTES_MAX} of `A-Z a-z 0-9 . _ : -`")]
pub struct DeviceIdError;

impl FromStr for DeviceId {
    type Err = DeviceIdError;

    fn from_str(text: &str) -> Result<Self, DeviceIdError> {
        if is_name(text) { Ok(Self(text.to_owned())) } else { Err(DeviceIdError) }
    }
}

/// Whether `text` may be the name of a device, or of a class of them: it cannot smuggle anything in anywhere.
pub fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
    // A leading dash would read as an option on an operator's command line.
    (1..=DEVICE_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('-')
}

impl TryFrom<String> for DeviceId {
    type Error = DeviceIdError;
    fn try_from(text: String) -> Result<Self, DeviceIdError> {
        text.parse()
    }
}

impl From<DeviceId> for String {
    fn from(device: DeviceId) -> Self {
        device.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One try to get a certificate, the same across retries: 16 random bytes, or a hash of the request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(pub [u8; 16]);

impl RequestId {
    /// The id of a request that names none (a plain EST client): the first 16 bytes of SHA-256 over
    /// what it authenticated with and what it sent. The credential is part of it, so that the same
    /// request bytes sent later with a newer certificate are a new request.
    pub fn of_plain(credential: Digest, csr: &[u8]) -> Self {
        let mut id = [0; 16];
        let hash = Digest::of(&[&credential.0, csr].concat());
        id.iter_mut().zip(hash.0).for_each(|(to, from)| *to = from);
        Self(id)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "request:{self}")
    }
}

impl FromStr for RequestId {
    type Err = HexError;
    fn from_str(text: &str) -> Result<Self, HexError> {
        unhex_array(text).map(Self)
    }
}

impl TryFrom<String> for RequestId {
    type Error = HexError;
    fn try_from(text: String) -> Result<Self, HexError> {
        text.parse()
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_name_cannot_smuggle_paths_options_or_lines() {
        for good in ["dev-9", "a", "plant.3:press_7", &"x".repeat(64)] {
            assert!(good.parse::<DeviceId>().is_ok(), "{good}");
        }
        for bad in ["", "../x", "a b", "a\n", "-rf", "ü", &"x".repeat(65)] {
            assert_eq!(bad.parse::<DeviceId>(), Err(DeviceIdError), "{bad}");
        }
    }
}
