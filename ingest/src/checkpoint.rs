//! The state of a partition at an offset, kept so that a new owner need not read the whole log.
//!
//! A checkpoint is only ever an optimisation of reading the log again: one that is torn or foreign is passed over for
//! an older one, never half used. A store belongs to one consumer group: two groups, two stores.

mod folder;
mod format;
mod memory;

pub use folder::FolderStore;
pub use format::FormatError;
pub use memory::MemoryStore;

use crate::Partition;
use schema::Digest;

/// The state of a partition after every record below `offset`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// First offset that is not in the state.
    pub offset: i64,
    /// Digest of the model that was in force.
    pub model: Option<Digest>,
    /// The operator's [`snapshot`](crate::Operator::snapshot).
    pub state: Vec<u8>,
}

/// Where checkpoints are kept.
pub trait CheckpointStore: Send + Sync {
    /// Keeps `checkpoint`, whole or not at all; forgets those at or past its offset (of a log read anew) and all but
    /// the last few before it.
    fn save(&self, partition: &Partition, checkpoint: &Checkpoint) -> Result<(), CheckpointError>;

    /// The newest whole checkpoint at or before `offset_max`.
    fn newest(&self, partition: &Partition, offset_max: i64) -> Result<Option<Checkpoint>, CheckpointError>;
}

/// Why a checkpoint could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The store's files cannot be used.
    #[error("cannot {action} `{path}`")]
    Files {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file ends early, is too long, or its checksum differs.
    #[error("`{path}` is torn: {reason}")]
    Torn {
        /// Which file.
        path: String,
        /// How it is known.
        reason: &'static str,
    },
    /// Written by a newer build.
    #[error("`{path}` has format version {found}; this build reads up to {known}")]
    NewerVersion {
        /// Which file.
        path: String,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
}

/// Checkpoints kept of a partition: the newest, and one to fall back to.
const KEPT: usize = 2;
