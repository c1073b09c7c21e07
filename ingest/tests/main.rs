//! The engine on an in-process and on a real Kafka, and what it keeps. One binary: each would be linked by itself; `secure` is
//! built with a feature of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod checkpoints;
mod core;
mod kafka;
mod mock_kafka;
mod real_engine;
mod real_kafka;
mod soak;
mod support;
mod unowned;
