//! The detector from outside. One binary: each would be linked by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod long_session;
mod model_file;
