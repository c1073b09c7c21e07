//! The driver: gathers facts, asks [`next_step`], carries the step out. One step a call.

mod enrol; // a new certificate, from its key to its use
mod fetch; // bundles and the status list
mod time; // what time it is, and by whose word

use std::collections::BTreeMap;

use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::channel::{Channel, ChannelError, Identity};
use super::storage::Storage;
use super::store::{Store, View};
use crate::authority::POLICY_QUARANTINE;
use crate::bundle::{Kind, Skew};
use crate::device::DeviceId;
use crate::digest::Digest;
use crate::floor::Floor;
use crate::http::Response;
use crate::ledger::Refusal;
use crate::rotation::{Chance, Facts, Held, State, Step, Trouble, Window, next_step, state};
use crate::time::{Millis, Span};
use crate::trust::Trust;

/// What the agent remembers beside its pairs, in `state.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// What time it certainly is not before.
    pub floor: Floor,
    /// Attempts since the last success.
    pub trouble: Trouble,
    /// When the server would like a renewal.
    pub hint: Option<Window>,
    /// The key the authority has accepted in a probe.
    pub probed: Option<Digest>,
    /// What is known of each kind of bundle.
    pub bundles: BTreeMap<Kind, BundleMemory>,
    /// When the status list that is kept was made: an older one never replaces it.
    pub status: Option<Millis>,
}

/// What the agent remembers of one kind of bundle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BundleMemory {
    /// Highest number that ever was in force: losing a file opens no way back.
    pub highest: u64,
    /// Whether the newest one offered can run here.
    pub skew: Option<Skew>,
}

/// What the rim's clocks say at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// The local clock; may be anything.
    pub local: Millis,
    /// Time since the agent woke, by a clock that cannot be set.
    pub elapsed: Span,
}

/// Why a step could not be carried out. The device stays as it was; the step is tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The disk.
    #[error("the device's folder cannot be read or written")]
    Disk(#[from] std::io::Error),
    /// The way to the authority.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The authority answered, and it was no help.
    #[error("the authority answered {status}: {say}")]
    Answer {
        /// HTTP status.
        status: u16,
        /// First line of the body.
        say: String,
    },
    /// The authority's answer breaks a rule; nothing of it is kept.
    #[error("the authority's answer is not acceptable: {0}")]
    Unacceptable(String),
    /// A key or a request could not be made.
    #[error("cannot make a key: {0}")]
    Key(String),
}

/// One device.
#[derive(Debug)]
pub struct Agent<S, C> {
    device: DeviceId,
    store: Store<S>,
    channel: C,
    trust: Trust,
    memory: Memory,
    token: Option<Zeroizing<String>>,
    signed: Option<(Millis, Span)>,
    /// The floor when the agent woke: with the time since, a lower bound too.
    woke_at: Floor,
    /// When the time was asked for last, answered or not.
    asked: Option<Span>,
}

/// Name of the file with the one-time token, while it is not used up.
pub const TOKEN_FILE: &str = "token";
/// Name of the file with the newest status list, where one is kept.
pub const STATUS_FILE: &str = "status.bin";
/// Name of the file with the newest root document.
pub const ROOT_FILE: &str = "root.json";

impl<S: Storage, C: Channel> Agent<S, C> {
    /// Wakes an agent on its folder. `trust`: the first root document, used where the folder has no
    /// newer one. A memory that cannot be read is forgotten: it holds nothing that cannot be learnt again.
    ///
    /// # Errors
    /// [`AgentError::Disk`].
    pub fn wake(
        device: DeviceId,
        store: Store<S>,
        channel: C,
        trust: Trust,
        token: Option<Zeroizing<String>>,
    ) -> Result<Self, AgentError> {
        let memory: Memory = store.state()?.and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default();
        let woke_at = memory.floor;
        let kept = store.read(ROOT_FILE)?.and_then(|bytes| Trust::start(&bytes).ok());
        let trust = kept.filter(|kept| kept.version() > trust.version()).unwrap_or(trust);
        Ok(Self { device, store, channel, trust, memory, token, signed: None, woke_at, asked: None })
    }

    /// What the next step depends on.
    ///
    /// # Errors
    /// [`AgentError::Disk`].
    pub fn facts(&self, moment: Moment) -> Result<Facts, AgentError> {
        Ok(self.facts_of(&self.store.look()?, moment))
    }

    /// Where the device is.
    ///
    /// # Errors
    /// [`AgentError::Disk`].
    pub fn state(&self, moment: Moment) -> Result<State, AgentError> {
        Ok(state(&self.facts(moment)?))
    }

    /// Forgets refusals and waits: an operator gave a new token or voucher. A staged request is kept,
    /// since its answer may have been lost, unless the authority refused it for good. The pairs stay.
    ///
    /// # Errors
    /// [`AgentError::Disk`].
    pub fn begin_again(&mut self) -> Result<(), AgentError> {
        let refused = std::mem::take(&mut self.memory.trouble).refused;
        self.remember()?;
        match refused {
            None | Some(Refusal::Credential) => Ok(()),
            Some(_) => self.stage(&self.store.look()?),
        }
    }

    /// Whose agent it is.
    pub fn device(&self) -> &DeviceId {
        &self.device
    }

    /// What it remembers.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// The newest root document.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// The way to the authority.
    pub fn channel(&mut self) -> &mut C {
        &mut self.channel
    }

    /// The newest pair, to authenticate with elsewhere.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn credentials(&self) -> std::io::Result<Option<Identity>> {
        self.identity(&self.store.look()?)
    }

    /// The device's folder.
    pub fn store(&self) -> &Store<S> {
        &self.store
    }

    /// The folder's files, for what has its own in it.
    pub fn storage(&mut self) -> &mut S {
        self.store.storage()
    }

    /// Takes the agent apart, for the simulation that cuts its power.
    pub fn into_store(self) -> Store<S> {
        self.store
    }

    /// Carries out the next step and says which it was.
    ///
    /// # Errors
    /// [`AgentError`]; what failed is already counted, so that the next step waits.
    pub fn step(&mut self, moment: Moment) -> Result<Step, AgentError> {
        let floor = self.memory.floor.at();
        self.channel.believe(&self.trust.anchors(floor), floor);
        let view = self.store.look()?;
        let facts = self.facts_of(&view, moment);
        let step = next_step(&facts);
        let done = match step {
            Step::Wait { .. } | Step::Stop => Ok(()),
            Step::Knock => self.knock(facts.now),
            Step::AskTime => self.ask_time(moment),
            Step::Stage => self.stage(&view),
            Step::Send => self.send(&view, moment),
            Step::Probe => self.probe(&view),
            Step::Commit => self.commit(&view),
        };
        // Asking the time while nothing is due is a courtesy: in vain, it is no trouble.
        let courtesy = step == Step::AskTime && state(&facts) == State::Healthy;
        let failed =
            matches!(done, Err(AgentError::Channel(_) | AgentError::Answer { .. } | AgentError::Unacceptable(_)));
        if failed && !courtesy {
            let unreachable = matches!(&done, Err(AgentError::Channel(ChannelError::Unreachable(_))));
            self.memory.trouble.failed(facts.now, unreachable);
            self.remember()?;
        }
        done.map(|()| step)
    }

    fn facts_of(&self, view: &View, moment: Moment) -> Facts {
        let clock = self.clock(moment);
        let held = view.newest.as_ref().map(|pair| {
            let current = view.current == Some(pair.slot);
            Held {
                validity: pair.facts.validity,
                quarantine: pair.facts.policies.iter().any(|p| p == POLICY_QUARANTINE),
                probed: current || self.memory.probed == Some(pair.facts.key.id),
                current,
            }
        });
        let serial = view.newest.as_ref().map(|p| p.facts.serial.to_string()).unwrap_or_default();
        Facts {
            now: clock.now(),
            sure: clock.sure(),
            asked: self.asked.map(|then| Span(moment.elapsed.0.saturating_sub(then.0))),
            held,
            staged: view.staged.is_some(),
            credential: self.token.is_some(),
            hint: self.memory.hint,
            trouble: self.memory.trouble.clone(),
            chance: chance(&self.device, &serial),
        }
    }

    fn knock(&mut self, now: Millis) -> Result<(), AgentError> {
        if self.channel.knock() {
            self.memory.trouble.answered();
        } else {
            self.memory.trouble.knocked = now;
        }
        self.remember()
    }

    fn identity(&self, view: &View) -> std::io::Result<Option<Identity>> {
        let Some(pair) = &view.newest else { return Ok(None) };
        let key = self.store.key(pair.slot)?.filter(|key| key.id() == pair.facts.key.id);
        let chain = [std::slice::from_ref(&pair.certificate), &pair.chain].concat();
        Ok(key.map(|key| Identity { chain, key }))
    }

    fn remember(&mut self) -> Result<(), AgentError> {
        let bytes = serde_json::to_vec(&self.memory).unwrap_or_default(); // INVARIANT: plain data serialises
        Ok(self.store.keep_state(&bytes)?)
    }
}

/// A device's chance for one certificate: the same at every boot, different from its neighbours'.
fn chance(device: &DeviceId, serial: &str) -> Chance {
    let hash = Digest::of(format!("{device}\0{serial}").as_bytes());
    Chance(hash.0.iter().take(4).fold(0, |all, byte| all << 8 | u32::from(*byte)))
}

fn random() -> Result<[u8; 16], AgentError> {
    let mut bytes = [0; 16];
    let filled = ring::rand::SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| AgentError::Key("no random bytes from the system".to_owned()))?;
    Ok(bytes)
}

fn good(response: Response, status: u16) -> Result<Response, AgentError> {
    if response.status == status {
        return Ok(response);
    }
    Err(AgentError::Answer { status: response.status, say: response.first_line() })
}

fn unacceptable(error: impl std::fmt::Display) -> AgentError {
    AgentError::Unacceptable(error.to_string())
}
