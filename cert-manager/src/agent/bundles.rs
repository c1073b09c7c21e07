//! The device's bundles: fetched in pieces, checked whole, put in force by one rename.
//!
//! ```text
//! bundles/KIND/a/ b/   manifest.json  content
//! bundles/KIND/current symbolic link to the one in force: programs read current/content
//! ```
//!
//! A download goes into the slot that is not in force: its manifest is written and synced, then each
//! piece is appended and synced. So it goes on where it stopped, after a power cut too: only the last
//! piece may be torn, and is fetched again. What is there when the last piece has come is read back: only
//! if size and digest are the manifest's does `current` move. The content before stays in the other slot
//! until the next download.

use std::io;

use serde::{Deserialize, Serialize};

use super::channel::{Channel, ChannelError, Identity};
use super::storage::{Mode, Storage};
use crate::bundle::{API_VERSION, BundleError, CHUNK_BYTES, Kind, Manifest, Skew, accept, parse_manifest};
use crate::desk::HOLDS_HEADER;
use crate::envelope::parse_envelope;
use crate::holds::Holds;
use crate::http::{Request, Response};
use crate::sign::Role;
use crate::time::Millis;
use crate::trust::Trust;

/// Bytes in a piece.
const PIECE: usize = CHUNK_BYTES as usize;

/// How a device stands with one kind of bundle; sent along with its calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleState {
    /// Number of the one in force; 0: none.
    pub version: u64,
    /// Its time is over: it goes on, and the device counts as behind.
    pub stale: bool,
    /// Whether the newest one offered can run here.
    pub skew: Option<Skew>,
}

/// What a look at the shelf led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// A newer one is in force now.
    Took(u64),
    /// The one in force is the newest.
    Newest(u64),
    /// The authority has none.
    NoneThere,
}

/// Why no newer bundle is in force; the one that is goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The disk.
    #[error("the bundles' folder cannot be read or written")]
    Disk(#[from] io::Error),
    /// The way to the authority.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The authority answered, and it was no help.
    #[error("the authority answered {0}")]
    Answer(u16),
    /// A bundle that breaks a rule.
    #[error("{kind} bundle refused: {source}")]
    Refused {
        /// Which kind.
        kind: Kind,
        /// Why.
        source: BundleError,
    },
}

/// The number in force of one kind; 0 when there is none, or when its manifest is damaged or no longer
/// vouched for.
///
/// # Errors
/// Any error of the disk.
pub fn in_force(storage: &impl Storage, kind: Kind, trust: &Trust) -> io::Result<Option<Manifest>> {
    let Some(slot) = storage.read_link(&format!("bundles/{kind}/current"))? else { return Ok(None) };
    let Some(bytes) = storage.read(&format!("bundles/{kind}/{slot}/manifest.json"))? else { return Ok(None) };
    Ok(vouched(&bytes, kind, trust))
}

/// How the device stands with `kind` at `now`.
///
/// # Errors
/// Any error of the disk.
pub fn state_of(
    storage: &impl Storage,
    kind: Kind,
    trust: &Trust,
    skew: Option<Skew>,
    now: Millis,
) -> io::Result<BundleState> {
    let held = in_force(storage, kind, trust)?;
    Ok(BundleState { version: held.as_ref().map_or(0, |m| m.version), stale: held.is_some_and(|m| m.stale(now)), skew })
}

/// Looks whether the authority has a newer bundle of `kind` than number `held` and takes it. `held` is the
/// highest number this device ever had in force, so that losing a file opens no way back. `holds` is said along,
/// for the operator's view of the fleet.
///
/// # Errors
/// [`FetchError`]; what is in force goes on. A download that broke off goes on at the next call.
pub fn fetch<S: Storage, C: Channel>(
    storage: &mut S,
    channel: &mut C,
    identity: Option<&Identity>,
    (kind, held): (Kind, u64),
    (trust, holds): (&Trust, &Holds),
    now: Millis,
) -> Result<Fetched, FetchError> {
    let look = Request::get(format!("/v1/bundles/{kind}")).with(HOLDS_HEADER, holds.to_string());
    let response = channel.exchange(identity, &look)?;
    if response.status == 404 {
        return Ok(Fetched::NoneThere);
    }
    let offered = good(response)?;
    let have = in_force(storage, kind, trust)?.map_or(0, |m| m.version);
    let manifest = match accept(&offered, kind, held.max(have), trust, now) {
        // The very one in force.
        Err(BundleError::Rollback { found, .. }) if found == have => return Ok(Fetched::Newest(have)),
        accepted => accepted.map_err(|source| FetchError::Refused { kind, source })?,
    };
    let slot = free_slot(storage, kind)?;
    let folder = format!("bundles/{kind}/{slot}");
    begin(storage, &folder, &offered)?;
    let content = format!("{folder}/content");
    loop {
        let size = storage.size(&content)?;
        if size >= manifest.size {
            break;
        }
        let request = Request::get(format!("/v1/bundles/{kind}/{}/{size}", manifest.version));
        let piece = good(channel.exchange(identity, &request)?)?;
        let room = usize::try_from(manifest.size - size).unwrap_or(usize::MAX);
        // Whole pieces only: another length is not what was signed, and would hide where one ends.
        if piece.len() != room.min(PIECE) {
            return Err(spoiled(storage, &folder, kind));
        }
        storage.append(&content, &piece, Mode::Public)?;
        storage.sync(&content)?;
        if size == 0 {
            storage.sync_folder(&folder)?; // its name too, or power would take every piece at once
        }
    }
    if storage.size(&content)? != manifest.size || storage.digest(&content)? != manifest.digest {
        return Err(spoiled(storage, &folder, kind));
    }
    let top = format!("bundles/{kind}");
    storage.remove(&format!("{top}/current.new"))?;
    storage.link(slot, &format!("{top}/current.new"))?;
    storage.rename(&format!("{top}/current.new"), &format!("{top}/current"))?;
    storage.sync_folder(&top)?;
    Ok(Fetched::Took(manifest.version))
}

/// What a refused bundle says of the device, where it says something.
pub fn skew_of(outcome: &Result<Fetched, FetchError>) -> Option<Skew> {
    match outcome {
        Ok(_) => Some(Skew::None),
        Err(FetchError::Refused { source: BundleError::Unsupported(skew), .. }) => Some(*skew),
        Err(_) => None,
    }
}

/// What to do about a skew, for people.
pub fn advice(skew: Skew) -> String {
    match skew {
        Skew::None => "runs here".to_owned(),
        Skew::DeviceTooOld => format!("needs a newer vedette-agent than this one, of device API {API_VERSION}"),
        Skew::BundleTooOld => format!("is for older agents than this one, of device API {API_VERSION}"),
    }
}

/// Makes the free slot ready: what it holds stays only if it is the same download.
fn begin(storage: &mut impl Storage, folder: &str, offered: &[u8]) -> io::Result<()> {
    let path = format!("{folder}/manifest.json");
    storage.make_folder(folder)?;
    if storage.read(&path)?.as_deref() == Some(offered) {
        let content = format!("{folder}/content");
        let size = storage.size(&content)?;
        let synced = size.saturating_sub(1) / CHUNK_BYTES * CHUNK_BYTES;
        return if size == 0 { Ok(()) } else { storage.truncate(&content, synced) };
    }
    // The old manifest first: content must never stand beside a manifest that is not its own.
    storage.remove(&path)?;
    storage.sync_folder(folder)?;
    storage.remove(&format!("{folder}/content"))?;
    storage.sync_folder(folder)?;
    let beside = format!("{path}.new");
    storage.write(&beside, offered, Mode::Public)?;
    storage.sync(&beside)?;
    storage.rename(&beside, &path)?;
    storage.sync_folder(folder)
}

/// Throws a download away: the next one starts over.
fn spoiled(storage: &mut impl Storage, folder: &str, kind: Kind) -> FetchError {
    let removed = storage.remove(&format!("{folder}/content")).and_then(|()| storage.sync_folder(folder));
    match removed {
        Ok(()) => FetchError::Refused { kind, source: BundleError::Content },
        Err(error) => error.into(),
    }
}

fn free_slot(storage: &impl Storage, kind: Kind) -> io::Result<&'static str> {
    let current = storage.read_link(&format!("bundles/{kind}/current"))?;
    Ok(if current.as_deref() == Some("a") { "b" } else { "a" })
}

/// A manifest that the bundle role of the newest root document signed, expired or not.
fn vouched(bytes: &[u8], kind: Kind, trust: &Trust) -> Option<Manifest> {
    let envelope = parse_envelope(bytes).ok()?;
    let payload = envelope.verify(Role::Bundle, trust.keys(Role::Bundle), trust.threshold(Role::Bundle)).ok()?;
    parse_manifest(payload).ok().filter(|manifest| manifest.kind == kind)
}

fn good(response: Response) -> Result<Vec<u8>, FetchError> {
    if response.status == 200 { Ok(response.body) } else { Err(FetchError::Answer(response.status)) }
}

/// SHA-256 of the content in force, for `doctor`: whether the disk still holds what was taken.
///
/// # Errors
/// Any error of the disk.
pub fn intact(storage: &impl Storage, kind: Kind, manifest: &Manifest) -> io::Result<bool> {
    let Some(slot) = storage.read_link(&format!("bundles/{kind}/current"))? else { return Ok(false) };
    let path = format!("bundles/{kind}/{slot}/content");
    Ok(storage.size(&path)? == manifest.size && storage.digest(&path)? == manifest.digest)
}
