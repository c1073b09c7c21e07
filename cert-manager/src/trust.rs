//! The trust chain: numbered root documents, each vouched for by the one before it, after TUF 5.3.
//!
//! Document N+1 must be signed by the threshold of N's root keys and by the threshold of its own. A
//! device walks every step, however long it was away. The newest document names the certificate
//! anchors (with their dates: TLS trust anchors carry none) and the keys for every other role.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::{Envelope, EnvelopeError, parse_envelope};
use crate::sign::{PublicKey, Role, SigningKey};
use crate::time::{Millis, Validity};

/// Most steps one walk takes.
pub const STEPS_MAX: usize = 1_024;
/// Most keys, and most anchors, in one document.
pub const ENTRIES_MAX: usize = 64;

/// What a root document says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootDocument {
    /// Format, 1.
    pub v: u32,
    /// Number of this document; the next one has exactly one more.
    pub version: u32,
    /// After this moment the newest document is stale: known certificates work on, no new bundle is
    /// taken. Documents in the middle of a walk may be older than this (TUF 5.3.9).
    pub expires_ms: Millis,
    /// Keys and threshold of each role.
    pub roles: BTreeMap<Role, RoleKeys>,
    /// Certificate authorities devices and servers accept.
    pub anchors: Vec<Anchor>,
}

/// Who may sign for one role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// How many different keys must sign.
    pub threshold: usize,
    /// The keys.
    pub keys: Vec<PublicKey>,
}

/// A certificate authority and when it may be believed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The DER certificate, base64.
    pub certificate: String,
    /// First and last moment it is believed.
    pub validity: Validity,
}

/// The newest document known, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    document: RootDocument,
    digest: Digest,
    bytes: Vec<u8>,
}

/// Why a root document is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// Not an envelope, too large, or signed by too few.
    #[error("root document refused")]
    Envelope(#[from] EnvelopeError),
    /// The payload is not a root document, or breaks a limit.
    #[error("not a root document: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// Not the next number: a rollback, or a skipped step.
    #[error("root document {found}, expected {expected}")]
    Version {
        /// The number it has.
        found: u32,
        /// The number it must have.
        expected: u32,
    },
    /// More than [`STEPS_MAX`] steps in one walk.
    #[error("more than {STEPS_MAX} root documents in one walk")]
    Endless,
}

impl Trust {
    /// Takes the first document, which the owner put on the device: signed by its own threshold.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn start(bytes: &[u8]) -> Result<Self, TrustError> {
        let envelope = parse_envelope(bytes)?;
        let document = parse_root_document(envelope.unverified())?;
        verify(&envelope, &document)?;
        Ok(Self { document, digest: Digest::of(bytes), bytes: bytes.to_vec() })
    }

    /// Takes the next document.
    ///
    /// # Errors
    /// [`TrustError`]; `self` is what it was.
    pub fn step(&self, bytes: &[u8]) -> Result<Self, TrustError> {
        let envelope = parse_envelope(bytes)?;
        // The old keys first: nothing inside is looked at before they vouch for it.
        verify(&envelope, &self.document)?;
        let document = parse_root_document(envelope.unverified())?;
        let expected = self.document.version.saturating_add(1);
        if document.version != expected {
            return Err(TrustError::Version { found: document.version, expected });
        }
        verify(&envelope, &document)?;
        Ok(Self { document, digest: Digest::of(bytes), bytes: bytes.to_vec() })
    }

    /// Takes documents one by one, and stops at the end or at the first bad one.
    ///
    /// Gives the newest good one and, where it stopped early, why. A good prefix is kept: it is
    /// signed, and a device that refused it would be stuck behind one bad mirror.
    pub fn walk<'a>(&self, documents: impl IntoIterator<Item = &'a [u8]>) -> (Self, Result<(), TrustError>) {
        let mut newest = self.clone();
        for (step, bytes) in documents.into_iter().enumerate() {
            if step >= STEPS_MAX {
                return (newest, Err(TrustError::Endless));
            }
            match newest.step(bytes) {
                Ok(next) => newest = next,
                Err(error) => return (newest, Err(error)),
            }
        }
        (newest, Ok(()))
    }

    /// Its number.
    pub fn version(&self) -> u32 {
        self.document.version
    }

    /// SHA-256 of its bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Its bytes, as received.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What it says.
    pub fn document(&self) -> &RootDocument {
        &self.document
    }

    /// Whether nothing new may be taken under it.
    pub fn stale(&self, now: Millis) -> bool {
        now > self.document.expires_ms
    }

    /// Keys of a role; empty when the document names none.
    pub fn keys(&self, role: Role) -> &[PublicKey] {
        self.document.roles.get(&role).map_or(&[], |r| &r.keys)
    }

    /// How many keys of a role must sign.
    pub fn threshold(&self, role: Role) -> usize {
        self.document.roles.get(&role).map_or(usize::MAX, |r| r.threshold)
    }

    /// DER certificates of the anchors that may be believed at `now`; those that only begin later
    /// are included, since a device's idea of now is a lower bound.
    pub fn anchors(&self, now: Millis) -> Vec<Vec<u8>> {
        let live = self.document.anchors.iter().filter(|a| !a.validity.expired(now));
        live.filter_map(|a| STANDARD.decode(&a.certificate).ok()).collect()
    }
}

impl Anchor {
    /// An anchor for a DER certificate.
    pub fn new(certificate: &[u8], validity: Validity) -> Self {
        Self { certificate: STANDARD.encode(certificate), validity }
    }
}

impl RootDocument {
    /// The document as bytes, signed by `signers`.
    pub fn sign(&self, signers: &[&SigningKey]) -> Vec<u8> {
        let payload = serde_json::to_vec(self).unwrap_or_default(); // INVARIANT: plain data serialises
        Envelope::sign(payload, Role::Root, signers).to_bytes()
    }
}

/// Reads the payload of a root document and checks every limit; says nothing of signatures.
///
/// # Errors
/// [`TrustError::Malformed`].
pub fn parse_root_document(payload: &[u8]) -> Result<RootDocument, TrustError> {
    let malformed = |reason: String| TrustError::Malformed { reason };
    let document: RootDocument = serde_json::from_slice(payload).map_err(|e| malformed(e.to_string()))?;
    if document.v != 1 {
        return Err(malformed(format!("format {}, this program reads 1", document.v)));
    }
    for (role, entry) in &document.roles {
        let different: std::collections::BTreeSet<_> = entry.keys.iter().collect();
        if entry.keys.len() > ENTRIES_MAX || different.len() != entry.keys.len() {
            return Err(malformed(format!("keys of {role:?}")));
        }
        if entry.threshold == 0 || entry.threshold > entry.keys.len() {
            return Err(malformed(format!("threshold of {role:?}")));
        }
    }
    if !document.roles.contains_key(&Role::Root) {
        return Err(malformed("no root keys".to_owned()));
    }
    let anchor = |a: &Anchor| {
        STANDARD.decode(&a.certificate).is_ok_and(|der| crate::facts::parse_certificate(&der).is_ok_and(|f| f.is_ca))
    };
    if document.anchors.len() > ENTRIES_MAX || !document.anchors.iter().all(anchor) {
        return Err(malformed("anchors".to_owned()));
    }
    Ok(document)
}

fn verify(envelope: &Envelope, by: &RootDocument) -> Result<(), TrustError> {
    let root = by.roles.get(&Role::Root).ok_or_else(|| TrustError::Malformed { reason: "no root keys".to_owned() })?;
    envelope.verify(Role::Root, &root.keys, root.threshold)?;
    Ok(())
}
