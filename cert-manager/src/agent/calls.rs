//! The device's calls until somebody has scored them: sealed, capped, hash-chained.
//!
//! ```text
//! calls/NNNNNNNNNNNN.ndjson  sealed calls, one a line; named by the number of its first
//! calls/head.json            where the chain stood when the last file was sent or dropped
//! ```
//!
//! Each line is a sealed call with one more member, `edge`: its number on this device, the SHA-256 of the
//! line before it, and how many calls were dropped for want of room. A line that was altered, left out or
//! put in shows: the next one names another hash. What is acknowledged is synced. Raw text is never
//! written: a call is sealed, under a key that only this device has, before it gets here.

use std::io;

use schema::decode::{DecodeError, Received, native};
use schema::{Call, Device, TenantKey};
use serde::{Deserialize, Serialize};

use super::bundles::BundleState;
use super::storage::{FILE_BYTES_MAX, Mode, Storage};
use crate::device::DeviceId;
use crate::digest::Digest;
use crate::time::Millis;

pub mod upload; // the log to `POST /v1/calls`

/// A file is closed once it has this many bytes, and so sent in one request.
pub const FILE_BYTES: u64 = 128 * 1024;
/// Longest sealed call, in bytes.
pub const LINE_BYTES_MAX: u64 = FILE_BYTES_MAX - FILE_BYTES;
/// Files kept; the oldest is dropped for a new one. 128 of them are 16 MiB, some 16,000 calls.
pub const FILES_MAX: usize = 128;

/// A call's place in the device's chain, and how the device stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edge {
    /// Running number on this device, from 1.
    pub n: u64,
    /// SHA-256 of the line before this one.
    pub prev: Digest,
    /// Calls dropped so far for want of room.
    pub lost: u64,
    /// How the device stands with the model it runs.
    pub model: BundleState,
}

/// Where the chain ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Head {
    n: u64,
    hash: Digest,
    lost: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    edge: Edge,
    #[serde(flatten)]
    call: &'a Call,
}

#[derive(Deserialize)]
struct Placed {
    edge: Edge,
}

/// Why a call was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// Not a call.
    #[error("not a call record: {0}")]
    Record(#[from] DecodeError),
    /// A sealed call beyond [`LINE_BYTES_MAX`].
    #[error("the sealed call has {0} bytes, the limit is {LINE_BYTES_MAX}")]
    TooLarge(u64),
    /// The disk.
    #[error("the calls' folder cannot be read or written")]
    Disk(#[from] io::Error),
}

/// The log of one device.
pub struct CallLog<S> {
    storage: S,
    device: Device,
    key: TenantKey,
    head: Head,
    /// The file that is written to.
    open: Option<String>,
    /// How the device stands with its model, written into each call.
    pub model: BundleState,
}

impl<S: Storage> CallLog<S> {
    /// Opens the log of `device`; what power tore off its end is cut away. `key`: 32 secret bytes that only
    /// this device has.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn open(mut storage: S, device: &DeviceId, key: [u8; 32]) -> io::Result<Self> {
        storage.make_folder("calls")?;
        let device = Device::new(device.as_str()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let kept = storage.read("calls/head.json")?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let head = kept.unwrap_or(Head { n: 0, hash: Digest::ZERO, lost: 0 });
        let mut log =
            Self { storage, device, key: TenantKey::new(key), head, open: None, model: BundleState::default() };
        while let Some(name) = log.files()?.pop() {
            let path = format!("calls/{name}");
            let bytes = log.storage.read(&path)?.unwrap_or_default();
            let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
            let lines = bytes.get(..whole).unwrap_or_default();
            // Zeros after a torn write are no line either.
            let good: usize =
                lines.split_inclusive(|b| *b == b'\n').take_while(|l| placed(l).is_some()).map(<[u8]>::len).sum();
            let lines = lines.get(..good).unwrap_or_default();
            if good < bytes.len() {
                log.rewrite(&path, lines)?;
            }
            if let Some(last) = lines.split_inclusive(|b| *b == b'\n').next_back()
                && let Some(edge) = placed(last)
            {
                if edge.n >= log.head.n {
                    log.head = Head { n: edge.n, hash: Digest::of(last), lost: edge.lost.max(log.head.lost) };
                }
                log.open = Some(name);
                break;
            }
            log.storage.remove(&path)?;
            log.storage.sync_folder("calls")?;
        }
        Ok(log)
    }

    /// Seals one record in Vedette's native JSON and puts it at the end; durable after [`CallLog::sync`].
    /// Whatever device the record names, it is this one's. Gives its number.
    ///
    /// # Errors
    /// [`CallError`]; the log is what it was.
    pub fn push(&mut self, record: &[u8], now: Millis) -> Result<u64, CallError> {
        let n = self.head.n + 1;
        let received = Received { at: schema::Millis(now.0), id: format!("{}/{n}", self.device) };
        let mut raw = native::decode(record, &received)?;
        raw.device = Some(self.device.clone());
        let call = schema::seal(&raw, &self.key);
        let size = self.line(n, &call).len() as u64;
        if size > LINE_BYTES_MAX {
            return Err(CallError::TooLarge(size));
        }
        let path = self.room_for(n)?;
        // Only now: what had to make room is counted in this very line.
        let line = self.line(n, &call);
        self.storage.append(&path, &line, Mode::Private)?;
        self.head = Head { n, hash: Digest::of(&line), ..self.head };
        Ok(n)
    }

    /// Makes what was pushed durable.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn sync(&mut self) -> io::Result<()> {
        match &self.open {
            Some(name) => self.storage.sync(&format!("calls/{name}")),
            None => Ok(()),
        }
    }

    /// Whether calls wait to be sent.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn waits(&self) -> io::Result<bool> {
        Ok(!self.files()?.is_empty())
    }

    /// The oldest file: its name and its lines. It is closed by this, so that it does not grow while it is
    /// sent.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn oldest(&mut self) -> io::Result<Option<(String, Vec<u8>)>> {
        let Some(name) = self.files()?.into_iter().next() else { return Ok(None) };
        if self.open.as_ref() == Some(&name) {
            self.sync()?;
            self.open = None;
        }
        Ok(self.storage.read(&format!("calls/{name}"))?.map(|bytes| (name, bytes)))
    }

    /// Forgets a file whose calls are somewhere else for good.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn sent(&mut self, name: &str) -> io::Result<()> {
        self.keep_head()?;
        self.storage.remove(&format!("calls/{name}"))?;
        self.storage.sync_folder("calls")
    }

    /// Calls pushed so far, and how many of them were dropped unsent.
    pub fn counted(&self) -> (u64, u64) {
        (self.head.n, self.head.lost)
    }

    /// The folder underneath.
    pub fn into_storage(self) -> S {
        self.storage
    }

    fn line(&self, n: u64, call: &Call) -> Vec<u8> {
        let edge = Edge { n, prev: self.head.hash, lost: self.head.lost, model: self.model };
        // INVARIANT: a sealed call is plain data.
        let mut line = serde_json::to_vec(&Line { edge, call }).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// The file for call number `n`: the open one, or a new one, for which the oldest makes room.
    fn room_for(&mut self, n: u64) -> io::Result<String> {
        if let Some(name) = &self.open {
            let path = format!("calls/{name}");
            if self.storage.size(&path)? < FILE_BYTES {
                return Ok(path);
            }
            self.storage.sync(&path)?;
        }
        let files = self.files()?;
        if files.len() >= FILES_MAX
            && let Some(oldest) = files.first()
        {
            let bytes = self.storage.read(&format!("calls/{oldest}"))?.unwrap_or_default();
            self.head.lost += bytes.iter().filter(|b| **b == b'\n').count() as u64;
            self.sent(oldest)?;
        }
        let name = format!("{n:012}.ndjson");
        let path = format!("calls/{name}");
        self.storage.write(&path, b"", Mode::Private)?;
        self.storage.sync(&path)?;
        self.storage.sync_folder("calls")?;
        self.open = Some(name);
        Ok(path)
    }

    fn files(&self) -> io::Result<Vec<String>> {
        let mut names = self.storage.names("calls")?;
        names.retain(|name| name.ends_with(".ndjson"));
        Ok(names)
    }

    fn keep_head(&mut self) -> io::Result<()> {
        let bytes = serde_json::to_vec(&self.head).unwrap_or_default(); // INVARIANT: plain data serialises
        self.rewrite("calls/head.json", &bytes)
    }

    fn rewrite(&mut self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let beside = format!("{path}.new");
        self.storage.write(&beside, bytes, Mode::Private)?;
        self.storage.sync(&beside)?;
        self.storage.rename(&beside, path)?;
        self.storage.sync_folder("calls")
    }
}

impl<S> std::fmt::Debug for CallLog<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CallLog({}, {} calls, ..)", self.device, self.head.n)
    }
}

/// The place of a line in its chain; `None` when it is no line of ours.
fn placed(line: &[u8]) -> Option<Edge> {
    serde_json::from_slice::<Placed>(line).ok().map(|placed| placed.edge)
}

/// Why lines are not one piece of a device's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// Not a line of a device's log.
    #[error("line {0} is not a line of a device's log")]
    Malformed(usize),
    /// A line that does not follow from the one before it.
    #[error("line {0} does not follow from the one before it")]
    Broken(usize),
}

/// Checks lines of a log, with their line ends, as they were uploaded: each follows from the one before.
/// Gives the first and the last place.
///
/// # Errors
/// [`ChainError`] with the line's index, from 0.
pub fn check_chain(lines: &[u8]) -> Result<Option<(Edge, Edge)>, ChainError> {
    let mut ends: Option<(Edge, Edge)> = None;
    let mut hash = Digest::ZERO;
    for (at, line) in lines.split_inclusive(|b| *b == b'\n').enumerate() {
        let edge = placed(line).ok_or(ChainError::Malformed(at))?;
        if let Some((_, last)) = ends
            && (edge.prev != hash || edge.n != last.n + 1)
        {
            return Err(ChainError::Broken(at));
        }
        hash = Digest::of(line);
        ends = Some((ends.map_or(edge, |(first, _)| first), edge));
    }
    Ok(ends)
}
