//! An announcement: what it says, and whether the file it names is what it says.

use super::MODEL_KEY;
use detector::{Detector, Model};
use ingest::{Output, Record};
use schema::{Digest, Millis, ModelRecord, topics};
use std::path::Path;

/// Why a model that was announced is not taken up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not an announcement.
    #[error("the record is no announcement of a model")]
    Malformed,
    /// By a newer build.
    #[error("record version {found}, this build reads up to {}", schema::RECORD_VERSION)]
    NewerVersion {
        /// Its version.
        found: u8,
    },
    /// A record of one model under the key of another.
    #[error("its key names another model than it does itself")]
    Key,
    /// Announced before the one in force was.
    #[error("it was announced before the one in force, whose time is {}: announce it again to go back to it", newest.0)]
    Older {
        /// When that was announced, in ms since the epoch.
        newest: Millis,
    },
    /// No file on this machine.
    #[error("its location is no path of a file on this machine")]
    Location,
    /// The file cannot be read.
    #[error("its file cannot be read: {}", source.kind())]
    Read {
        /// Why.
        source: std::io::Error,
    },
    /// The file is another one.
    #[error("its file has the digest {found}")]
    Digest {
        /// Of the file that is there.
        found: Digest,
    },
    /// The owner has not signed it, or signed a newer one.
    #[error("the owner's signature does not stand behind it: {0}")]
    Unsigned(String),
    /// The file is the one, and no model of this build.
    #[error("its file cannot be used")]
    Model {
        /// Why.
        source: detector::ModelError,
    },
}

/// Reads an announcement; its file is not looked at.
pub(super) fn parse(record: &Record) -> Result<ModelRecord, Refusal> {
    if record.payload.len() > RECORD_BYTES_MAX {
        return Err(Refusal::Malformed);
    }
    let model: ModelRecord = serde_json::from_slice(&record.payload).map_err(|_| Refusal::Malformed)?;
    match &model {
        model if model.v > schema::RECORD_VERSION => Err(Refusal::NewerVersion { found: model.v }),
        model if record.key.as_deref() != Some(key(model.digest).as_slice()) => Err(Refusal::Key),
        model if model.location.contains("://") || !Path::new(&model.location).is_absolute() => Err(Refusal::Location),
        _ => Ok(model),
    }
}

/// Whether the owner's authority stands behind the file: its manifest lies beside it, and none newer was taken before.
pub(super) fn trusted(path: &Path, trust: &Path) -> Result<(), Refusal> {
    if trust.as_os_str().is_empty() {
        return Ok(());
    }
    match crate::signed::model(path, trust, cert_manager::est::server::wall_clock()) {
        Ok(_) => Ok(()),
        Err(error) => Err(Refusal::Unsigned(error.to_string())),
    }
}

/// The model in `path`, if it is the one of that digest.
pub(super) fn read_model(path: &Path, digest: Digest) -> Result<Detector, Refusal> {
    let read = |source| Refusal::Read { source };
    let size = std::fs::metadata(path).map_err(read)?.len();
    // Not more than a model can have is read, whatever lies there.
    if size > detector::MODEL_BYTES_MAX as u64 {
        let found = usize::try_from(size).unwrap_or(usize::MAX);
        return Err(Refusal::Model { source: detector::ModelError::Oversize { found } });
    }
    let bytes = std::fs::read(path).map_err(read)?;
    let found = Digest::of(&bytes);
    if found != digest {
        return Err(Refusal::Digest { found });
    }
    Ok(Detector::new(Model::from_bytes(&bytes).map_err(|source| Refusal::Model { source })?))
}

/// The record that announces the model of that digest in `path`.
pub fn announcement(digest: Digest, path: &Path, at: Millis) -> Output {
    let record = ModelRecord { v: schema::RECORD_VERSION, digest, location: path.display().to_string(), at };
    // INVARIANT: strings and integers only, so the record is always representable.
    let payload = serde_json::to_vec(&record).unwrap_or_default();
    Output { topic: topics::MODELS.to_owned(), key: key(digest), payload }
}

fn key(digest: Digest) -> Vec<u8> {
    format!("{MODEL_KEY}{digest}").into_bytes()
}

/// An announcement is a digest and a path.
const RECORD_BYTES_MAX: usize = 16 * 1024;
