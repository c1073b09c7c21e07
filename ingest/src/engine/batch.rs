//! What goes to Kafka in one transaction.

use crate::{Outputs, Partition, Written};

/// Outputs and the input offsets they answer, to be written together or not at all.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Batch {
    /// One part a partition, in no order that matters.
    pub parts: Vec<Part>,
}

/// One partition's share of a [`Batch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Whose records these answer.
    pub partition: Partition,
    /// Which time of owning the partition this is of; a later one must not commit it.
    pub(crate) tenure: u64,
    /// First offset not answered yet: what is committed for the partition.
    pub next: i64,
    /// Outputs in the order of their inputs.
    pub outputs: Outputs,
    /// Input records answered.
    pub records: u64,
    /// Bytes of those records.
    pub record_bytes: u64,
}

impl Part {
    /// An empty one, to be filled where `outputs` has its memory.
    pub(crate) fn new(partition: Partition, tenure: u64, next: i64, outputs: Outputs) -> Self {
        Self { partition, tenure, next, outputs, records: 0, record_bytes: 0 }
    }
}

impl Batch {
    /// Outputs of every part.
    pub fn outputs(&self) -> impl Iterator<Item = Written<'_>> {
        self.parts.iter().flat_map(|part| part.outputs.iter())
    }

    /// The memory of a batch that is done with.
    pub(crate) fn into_memory(self) -> impl Iterator<Item = Outputs> {
        self.parts.into_iter().map(|mut part| {
            part.outputs.clear();
            part.outputs
        })
    }

    /// Input records answered.
    pub fn records(&self) -> u64 {
        self.parts.iter().map(|part| part.records).sum()
    }
}
