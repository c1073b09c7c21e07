//! What a checkpoint is put together from. As an object: one line of JSON, then a line with its digest.

use super::format::{FormatError, VERSION};
use schema::Digest;
use serde::{Deserialize, Serialize};

/// One checkpoint's segments, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) v: u32,
    pub(super) segments: Vec<Segment>,
}

/// One object with entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) digest: Digest,
}

impl Manifest {
    pub(super) fn of(segments: Vec<Segment>) -> Self {
        Self { v: VERSION, segments }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // INVARIANT: strings and integers only, so the manifest is always representable.
        let line = serde_json::to_string(self).unwrap_or_default();
        format!("{line}\n{}\n", Digest::of(line.as_bytes())).into_bytes()
    }

    pub(super) fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        const TORN: FormatError = FormatError::Torn("its checksum differs");
        let (line, digest) = std::str::from_utf8(bytes).ok().and_then(|text| text.split_once('\n')).ok_or(TORN)?;
        if digest.trim_end().parse() != Ok(Digest::of(line.as_bytes())) {
            return Err(TORN);
        }
        let version: Version = serde_json::from_str(line).map_err(|_| TORN)?;
        if version.v > VERSION {
            return Err(FormatError::NewerVersion(version.v));
        }
        serde_json::from_str(line).map_err(|_| TORN)
    }
}

/// Read first: a newer version may be laid out otherwise.
#[derive(Deserialize)]
struct Version {
    v: u32,
}
