//! Two slots and a pointer: a device never holds fewer than one usable pair, whenever power goes.
//!
//! ```text
//! slot-a/ slot-b/   key.pem (0600)  request  chain.pem  receipt.bin  cert.pem
//! current           symbolic link to the slot that programs read: current/key.pem, cert.pem, chain.pem
//! state.json        time floor, attempts, the last refusal
//! ```
//!
//! Every file is written beside its name, synced, then renamed. The order of a rotation into slot B:
//!
//! 1. *stage*: remove B's `request`; sync B: an old request must never stand beside a missing
//!    certificate, it would be sent again and look like a clone's. Remove `cert.pem`, `receipt.bin`,
//!    `chain.pem`; sync B. Write `key.pem`; sync B: else the request could survive beside the slot's
//!    old key. Write `request`; sync B. **Only now may the request be sent**: whoever reads the
//!    answer later still has its key and its id.
//! 2. *install*: write `chain.pem` and `receipt.bin`; sync B. Write `cert.pem`; sync B. `cert.pem` is
//!    last: where it is, the rest is.
//! 3. *commit*, after a probe: make the link under another name, rename it to `current`, sync the top;
//!    then remove B's `request`, sync B.
//!
//! At boot the newest pair whose key and certificate belong together wins, whatever the pointer says:
//! the authority has moved on to it, so going back would look like a clone.

use std::io;

use zeroize::Zeroizing;

use super::storage::{Mode, Storage};
use crate::device::RequestId;
use crate::digest::Digest;
use crate::facts::{CertFacts, parse_certificate};
use crate::keys::{Key, KeyStore};
use crate::pem;
use crate::receipt::{SignedReceipt, parse_receipt};

/// One of the two places for a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// `slot-a`.
    A,
    /// `slot-b`.
    B,
}

impl Slot {
    /// Its folder.
    pub fn folder(self) -> &'static str {
        match self {
            Self::A => "slot-a",
            Self::B => "slot-b",
        }
    }

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    fn of_folder(folder: &str) -> Option<Self> {
        [Self::A, Self::B].into_iter().find(|slot| slot.folder() == folder)
    }
}

/// A key and the certificate for it.
#[derive(Debug, Clone)]
pub struct Pair {
    /// Where it is.
    pub slot: Slot,
    /// What the certificate says.
    pub facts: CertFacts,
    /// The certificate, DER.
    pub certificate: Vec<u8>,
    /// Certificates between it and an anchor, DER, nearest first.
    pub chain: Vec<Vec<u8>>,
    /// Its receipt; its number tells which of two pairs is newer.
    pub receipt: SignedReceipt,
}

/// A key whose certificate has been, or is about to be, asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staged {
    /// Where it is.
    pub slot: Slot,
    /// The request id, the same across retries.
    pub request: RequestId,
    /// Id of the key.
    pub key: Digest,
}

/// What is on the disk.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// The newest usable pair.
    pub newest: Option<Pair>,
    /// The usable pair of the other slot.
    pub older: Option<Pair>,
    /// A staged request in a slot that has no usable pair.
    pub staged: Option<Staged>,
    /// The slot `current` points at.
    pub current: Option<Slot>,
}

/// The device's folder.
#[derive(Debug)]
pub struct Store<S> {
    storage: S,
    keys: KeyStore,
}

impl<S: Storage> Store<S> {
    /// Uses a folder.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn open(mut storage: S) -> io::Result<Self> {
        for slot in [Slot::A, Slot::B] {
            storage.make_folder(slot.folder())?;
        }
        storage.sync_folder("")?;
        Ok(Self { storage, keys: KeyStore::default() })
    }

    /// What is there now.
    ///
    /// # Errors
    /// Any error of the disk. A file that is torn or missing is no error: its slot has no pair.
    pub fn look(&self) -> io::Result<View> {
        let (a, b) = (self.pair(Slot::A)?, self.pair(Slot::B)?);
        let b_newer = b.as_ref().map(number) > a.as_ref().map(number);
        let (newest, older) = if b_newer { (b, a) } else { (a, b) };
        let free = newest.as_ref().map_or(Slot::A, |pair| pair.slot.other());
        let staged = if older.is_none() { self.staged(free)? } else { None };
        let current = self.storage.read_link("current")?.and_then(|to| Slot::of_folder(&to));
        Ok(View { newest, older, staged, current })
    }

    /// Puts a new key and a request id into `slot`. When this returns, the request may be sent.
    ///
    /// # Errors
    /// Any error of the disk; then the slot holds nothing usable, and staging starts over.
    pub fn stage(&mut self, slot: Slot, key: &Key, request: RequestId) -> io::Result<()> {
        let folder = slot.folder();
        self.storage.remove(&format!("{folder}/request"))?;
        self.storage.sync_folder(folder)?;
        for name in ["cert.pem", "receipt.bin", "chain.pem"] {
            self.storage.remove(&format!("{folder}/{name}"))?;
        }
        self.storage.sync_folder(folder)?;
        let record = self.keys.record(key);
        self.replace(&format!("{folder}/key.pem"), record.as_bytes(), Mode::Private)?;
        self.storage.sync_folder(folder)?;
        self.replace(&format!("{folder}/request"), format!("{request}\n").as_bytes(), Mode::Private)?;
        self.storage.sync_folder(folder)
    }

    /// Puts an issued certificate beside its key.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn install(
        &mut self,
        slot: Slot,
        certificate: &[u8],
        chain: &[Vec<u8>],
        receipt: &SignedReceipt,
    ) -> io::Result<()> {
        let folder = slot.folder();
        let chain: String = chain.iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
        self.replace(&format!("{folder}/chain.pem"), chain.as_bytes(), Mode::Public)?;
        self.replace(&format!("{folder}/receipt.bin"), receipt.bytes(), Mode::Public)?;
        self.storage.sync_folder(folder)?;
        let certificate = pem::encode("CERTIFICATE", certificate);
        self.replace(&format!("{folder}/cert.pem"), certificate.as_bytes(), Mode::Public)?;
        self.storage.sync_folder(folder)
    }

    /// Points `current` at `slot`.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn commit(&mut self, slot: Slot) -> io::Result<()> {
        self.storage.remove("current.new")?;
        self.storage.link(slot.folder(), "current.new")?;
        self.storage.rename("current.new", "current")?;
        self.storage.sync_folder("")?;
        self.storage.remove(&format!("{}/request", slot.folder()))?;
        self.storage.sync_folder(slot.folder())
    }

    /// The key in `slot`.
    ///
    /// # Errors
    /// Any error of the disk. A key that cannot be read counts as none.
    pub fn key(&self, slot: Slot) -> io::Result<Option<Key>> {
        let record = self.storage.read(&format!("{}/key.pem", slot.folder()))?.map(Zeroizing::new);
        Ok(record.and_then(|record| self.keys.find(&record)))
    }

    /// The text of `state.json`.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn state(&self) -> io::Result<Option<Vec<u8>>> {
        self.storage.read("state.json")
    }

    /// Replaces `state.json`, durably.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn keep_state(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.keep("state.json", bytes)
    }

    /// Any other small file at the top, such as `root.json`.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.storage.read(name)
    }

    /// Replaces a file at the top, durably: staged beside it, synced, renamed, synced.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn keep(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.replace(name, bytes, Mode::Private)?;
        self.storage.sync_folder("")
    }

    /// Removes a file at the top, durably.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn forget(&mut self, name: &str) -> io::Result<()> {
        self.storage.remove(name)?;
        self.storage.sync_folder("")
    }

    fn replace(&mut self, path: &str, bytes: &[u8], mode: Mode) -> io::Result<()> {
        let beside = format!("{path}.new");
        self.storage.write(&beside, bytes, mode)?;
        self.storage.sync(&beside)?;
        self.storage.rename(&beside, path)
    }

    fn pair(&self, slot: Slot) -> io::Result<Option<Pair>> {
        let file = |name: &str| self.storage.read(&format!("{}/{name}", slot.folder()));
        let (Some(cert), Some(chain), Some(receipt)) = (file("cert.pem")?, file("chain.pem")?, file("receipt.bin")?)
        else {
            return Ok(None);
        };
        let Some(key) = self.key(slot)? else { return Ok(None) };
        Ok(read_pair(slot, &cert, &chain, &receipt).filter(|pair| {
            let said = pair.receipt.receipt();
            pair.facts.key.id == key.id() && said.key == pair.facts.key.id && said.serial == pair.facts.serial
        }))
    }

    fn staged(&self, slot: Slot) -> io::Result<Option<Staged>> {
        let Some(text) = self.storage.read(&format!("{}/request", slot.folder()))? else { return Ok(None) };
        let request = std::str::from_utf8(&text).ok().and_then(|t| t.trim().parse().ok());
        let key = self.key(slot)?;
        Ok(request.zip(key).map(|(request, key)| Staged { slot, request, key: key.id() }))
    }

    /// Where its keys are kept.
    pub fn keys(&self) -> KeyStore {
        self.keys
    }

    /// The folder underneath, for what has its own files in it.
    pub fn storage(&mut self) -> &mut S {
        &mut self.storage
    }

    /// The folder underneath, for the simulation that cuts its power.
    pub fn into_storage(self) -> S {
        self.storage
    }
}

fn read_pair(slot: Slot, cert: &[u8], chain: &[u8], receipt: &[u8]) -> Option<Pair> {
    let certificate = pem::certificates(cert).ok()?.into_iter().next()?;
    // A device certificate directly under an anchor has an empty chain.
    let chain = if chain.is_empty() { Vec::new() } else { pem::certificates(chain).ok()? };
    let facts = parse_certificate(&certificate).ok()?;
    let receipt = parse_receipt(receipt).ok()?;
    Some(Pair { slot, facts, certificate, chain, receipt })
}

fn number(pair: &Pair) -> u64 {
    pair.receipt.receipt().n
}
