//! Ed25519 signatures under a role: what is signed as a receipt can never pass as a time answer.

use std::fmt;

use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::digest::{Digest, HexError, hex, unhex_array};

/// What a key may sign. The name goes into every signed message, so roles cannot be swapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Root documents of the trust chain.
    Root,
    /// Receipts of the ledger.
    Receipt,
    /// Answers to "what time is it".
    Time,
    /// Status lists.
    Status,
    /// Model, policy and trust bundles.
    Bundle,
}

impl Role {
    /// Every role, in the order they are written in a root document.
    pub const ALL: [Self; 5] = [Self::Root, Self::Receipt, Self::Time, Self::Status, Self::Bundle];

    /// The name that is part of each signed message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "vedette-root-v1",
            Self::Receipt => "vedette-receipt-v1",
            Self::Time => "vedette-time-v1",
            Self::Status => "vedette-status-v1",
            Self::Bundle => "vedette-bundle-v1",
        }
    }
}

/// Length of an Ed25519 signature, in bytes.
pub const SIGNATURE_BYTES: usize = 64;

/// A private Ed25519 key.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    /// PKCS#8, as stored; wiped when dropped.
    pkcs8: Zeroizing<Vec<u8>>,
}

/// A key that cannot be made or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The system gave no random bytes.
    #[error("no random bytes from the system")]
    NoRandomness,
    /// Not a PKCS#8 Ed25519 key.
    #[error("not a PKCS#8 Ed25519 key")]
    Malformed,
}

impl SigningKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`KeyError::NoRandomness`].
    pub fn generate() -> Result<Self, KeyError> {
        let random = ring::rand::SystemRandom::new();
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| KeyError::NoRandomness)?;
        Self::from_pkcs8(pkcs8.as_ref())
    }

    /// Reads a PKCS#8 key.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(|_| KeyError::Malformed)?;
        Ok(Self { pair, pkcs8: Zeroizing::new(pkcs8.to_vec()) })
    }

    /// The key as PKCS#8, to store in a file that only its owner reads.
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.pair.public_key().as_ref()); // INVARIANT: Ed25519 keys are 32 bytes
        PublicKey(bytes)
    }

    /// Signs `payload` as `role`.
    pub fn sign(&self, role: Role, payload: &[u8]) -> [u8; SIGNATURE_BYTES] {
        let mut out = [0; SIGNATURE_BYTES];
        out.copy_from_slice(self.pair.sign(&message(role, payload)).as_ref()); // INVARIANT: always 64 bytes
        out
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, ..)", self.public().id())
    }
}

/// A public Ed25519 key; written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(pub [u8; 32]);

impl PublicKey {
    /// The key's identity: SHA-256 of its 32 bytes.
    pub fn id(&self) -> Digest {
        Digest::of(&self.0)
    }

    /// Whether `signature` is this key's over `payload` as `role`.
    pub fn verifies(&self, role: Role, payload: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(&message(role, payload), signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", hex(&self.0))
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        hex(&key.0)
    }
}

impl TryFrom<String> for PublicKey {
    type Error = HexError;
    fn try_from(text: String) -> Result<Self, HexError> {
        unhex_array(&text).map(Self)
    }
}

/// What is really signed: role, a zero byte, payload. No role name holds a zero byte, so no two
/// (role, payload) pairs give one message.
fn message(role: Role, payload: &[u8]) -> Vec<u8> {
    [role.name().as_bytes(), &[0], payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_role_and_payload_only() {
        let key = SigningKey::generate().unwrap();
        let signature = key.sign(Role::Time, b"12:00");
        assert!(key.public().verifies(Role::Time, b"12:00", &signature));
        assert!(!key.public().verifies(Role::Receipt, b"12:00", &signature));
        assert!(!key.public().verifies(Role::Time, b"12:01", &signature));
        assert!(!key.public().verifies(Role::Time, b"12:00", &signature[..63]));
    }

    #[test]
    fn a_key_survives_its_stored_form_and_never_prints_itself() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_pkcs8(key.pkcs8()).unwrap();
        assert_eq!(key.public(), again.public());
        assert_eq!(SigningKey::from_pkcs8(b"no").unwrap_err(), KeyError::Malformed);
        assert_eq!(format!("{key:?}"), format!("SigningKey({}, ..)", key.public().id()));
    }
}
