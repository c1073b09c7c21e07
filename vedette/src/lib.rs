//! The server side of Vedette. Start at [`pipeline`], which spells the path from call to decision; each command under
//! [`commands`] drives it.
#![cfg_attr(test, allow(clippy::indexing_slicing))]

/// A fifth of a call's time went into the C library's allocator: what one thread allocates here, another frees.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod pipeline; // the path, in order

pub mod gaps; // sessions that nobody names, cut where they were idle
pub mod incidents; // flagged calls of one session are one incident
pub mod sightings; // one call, several sightings
pub mod sinks; // a judged call → the records others read
pub mod states; // what is remembered, bounded
pub mod tally; // counts of all pipelines of a process
pub mod turns; // calls in the order of their numbers

pub mod device_release; // whether what a device did while it was away has been scored
pub mod device_risk; // alerts → what the authority is told of a device
pub mod door; // `POST /v1/calls`: calls over HTTP → Kafka
pub mod judge; // a data set through the pipeline
pub mod models; // which model is in force where, and since when
pub mod operator; // the pipeline as a fold over a partition
pub mod outlets; // alerts → a file, a webhook
pub mod webhook; // the pipeline behind the policy server

pub mod hop; // the owner of a session, in another replica
pub mod members; // which replica owns which sessions

pub mod backtest; // two models on the same calls
pub mod doctor; // what is amiss with an engine's surroundings
pub mod inspection; // what a sample of a log says of itself

pub mod baselines; // what the detector is measured beside
pub mod figures; // what scored sessions say of a detector
pub mod scores; // one line a call

pub mod cli; // what each command takes
pub mod commands; // one file a command
pub mod config; // `vedette.toml`
pub mod decoders; // which decoder reads which topic
pub mod failure; // what a command says when it cannot go on
pub mod kafka; // configuration → how Kafka is spoken to
pub mod key; // where the key of fingerprints comes from
pub mod parts; // configuration and files → what a pipeline runs on
pub mod progress; // long work says how far it is
pub mod runtime; // threads and timers
pub mod shutdown; // when to end
pub mod signed; // a model counts only with its owner's signature
pub mod source; // the data set a command line names
pub mod topics; // the topics Vedette needs
