//! Bundles: models, policies and trust files for devices, signed, numbered, expiring.
//!
//! After TUF's rules: a manifest is signed by the threshold of the bundle role; its number only rises;
//! it names size and digest of its content, so that nothing endless and nothing else is taken; it
//! expires, so that a mirror cannot keep a device on an old one unseen. To go back to an older content
//! is to publish it again under a higher number.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::envelope::{Envelope, EnvelopeError, parse_envelope};
use crate::sign::{Role, SigningKey};
use crate::time::Millis;
use crate::trust::Trust;

/// Largest content of a bundle, in bytes.
pub const CONTENT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most content in one response, in bytes: a download goes on after each.
pub const CHUNK_BYTES: u64 = 256 * 1024;

/// What a bundle is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A model that runs on the device.
    Model,
    /// A policy set.
    Policy,
    /// Trust files for other programs.
    Trust,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Model, Self::Policy, Self::Trust];

    /// Its name in paths.
    pub fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Policy => "policy",
            Self::Trust => "trust",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no kind of bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not `model`, `policy` or `trust`")]
pub struct KindError(String);

impl FromStr for Kind {
    type Err = KindError;
    fn from_str(text: &str) -> Result<Self, KindError> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| KindError(text.to_owned()))
    }
}

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format, 1.
    pub v: u32,
    /// What it is for.
    pub kind: Kind,
    /// Its number; a device takes higher ones only.
    pub version: u64,
    /// After this moment no device takes it, and one that runs it counts as stale.
    pub expires_ms: Millis,
    /// Size of the content in bytes.
    pub size: u64,
    /// SHA-256 of the content.
    pub digest: Digest,
    /// Lowest and highest version of the device API that can run it.
    pub api: ApiRange,
}

/// Versions of the device API, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiRange {
    /// Lowest.
    pub from: u32,
    /// Highest.
    pub until: u32,
}

/// Version of the device API this program has.
pub const API_VERSION: u32 = 1;

/// How a device and a bundle stand to each other: a row of the version matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Skew {
    /// The device can run it.
    None,
    /// The device is too old for it: update the agent.
    DeviceTooOld,
    /// The bundle is too old for the device: publish a newer one.
    BundleTooOld,
}

impl ApiRange {
    /// How a device with API `version` stands to such a bundle.
    pub fn skew(self, version: u32) -> Skew {
        match version {
            v if v < self.from => Skew::DeviceTooOld,
            v if v > self.until => Skew::BundleTooOld,
            _ => Skew::None,
        }
    }
}

/// Why a bundle is refused; the device keeps the one it has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Not an envelope, too large, or signed by too few.
    #[error("manifest refused")]
    Envelope(#[from] EnvelopeError),
    /// Not a manifest.
    #[error("not a manifest")]
    Malformed,
    /// A manifest for something else than was asked for.
    #[error("a {found} manifest where a {wanted} manifest was asked for")]
    Kind {
        /// What it is for.
        found: Kind,
        /// What was asked for.
        wanted: Kind,
    },
    /// Not newer than the one held: a rollback.
    #[error("version {found}, version {held} is held")]
    Rollback {
        /// Its number.
        found: u64,
        /// The number held.
        held: u64,
    },
    /// Its time is over: a mirror that serves old metadata.
    #[error("the manifest has expired")]
    Expired,
    /// The root document's time is over: nothing new may be taken under it.
    #[error("the root document is stale: import a newer one")]
    StaleTrust,
    /// Larger than [`CONTENT_BYTES_MAX`].
    #[error("content of {0} bytes, the limit is {CONTENT_BYTES_MAX}")]
    TooLarge(u64),
    /// A device that cannot run it.
    #[error("the device's API is version {API_VERSION}: {0:?}")]
    Unsupported(Skew),
    /// Content that is not what the manifest names.
    #[error("the content is not what the manifest names")]
    Content,
}

impl Manifest {
    /// Signs the manifest.
    pub fn sign(&self, keys: &[&SigningKey]) -> Vec<u8> {
        let payload = serde_json::to_vec(self).unwrap_or_default(); // INVARIANT: plain data serialises
        Envelope::sign(payload, Role::Bundle, keys).to_bytes()
    }

    /// Whether `content` is what the manifest names.
    pub fn names(&self, content: &[u8]) -> bool {
        content.len() as u64 == self.size && Digest::of(content) == self.digest
    }

    /// Whether a device that runs it is behind.
    pub fn stale(&self, now: Millis) -> bool {
        now > self.expires_ms
    }
}

/// Reads the payload of a manifest; says nothing of signatures.
///
/// # Errors
/// [`BundleError::Malformed`] or [`BundleError::TooLarge`].
pub fn parse_manifest(payload: &[u8]) -> Result<Manifest, BundleError> {
    let manifest: Manifest = serde_json::from_slice(payload).map_err(|_| BundleError::Malformed)?;
    match manifest {
        Manifest { v, api, .. } if v != 1 || api.from > api.until => Err(BundleError::Malformed),
        Manifest { size, .. } if size > CONTENT_BYTES_MAX => Err(BundleError::TooLarge(size)),
        manifest => Ok(manifest),
    }
}

/// Verifies a manifest offered to a device that asked for `kind` and holds number `held` (0: none).
///
/// `now` is at least the device's floor; a lower bound of the time can only make it accept what has
/// just expired, never refuse what is good.
///
/// # Errors
/// [`BundleError`]; the device keeps what it has.
pub fn accept(bytes: &[u8], kind: Kind, held: u64, trust: &Trust, now: Millis) -> Result<Manifest, BundleError> {
    let envelope = parse_envelope(bytes)?;
    let payload = envelope.verify(Role::Bundle, trust.keys(Role::Bundle), trust.threshold(Role::Bundle))?;
    let manifest = parse_manifest(payload)?;
    if manifest.kind != kind {
        return Err(BundleError::Kind { found: manifest.kind, wanted: kind });
    }
    if manifest.version <= held {
        return Err(BundleError::Rollback { found: manifest.version, held });
    }
    if trust.stale(now) {
        return Err(BundleError::StaleTrust);
    }
    if manifest.stale(now) {
        return Err(BundleError::Expired);
    }
    match manifest.api.skew(API_VERSION) {
        Skew::None => Ok(manifest),
        skew => Err(BundleError::Unsupported(skew)),
    }
}
