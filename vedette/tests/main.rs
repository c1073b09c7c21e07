//! What the commands do, from outside and on real parts. One binary: each would be linked by itself; `live` needs more than
//! others and has its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[cfg(feature = "kafka-tls")]
#[path = "../../ingest/tests/support/certificates.rs"]
mod certificates;
#[path = "../../ingest/tests/kafka/mod.rs"]
mod kafka;

mod architecture;
mod bad_input;
mod ca;
mod detection;
mod end_to_end;
mod engine;
mod fit_topic;
mod fitted;
mod heard;
mod inspect;
mod obfuscation;
mod operators;
mod owners;
mod plan_bursts;
mod privacy;
mod publish;
mod running;
mod sightings;
mod turns;
mod webhook;
mod world;
