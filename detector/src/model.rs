//! A fitted model: a versioned, checksummed file. It holds counts, weights and unkeyed hashes of names, no text.

use crate::conformal::Calibration;
use crate::fusion::Expert;
use crate::markov::Markov;
use crate::provenance::Provenance;
use crate::strength::Strength;
use schema::Digest;
use serde::{Deserialize, Serialize};

/// Everything `observe` needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub(crate) strength: Strength,
    pub(crate) markov: Markov,
    pub(crate) provenance: Provenance,
    pub(crate) experts: Vec<Expert>,
    pub(crate) calibration: Calibration,
    pub(crate) extraction: Option<crate::extraction::Honest>,
    /// Sessions it was fitted on.
    pub(crate) sessions: u32,
    /// Sessions that looked like hijacks and were left out.
    pub(crate) left_out: u32,
}

/// Why bytes are no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Not a model file at all.
    #[error("not a vedette model: the file does not start with `VEDETTEM`")]
    NotAModel,
    /// Another version.
    #[error("model version {found}, this build reads version {VERSION}")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// Cut off or altered.
    #[error("the model is torn or altered: its checksum does not match")]
    Checksum,
    /// Over the size limit.
    #[error("the model has {found} bytes, over the limit of {MODEL_BYTES_MAX}")]
    Oversize {
        /// Bytes given.
        found: usize,
    },
    /// The checksum holds and the content does not.
    #[error("the model's content cannot be read: {0}")]
    Content(String),
}

const MAGIC: &[u8; 8] = b"VEDETTEM";
/// Version of the file format; any change of the model's types, or of what its features say, raises it.
const VERSION: u32 = 9;
const HEAD: usize = 8 + 4 + 32;
/// Largest model file read.
pub const MODEL_BYTES_MAX: usize = 256 * 1024 * 1024;

impl Model {
    /// The file: `VEDETTEM`, version (u32 LE), SHA-256 of the content, content (postcard).
    pub fn to_bytes(&self) -> Vec<u8> {
        let content = postcard::to_allocvec(self).unwrap_or_default(); // INVARIANT: no type here fails to serialise.
        let mut out = Vec::with_capacity(HEAD + content.len());
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&Digest::of(&content).0);
        out.extend_from_slice(&content);
        out
    }

    /// Reads a file back. Errors: [`ModelError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        if bytes.len() > MODEL_BYTES_MAX {
            return Err(ModelError::Oversize { found: bytes.len() });
        }
        let rest = bytes.strip_prefix(MAGIC.as_slice()).ok_or(ModelError::NotAModel)?;
        let (version, rest) = rest.split_first_chunk::<4>().ok_or(ModelError::Checksum)?;
        let found = u32::from_le_bytes(*version);
        if found != VERSION {
            return Err(ModelError::Version { found });
        }
        let (checksum, content) = rest.split_first_chunk::<32>().ok_or(ModelError::Checksum)?;
        if Digest::of(content).0 != *checksum {
            return Err(ModelError::Checksum);
        }
        postcard::from_bytes(content).map_err(|error| ModelError::Content(error.to_string()))
    }

    /// SHA-256 of the file.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Sessions it was fitted on.
    pub fn sessions(&self) -> u32 {
        self.sessions
    }

    /// Sessions that looked like hijacks and were left out of the fit.
    pub fn left_out(&self) -> u32 {
        self.left_out
    }
}
