//! The log to `POST /v1/calls`: one file a request, NDJSON under gzip. The other end is idempotent by a
//! call's id and answers 202 only once the calls are safe, so a file is forgotten then and no sooner.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::CallLog;
use crate::agent::channel::{Channel, ChannelError, Identity};
use crate::agent::storage::Storage;
use crate::http::Request;
use crate::time::Span;

/// How an upload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uploaded {
    /// Nothing waits any more; so many files were sent.
    All(usize),
    /// The other end asks for patience; so many files were sent.
    Later(usize, Span),
}

/// Why an upload stopped; what was not acknowledged is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UploadError {
    /// The disk.
    #[error("the calls' folder cannot be read or written")]
    Disk(#[from] io::Error),
    /// The way to the other end.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The other end answered, and it was no help.
    #[error("the calls were not taken: {status} {say}")]
    Answer {
        /// HTTP status.
        status: u16,
        /// First line of the body.
        say: String,
    },
}

/// Sends file after file, oldest first, until none waits or the other end says stop.
///
/// # Errors
/// [`UploadError`]; the file under way is sent again next time.
pub fn upload<S: Storage, C: Channel>(
    log: &Mutex<CallLog<S>>,
    channel: &mut C,
    identity: Option<&Identity>,
) -> Result<Uploaded, UploadError> {
    // A log is changed by appends only, so one left by a thread that panicked is still whole. It is never
    // held while the network is waited for: calls keep coming in.
    let held = || log.lock().unwrap_or_else(PoisonError::into_inner);
    let mut sent = 0;
    loop {
        let oldest = held().oldest()?;
        let Some((name, lines)) = oldest else { return Ok(Uploaded::All(sent)) };
        let request =
            Request::post("/v1/calls", "application/x-ndjson", gzip(&lines)?).with("content-encoding", "gzip");
        let response = channel.exchange(identity, &request)?;
        match response.status {
            202 => held().sent(&name)?,
            408 | 429 | 503 => return Ok(Uploaded::Later(sent, response.retry_after().unwrap_or(PATIENCE))),
            status => return Err(UploadError::Answer { status, say: response.first_line() }),
        }
        sent += 1;
    }
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// How long to wait where the other end does not say.
const PATIENCE: Span = Span::minutes(1);
