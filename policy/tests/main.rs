//! Policies, decisions, and the webhook over real sockets. One binary: each would be linked by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod common;
mod decision;
mod default_policies;
mod gateways;
mod outside_bytes;
mod recovery;
mod scenarios;
mod server;
