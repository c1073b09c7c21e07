//! Sessions read from files, replayed and made up. One binary: each would be linked by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod attack_lab;
mod bad_input;
mod folder;
mod loads;
mod real_data;
mod replays;
mod wire;
mod world;
