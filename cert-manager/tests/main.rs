//! The authority, the device and what goes between them. One binary: each would be linked by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod agent_binary;
mod bundles;
mod clocks_and_outages;
mod common;
mod device_bundles;
mod device_calls;
mod end_to_end;
mod fleet;
mod interop;
mod ledger;
mod parsers;
mod peers;
mod power_cut;
mod release;
mod return_after_expiry;
mod routes;
mod trust;
