//! Private keys of devices and authorities, and where they are kept.
//!
//! All the rest of the crate asks a [`Key`] to sign and never sees its bytes. A [`KeyStore`] makes keys, says what is
//! written down of one (`key.pem`), and finds it again by that. There is one store, software: what is written down is
//! the key itself, PKCS#8 in PEM, in a file of mode 0600. One whose keys never leave a chip would be another variant
//! here and in `Place`, writing down a name (RFC 7512) instead: slots, order of writes and TLS stay as they are.
//!
//! Bytes of a key are wiped from memory when they are dropped: files read and written, PEM, PKCS#8. What cannot be
//! wiped is the number inside ring's own key pair, while it is in use and after.

use std::fmt;
use std::sync::Arc;

use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::{Zeroize, Zeroizing};

use crate::digest::Digest;
use crate::tls::provider;

/// Where new keys are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KeyStore {
    /// In software: what is written down is the key.
    #[default]
    Files,
}

/// A private key: it signs, and does not say what it is.
pub struct Key(Place);

/// Where a key is.
enum Place {
    Software(Software),
}

/// A key in memory.
struct Software(KeyPair);

impl Drop for Software {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A key that could not be made or used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the key store says: {0}")]
pub struct StoreError(String);

impl KeyStore {
    /// A new key on P-256.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn generate(self) -> Result<Key, StoreError> {
        match self {
            Self::Files => Ok(KeyPair::generate().map_err(|e| StoreError(e.to_string()))?.into()),
        }
    }

    /// What to write into `key.pem`, to find `key` again: secret, where the key is in software.
    pub fn record(self, key: &Key) -> Zeroizing<String> {
        match (self, &key.0) {
            (Self::Files, Place::Software(key)) => Zeroizing::new(key.0.serialize_pem()),
        }
    }

    /// The key that `record` was written for; `None` when it is none, or damaged.
    pub fn find(self, record: &[u8]) -> Option<Key> {
        match self {
            Self::Files => Some(KeyPair::from_pem(std::str::from_utf8(record).ok()?).ok()?.into()),
        }
    }
}

impl Key {
    /// Id of the key: SHA-256 of its SubjectPublicKeyInfo, as in [`crate::facts::KeyFacts::id`].
    pub fn id(&self) -> Digest {
        Digest::of(&self.subject_public_key_info())
    }

    /// The key as TLS signs with it.
    ///
    /// # Errors
    /// What rustls says of a key it cannot use.
    pub fn for_tls(&self) -> Result<Arc<dyn rustls::sign::SigningKey>, rustls::Error> {
        match &self.0 {
            // The provider wipes what it is given.
            Place::Software(key) => provider()
                .key_provider
                .load_private_key(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.0.serialize_der()))),
        }
    }
}

impl From<KeyPair> for Key {
    fn from(pair: KeyPair) -> Self {
        Self(Place::Software(Software(pair)))
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        match &self.0 {
            Place::Software(key) => key.0.der_bytes(),
        }
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match &self.0 {
            Place::Software(key) => PublicKeyData::algorithm(&key.0),
        }
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        match &self.0 {
            Place::Software(key) => rcgen::SigningKey::sign(&key.0, message),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, ..)", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_again_by_what_was_written_down_and_never_prints_itself() {
        let key = KeyStore::default().generate().unwrap();
        let record = KeyStore::Files.record(&key);
        let again = KeyStore::Files.find(record.as_bytes()).unwrap();
        assert_eq!(again.id(), key.id());
        let printed = format!("{key:?}");
        assert_eq!(printed, format!("Key({}, ..)", key.id()));
        for bad in [&b""[..], b"\xff", b"-----BEGIN PRIVATE KEY-----", &record.as_bytes()[..record.len() / 2]] {
            assert!(KeyStore::Files.find(bad).is_none());
        }
    }

    #[test]
    fn what_a_key_signs_its_certificate_and_tls_vouch_for() {
        let key = KeyStore::Files.generate().unwrap();
        let certificate = rcgen::CertificateParams::new(vec!["dev-9".to_owned()]).unwrap().self_signed(&key).unwrap();
        assert_eq!(crate::facts::parse_certificate(certificate.der()).unwrap().key.id, key.id());
        let pair = rustls::sign::CertifiedKey::new(vec![certificate.der().clone()], key.for_tls().unwrap());
        assert_eq!(pair.keys_match(), Ok(()));
    }
}
