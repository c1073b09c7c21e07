//! The state of a partition at an offset, kept so that a new owner need not read the whole log.
//!
//! A checkpoint is only ever an optimisation of reading the log again: one that is torn or foreign is passed over for
//! an older one, never half used. What is written is what changed since the checkpoint before; a store puts the pieces
//! together. A store belongs to one consumer group: two groups, two stores.

mod bucket;
mod entries;
mod format;
mod manifest;
mod merge;

pub use bucket::Bucket;
pub use entries::{Entries, Scope};
pub use format::FormatError;

use crate::Partition;
use schema::Digest;

/// The state of a partition after every record below `offset`, or what of it is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// First offset that is not in the state.
    pub offset: i64,
    /// Offset of the checkpoint that `entries` add to; `None`: they are the whole state.
    pub since: Option<i64>,
    /// Digest of the model that was in force.
    pub model: Option<Digest>,
    /// The operator's [`entries`](crate::Operator::entries).
    pub entries: Entries,
}

/// A checkpoint as it is found: all that there is of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// First offset that is not in the state.
    pub offset: i64,
    /// Digest of the model that was in force.
    pub model: Option<Digest>,
    /// Oldest first; later entries stand for earlier ones.
    pub segments: Vec<Entries>,
}

/// Where checkpoints are kept.
pub trait CheckpointStore: Send + Sync {
    /// Keeps `checkpoint`, whole or not at all; forgets those at or past its offset (of a log read anew) and all but
    /// the last few before it. One that adds to a checkpoint which is not there any more is [refused](CheckpointError::Gap).
    fn save(&self, partition: &Partition, checkpoint: &Checkpoint) -> Result<(), CheckpointError>;

    /// The newest whole checkpoint at or before `offset_max`.
    fn newest(&self, partition: &Partition, offset_max: i64) -> Result<Option<Stored>, CheckpointError>;
}

/// Why a checkpoint could not be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The address names no store of this build.
    #[error("`{url}` names no store of checkpoints: {reason}")]
    Address {
        /// As configured.
        url: String,
        /// What is wrong with it, or what this build lacks.
        reason: String,
    },
    /// The store cannot be used.
    #[error("cannot {action} `{path}`")]
    Store {
        /// What was tried.
        action: &'static str,
        /// On which object.
        path: String,
        /// The store's reason.
        source: Box<object_store::Error>,
    },
    /// The object ends early, is too long, or its checksum differs.
    #[error("`{path}` is torn: {reason}")]
    Torn {
        /// Which object.
        path: String,
        /// How it is known.
        reason: &'static str,
    },
    /// What the checkpoint adds to is gone: another owner has been here. The whole state is to be kept next.
    #[error("there is no checkpoint of {partition} at {since} to add to")]
    Gap {
        /// Of which partition.
        partition: Partition,
        /// Offset of the missing one.
        since: i64,
    },
    /// Written by a newer build.
    #[error("`{path}` has format version {found}; this build reads up to {known}")]
    NewerVersion {
        /// Which object.
        path: String,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
}

/// Checkpoints kept of a partition: the newest, and one to fall back to.
const KEPT: usize = 2;
