//! A disk that loses and tears what was not synced, and an authority without sockets.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use cert_manager::Digest;
use cert_manager::agent::channel::{Channel, ChannelError, Identity};
use cert_manager::agent::storage::{Mode, Storage};
use cert_manager::desk::{Desk, peer::identify};
use cert_manager::http::{Request, Response};
use cert_manager::time::Millis;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    File(usize),
    Link(String),
}

#[derive(Clone, Debug)]
struct Inode {
    durable: Vec<u8>,
    volatile: Vec<u8>,
}

/// One change to the names of a folder.
#[derive(Clone, Debug)]
enum Change {
    Set(String, Entry),
    Remove(String),
    Rename(String, String, Entry),
}

/// A disk with a write cache and no manners.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    inodes: Vec<Inode>,
    durable: BTreeMap<String, Entry>,
    volatile: BTreeMap<String, Entry>,
    pending: Vec<(String, Change)>,
    /// Operations so far.
    pub operations: u64,
    /// Power goes at this operation.
    pub cut_at: Option<u64>,
    off: bool,
}

impl SimDisk {
    fn operation(&mut self) -> io::Result<bool> {
        if self.off {
            return Err(io::Error::other("power is off"));
        }
        self.operations += 1;
        self.off = self.cut_at == Some(self.operations);
        Ok(self.off)
    }

    /// Ends an operation: it was carried out in the cache, but its caller never hears of it when
    /// power went.
    fn end(cut: bool) -> io::Result<()> {
        if cut { Err(io::Error::other("power cut")) } else { Ok(()) }
    }

    pub fn is_off(&self) -> bool {
        self.off
    }

    fn change(&mut self, folder: &str, change: Change) {
        apply(&mut self.volatile, &change);
        self.pending.push((folder.to_owned(), change));
    }

    /// Power comes back: unsynced bytes are lost, kept or torn, unsynced names kept or lost, each by
    /// its own chance.
    pub fn power_on(mut self, rng: &mut ChaCha8Rng) -> Self {
        for inode in &mut self.inodes {
            if inode.durable == inode.volatile {
                continue;
            }
            // What was synced before more was appended stays.
            let kept = inode.durable.iter().zip(&inode.volatile).take_while(|(a, b)| a == b).count();
            let cut = rng.random_range(kept..=inode.volatile.len());
            inode.durable = match rng.random_range(0..4) {
                0 => inode.durable.clone(),
                1 => inode.volatile.clone(),
                2 => inode.volatile[..cut].to_vec(),
                _ => [&inode.volatile[..cut], &vec![0; inode.volatile.len() - cut][..]].concat(),
            };
        }
        for (_, change) in std::mem::take(&mut self.pending) {
            if rng.random_bool(0.5) {
                apply(&mut self.durable, &change);
            }
        }
        for inode in &mut self.inodes {
            inode.volatile = inode.durable.clone();
        }
        self.volatile = self.durable.clone();
        self.off = false;
        self.cut_at = None;
        self
    }
}

fn apply(names: &mut BTreeMap<String, Entry>, change: &Change) {
    match change {
        Change::Set(name, entry) => {
            names.insert(name.clone(), entry.clone());
        }
        Change::Remove(name) => {
            names.remove(name);
        }
        Change::Rename(from, to, entry) => {
            names.remove(from);
            names.insert(to.clone(), entry.clone());
        }
    }
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Storage for SimDisk {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        match (self.off, self.volatile.get(path)) {
            (true, _) => Err(io::Error::other("power is off")),
            (false, Some(Entry::File(inode))) => Ok(Some(self.inodes[*inode].volatile.clone())),
            _ => Ok(None),
        }
    }

    fn write(&mut self, path: &str, bytes: &[u8], _: Mode) -> io::Result<()> {
        let cut = self.operation()?;
        self.inodes.push(Inode { durable: Vec::new(), volatile: bytes.to_vec() });
        let entry = Entry::File(self.inodes.len() - 1);
        self.change(folder(path), Change::Set(path.to_owned(), entry));
        Self::end(cut)
    }

    fn sync(&mut self, path: &str) -> io::Result<()> {
        let cut = self.operation()?;
        let Some(Entry::File(inode)) = self.volatile.get(path) else { return Err(missing()) };
        // A sync that power interrupts has promised nothing.
        if !cut {
            let inode = &mut self.inodes[*inode];
            inode.durable = inode.volatile.clone();
        }
        Self::end(cut)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let cut = self.operation()?;
        let entry = self.volatile.get(from).cloned().ok_or_else(missing)?;
        self.change(folder(to), Change::Rename(from.to_owned(), to.to_owned(), entry));
        Self::end(cut)
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        let cut = self.operation()?;
        if self.volatile.contains_key(path) {
            self.change(folder(path), Change::Remove(path.to_owned()));
        }
        Self::end(cut)
    }

    fn sync_folder(&mut self, path: &str) -> io::Result<()> {
        let cut = self.operation()?;
        if !cut {
            let (here, rest) = std::mem::take(&mut self.pending).into_iter().partition(|(f, _)| f == path);
            self.pending = rest;
            let here: Vec<(String, Change)> = here;
            here.iter().for_each(|(_, change)| apply(&mut self.durable, change));
        }
        Self::end(cut)
    }

    fn make_folder(&mut self, _: &str) -> io::Result<()> {
        let cut = self.operation()?;
        Self::end(cut)
    }

    fn link(&mut self, target: &str, path: &str) -> io::Result<()> {
        let cut = self.operation()?;
        self.change(folder(path), Change::Set(path.to_owned(), Entry::Link(target.to_owned())));
        Self::end(cut)
    }

    fn append(&mut self, path: &str, bytes: &[u8], _: Mode) -> io::Result<()> {
        let cut = self.operation()?;
        match self.volatile.get(path) {
            Some(Entry::File(inode)) => self.inodes[*inode].volatile.extend_from_slice(bytes),
            _ => {
                self.inodes.push(Inode { durable: Vec::new(), volatile: bytes.to_vec() });
                let entry = Entry::File(self.inodes.len() - 1);
                self.change(folder(path), Change::Set(path.to_owned(), entry));
            }
        }
        Self::end(cut)
    }

    fn truncate(&mut self, path: &str, size: u64) -> io::Result<()> {
        let cut = self.operation()?;
        let Some(Entry::File(inode)) = self.volatile.get(path) else { return Err(missing()) };
        self.inodes[*inode].volatile.truncate(size as usize);
        Self::end(cut)
    }

    fn size(&self, path: &str) -> io::Result<u64> {
        Ok(self.read(path)?.map_or(0, |bytes| bytes.len() as u64))
    }

    fn digest(&self, path: &str) -> io::Result<Digest> {
        Ok(Digest::of(&self.read(path)?.unwrap_or_default()))
    }

    fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let within = |name: &String| name.strip_prefix(path)?.strip_prefix('/').map(str::to_owned);
        Ok(self.volatile.keys().filter_map(within).collect())
    }

    fn read_link(&self, path: &str) -> io::Result<Option<String>> {
        match (self.off, self.volatile.get(path)) {
            (true, _) => Err(io::Error::other("power is off")),
            (false, Some(Entry::Link(target))) => Ok(Some(target.clone())),
            _ => Ok(None),
        }
    }
}

/// The world a simulated device lives in.
pub struct World {
    pub desk: Desk,
    /// True time: what the authority's clock says.
    pub now: Millis,
    pub reachable: bool,
    /// Serial numbers seen in a probe.
    pub probed: BTreeSet<String>,
    pub exchanges: u64,
    pub renewals: u64,
    /// Answers kept back before they arrive.
    pub lose_answers: u32,
}

/// A way to the authority without sockets: what TLS would prove is taken from the identity.
#[derive(Clone)]
pub struct Direct(pub Rc<RefCell<World>>);

impl Channel for Direct {
    fn exchange(&mut self, identity: Option<&Identity>, request: &Request) -> Result<Response, ChannelError> {
        let mut world = self.0.borrow_mut();
        world.exchanges += 1;
        if !world.reachable {
            return Err(ChannelError::Unreachable("the simulation says so".to_owned()));
        }
        let certificate = identity.map(|i| i.chain[0].clone());
        let revoked = |serial: &str| world.desk.ledger.is_revoked(serial).unwrap();
        let peer = identify(certificate.as_deref(), &world.desk.known, revoked, world.now);
        let response = world.desk.answer(&peer, request, world.now);
        if request.path == "/v1/probe" && response.status == 204 {
            let facts = cert_manager::facts::parse_certificate(&certificate.unwrap()).unwrap();
            world.probed.insert(facts.serial.to_string());
        }
        world.renewals += u64::from(request.path.ends_with("enroll"));
        if world.lose_answers > 0 {
            world.lose_answers -= 1;
            return Err(ChannelError::Failed("the answer was lost".to_owned()));
        }
        Ok(response)
    }

    fn believe(&mut self, _: &[Vec<u8>], _: Millis) {}

    fn knock(&mut self) -> bool {
        self.0.borrow().reachable
    }
}
