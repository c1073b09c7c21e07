//! Records as they are written and read. One binary: each would be linked by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod bounds;
mod decoders;
mod golden;
