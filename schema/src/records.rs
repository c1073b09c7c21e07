//! Records of the topics that carry neither calls nor verdicts.

use crate::{Digest, Millis};
use serde::{Deserialize, Serialize};

/// Why a record was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeadReason {
    /// Not JSON, or cut off.
    Malformed,
    /// JSON, but a field has the wrong type.
    WrongType,
    /// A required field is missing.
    Missing,
    /// A name or id breaks its bounds.
    BadName,
    /// The record is over its size limit.
    Oversize,
    /// The time is negative or far in the future.
    BadTime,
    /// The record's version is newer than this build.
    NewerVersion,
    /// It names a model that is not what it says, cannot be had, or is older than the one in force.
    Refused,
}

/// What is kept of a record that could not be read: never its bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Record version.
    pub v: u8,
    /// Topic it came from.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Why.
    pub reason: DeadReason,
    /// Where and what, without any value of the record.
    pub detail: String,
    /// Length in bytes.
    pub bytes: u64,
    /// Keyed digest of the bytes, to tell two of them apart.
    pub digest: String,
}

/// Which model is to be used (topic [`crate::topics::MODELS`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Record version.
    pub v: u8,
    /// The model file's digest.
    pub digest: Digest,
    /// Where it is to be had: a path or URL.
    pub location: String,
    /// When it was announced.
    pub at: Millis,
}

/// At which offset of a partition a model came into force, so that a replay uses the same one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelChange {
    /// Record version.
    pub v: u8,
    /// Topic of the input; `agent.calls` is not written out.
    #[serde(default = "calls", skip_serializing_if = "is_calls")]
    pub topic: String,
    /// Partition of the input.
    pub partition: i32,
    /// First offset scored with it.
    pub offset: i64,
    /// The model.
    pub digest: Digest,
}

/// A replica of the policy webhook that answers for sessions (topic [`crate::topics::MEMBERS`], keyed by its address):
/// written again and again while it lives. A record without a value says that it has left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Record version.
    pub v: u8,
    /// Where it is asked about its sessions, as `host:port`. It names the replica, too.
    pub address: String,
    /// Tells the key that its calls are sealed with from another: 16 hex digits.
    pub key: String,
    /// When it began.
    pub since: Millis,
    /// When this was written.
    pub at: Millis,
}

fn calls() -> String {
    crate::topics::CALLS.to_owned()
}

fn is_calls(topic: &str) -> bool {
    topic == crate::topics::CALLS
}
