//! Kafka in, Kafka out, around any [`Operator`]. Start at [`engine::run`].
//!
//! Knows records, offsets, transactions and checkpoints; knows nothing of calls being scored or judged.
#![cfg_attr(test, allow(clippy::indexing_slicing))]

pub mod acked; // records whose writer waits for Kafka's word
pub mod checkpoint; // state of a partition at an offset, on disk
pub mod cluster; // which Kafka, and how to speak to it
pub mod engine; // consumer group in → operators → outputs and offsets, in one transaction
pub mod feed; // records of a topic for somebody outside Kafka
pub mod follow; // a topic read to its end again and again
pub mod hold; // items that come before their turn
pub mod mock; // a Kafka inside this process
pub mod offer; // records into topics by those who must not wait
pub mod owners; // who owns which partitions of a group
pub mod peek; // the newest records of a topic, without a trace
pub mod produce; // records into a topic, paced by who reads them
pub mod read_back; // records out of a topic, as they come
pub mod stretch; // what a topic holds since a time, in as many sittings as it takes
pub mod survey; // what is so of a cluster
pub mod topics; // topics made where missing
pub mod window; // the records of a topic between two times

mod client; // settings shared by every client of ours
mod dead_letter;
mod delivery; // reports of what was written
mod error;
mod outputs;
mod record;

pub use dead_letter::dead_letter;
pub use error::{IngestError, RestoreError};
pub use outputs::{Outputs, Written};
pub use record::{NUDGE, Operator, Output, Partition, Record};
