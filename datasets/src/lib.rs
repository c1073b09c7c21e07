//! Recorded sessions: loaded from files ([`load`]), replayed as one ordered stream ([`replay`]), or made by a seeded
//! generator ([`world`]). What a detector may see and what it must not are apart: [`Dataset`] holds calls, [`labels`]
//! holds the truth about them.
#![cfg_attr(test, allow(clippy::indexing_slicing))]

pub mod attack_lab; // attackers who adapt, for measuring
pub mod labels; // the truth, for measuring only
pub mod limits; // every bound, by name
pub mod replay; // sessions as one ordered stream, with faults on request
pub mod world; // a seeded generator, for machines without data

mod dataset; // what a loaded or generated set is
mod error; // one variant a thing that can be wrong with a file
mod lines; // gzip JSON lines, streamed and bounded
mod load; // files → `Dataset`

pub use dataset::{Dataset, SessionMeta, Split};
pub use error::{DatasetError, Place};
pub use labels::Labels;
pub use load::{Results, View, load};
