//! Kafka in, Kafka out, around any [`Operator`]. Start at [`engine::run`].
//!
//! Knows records, offsets, transactions and checkpoints; knows nothing of calls being scored or judged.
#![cfg_attr(test, allow(clippy::indexing_slicing))]

pub mod checkpoint; // state of a partition at an offset, on disk
pub mod engine; // consumer group in → operators → outputs and offsets, in one transaction
pub mod mock; // a Kafka inside this process
pub mod offer; // records into topics by those who must not wait
pub mod peek; // the newest records of a topic, without a trace
pub mod produce; // records into a topic, paced by who reads them
pub mod read_back; // records out of a topic, as they come
pub mod topics; // topics made where missing

mod client; // settings shared by every client of ours
mod dead_letter;
mod delivery; // reports of what was written
mod error;
mod record;

pub use dead_letter::dead_letter;
pub use error::{IngestError, RestoreError};
pub use record::{Operator, Output, Partition, Record};
