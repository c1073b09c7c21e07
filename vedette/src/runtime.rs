//! Threads and timers for commands that talk to the network.

use crate::failure::Failure;

/// Starts them.
///
/// # Errors
/// [`Failure::Runtime`] when the machine has no more.
pub fn start() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|source| Failure::Runtime { source })
}
