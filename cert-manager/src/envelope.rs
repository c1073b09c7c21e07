//! Signed JSON: the exact bytes signed travel beside their signatures, so nothing is re-serialised.
//!
//! `{"signed":"<base64 of the payload>","signatures":[{"key":"<id>","sig":"<base64>"}]}`. After DSSE
//! and TUF; the role is part of what is signed (see [`crate::sign`]).

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::sign::{PublicKey, Role, SigningKey};

/// Largest envelope that is read, in bytes.
pub const ENVELOPE_BYTES_MAX: usize = 64 * 1024;
/// Most signatures that are looked at.
pub const SIGNATURES_MAX: usize = 32;

/// A payload and who signed it. Parsed is not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    payload: Vec<u8>,
    signatures: Vec<(Digest, Vec<u8>)>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    signed: String,
    signatures: Vec<WireSignature>,
}

#[derive(Serialize, Deserialize)]
struct WireSignature {
    key: Digest,
    sig: String,
}

/// Why an envelope is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Longer than [`ENVELOPE_BYTES_MAX`].
    #[error("signed document of {found} bytes, the limit is {ENVELOPE_BYTES_MAX}")]
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// Not an envelope.
    #[error("not a signed document")]
    Malformed,
    /// Fewer good signatures than asked for.
    #[error("{found} of {threshold} signatures")]
    Threshold {
        /// Different keys of the role that signed.
        found: usize,
        /// How many must.
        threshold: usize,
    },
}

/// Reads an envelope; signatures are kept, not checked.
///
/// # Errors
/// [`EnvelopeError::TooLarge`] or [`EnvelopeError::Malformed`].
pub fn parse_envelope(bytes: &[u8]) -> Result<Envelope, EnvelopeError> {
    if bytes.len() > ENVELOPE_BYTES_MAX {
        return Err(EnvelopeError::TooLarge { found: bytes.len() });
    }
    let wire: Wire = serde_json::from_slice(bytes).map_err(|_| EnvelopeError::Malformed)?;
    if wire.signatures.len() > SIGNATURES_MAX {
        return Err(EnvelopeError::Malformed);
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| EnvelopeError::Malformed);
    let signatures: Result<Vec<_>, _> = wire.signatures.iter().map(|s| Ok((s.key, decode(&s.sig)?))).collect();
    Ok(Envelope { payload: decode(&wire.signed)?, signatures: signatures? })
}

impl Envelope {
    /// Signs `payload` as `role` with each of `keys`.
    pub fn sign(payload: Vec<u8>, role: Role, keys: &[&SigningKey]) -> Self {
        let one = |key: &&SigningKey| (key.public().id(), key.sign(role, &payload).to_vec());
        let signatures = keys.iter().map(one).collect();
        Self { payload, signatures }
    }

    /// The bytes that travel.
    pub fn to_bytes(&self) -> Vec<u8> {
        let signatures =
            self.signatures.iter().map(|(key, sig)| WireSignature { key: *key, sig: STANDARD.encode(sig) });
        let wire = Wire { signed: STANDARD.encode(&self.payload), signatures: signatures.collect() };
        serde_json::to_vec(&wire).unwrap_or_default() // INVARIANT: text and lists always serialise
    }

    /// The payload, once `threshold` different keys of `keys` have signed it as `role`.
    ///
    /// # Errors
    /// [`EnvelopeError::Threshold`]; also when the threshold is zero, which would accept anything.
    pub fn verify(&self, role: Role, keys: &[PublicKey], threshold: usize) -> Result<&[u8], EnvelopeError> {
        let good: BTreeSet<PublicKey> = self
            .signatures
            .iter()
            .filter_map(|(id, sig)| keys.iter().find(|key| key.id() == *id).map(|key| (key, sig)))
            .filter(|(key, sig)| key.verifies(role, &self.payload, sig))
            .map(|(key, _)| *key)
            .collect(); // a set: one key that signs twice counts once
        if threshold == 0 || good.len() < threshold {
            return Err(EnvelopeError::Threshold { found: good.len(), threshold });
        }
        Ok(&self.payload)
    }

    /// The payload before anyone has vouched for it: only to learn which keys to check it with.
    pub(crate) fn unverified(&self) -> &[u8] {
        &self.payload
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_counts_different_keys_of_the_role() {
        let (a, b, c) = (key(), key(), key());
        let both = Envelope::sign(b"x".to_vec(), Role::Root, &[&a, &b]);
        let both = parse_envelope(&both.to_bytes()).unwrap();
        let keys = [a.public(), b.public(), c.public()];
        assert_eq!(both.verify(Role::Root, &keys, 2), Ok(&b"x"[..]));
        assert_eq!(both.verify(Role::Root, &keys, 3), Err(EnvelopeError::Threshold { found: 2, threshold: 3 }));
        assert_eq!(both.verify(Role::Bundle, &keys, 1), Err(EnvelopeError::Threshold { found: 0, threshold: 1 }));
        assert!(both.verify(Role::Root, &keys, 0).is_err());
        let twice = Envelope::sign(b"x".to_vec(), Role::Root, &[&a, &a]);
        assert_eq!(twice.verify(Role::Root, &keys, 2), Err(EnvelopeError::Threshold { found: 1, threshold: 2 }));
    }

    fn key() -> SigningKey {
        SigningKey::generate().unwrap()
    }

    #[test]
    fn odd_documents_are_refused() {
        for bad in [
            "",
            "{}",
            "[]",
            r#"{"signed":"%","signatures":[]}"#,
            r#"{"signed":"","signatures":[{"key":"a","sig":""}]}"#,
        ] {
            assert_eq!(parse_envelope(bad.as_bytes()), Err(EnvelopeError::Malformed), "{bad}");
        }
        let huge = vec![b' '; ENVELOPE_BYTES_MAX + 1];
        assert_eq!(parse_envelope(&huge), Err(EnvelopeError::TooLarge { found: huge.len() }));
    }
}
