//! Outside bytes become a [`crate::RawCall`], once, here. One file a format; each ignores unknown fields, so that a
//! newer producer never stops an older consumer.

pub mod native;

use crate::{DeadReason, Millis};

/// What the transport knows of a record.
#[derive(Debug, Clone)]
pub struct Received {
    /// When the transport took it in: bounds how far ahead a record's own time may lie.
    pub at: Millis,
    /// Id of the call where the record names none, e.g. `agent.calls/3/1042`.
    pub id: String,
}

/// Why bytes are no call. `detail` says where, and never holds a value of the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason:?}: {detail}")]
pub struct DecodeError {
    /// The kind, as the dead letter states it.
    pub reason: DeadReason,
    /// Where, and what was expected.
    pub detail: String,
}

impl DecodeError {
    pub(crate) fn new(reason: DeadReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}
