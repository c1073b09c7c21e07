//! Bundles and the status list: fetched where the authority has newer ones, and what the device holds of them.

use super::{Agent, AgentError, BundleMemory, Moment, STATUS_FILE, good, unacceptable};
use crate::agent::bundles::{self, BundleState, FetchError, Fetched};
use crate::agent::channel::Channel;
use crate::agent::storage::Storage;
use crate::bundle::{API_VERSION, Kind};
use crate::holds::Holds;
use crate::http::Request;
use crate::revocation::{StatusError, StatusList};
use crate::sign::Role;

impl<S: Storage, C: Channel> Agent<S, C> {
    /// Takes a newer bundle of `kind` where the authority has one.
    ///
    /// # Errors
    /// [`FetchError`]; the one in force goes on.
    pub fn fetch_bundle(&mut self, kind: Kind, moment: Moment) -> Result<Fetched, FetchError> {
        let identity = self.credentials()?;
        let now = self.clock(moment).now();
        let held = self.memory.bundles.get(&kind).copied().unwrap_or_default();
        let holds = self.holds()?;
        let trust = (&self.trust, &holds);
        let storage = self.store.storage();
        let outcome = bundles::fetch(storage, &mut self.channel, identity.as_ref(), (kind, held.highest), trust, now);
        let skew = bundles::skew_of(&outcome).or(held.skew);
        let highest = if let Ok(Fetched::Took(version)) = outcome { version } else { held.highest };
        let known = BundleMemory { highest, skew };
        if known != held {
            self.memory.bundles.insert(kind, known);
            self.store.keep_state(&serde_json::to_vec(&self.memory).unwrap_or_default())?;
        }
        outcome
    }

    /// Keeps the authority's newest status list, for peers to be looked up in. What it was made at is a signed time:
    /// the floor rises with it.
    ///
    /// # Errors
    /// [`AgentError`]; the list that is kept goes on.
    pub fn fetch_status(&mut self) -> Result<(), AgentError> {
        let identity = self.credentials()?;
        let response = good(self.channel.exchange(identity.as_ref(), &Request::get("/v1/status"))?, 200)?;
        let list = StatusList::read(&response.body, self.trust.keys(Role::Status), None).map_err(unacceptable)?;
        match self.memory.status {
            Some(held) if held > list.made() => return Err(unacceptable(StatusError::Rollback)),
            Some(held) if held == list.made() => return Ok(()),
            _ => {}
        }
        self.store.keep(STATUS_FILE, &response.body)?;
        self.memory.status = Some(list.made());
        self.memory.floor = self.memory.floor.raised(list.made());
        self.remember()
    }

    /// What the device holds now.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn holds(&mut self) -> std::io::Result<Holds> {
        let mut holds = Holds { api: API_VERSION, root: self.trust.version(), ..Holds::default() };
        for kind in Kind::ALL {
            let manifest = bundles::in_force(self.store.storage(), kind, &self.trust)?;
            holds.set(kind, manifest.map_or(0, |manifest| manifest.version));
        }
        Ok(holds)
    }

    /// How the device stands with `kind`.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn bundle_state(&mut self, kind: Kind, moment: Moment) -> std::io::Result<BundleState> {
        let now = self.clock(moment).now();
        let skew = self.memory.bundles.get(&kind).and_then(|known| known.skew);
        bundles::state_of(self.store.storage(), kind, &self.trust, skew, now)
    }
}
