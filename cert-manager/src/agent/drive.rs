//! The driver: gathers facts, asks [`next_step`], carries the step out. One step a call.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType};
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::bundles::{self, BundleState, FetchError, Fetched};
use super::channel::{Channel, ChannelError, Identity};
use super::storage::Storage;
use super::store::{Pair, Staged, Store, View};
use crate::authority::POLICY_QUARANTINE;
use crate::bundle::{API_VERSION, Kind, Skew};
use crate::desk::{RECEIPT_HEADER, REFUSED_HEADER, REQUEST_HEADER};
use crate::device::{DeviceId, RequestId};
use crate::digest::Digest;
use crate::est::wire::{decode_body, encode_body, parse_certs_only};
use crate::facts::parse_certificate;
use crate::floor::{Clock, Floor, Nonce, read_time_answer};
use crate::holds::Holds;
use crate::http::{Request, Response};
use crate::keys::Key;
use crate::ledger::Refusal;
use crate::receipt::{SignedReceipt, parse_receipt};
use crate::revocation::{StatusError, StatusList};
use crate::rotation::{Chance, Facts, Held, State, Step, Trouble, Window, next_step, state};
use crate::sign::Role;
use crate::time::{Millis, Span};
use crate::trust::{STEPS_MAX, Trust};

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

    fn clock(&self, moment: Moment) -> Clock {
        let signed = self.signed.map(|(at, then)| (at, Span(moment.elapsed.0.saturating_sub(then.0))));
        let floor = self.memory.floor.raised(self.woke_at.at() + moment.elapsed);
        Clock { floor, local: moment.local, signed }
    }

    fn knock(&mut self, now: Millis) -> Result<(), AgentError> {
        if self.channel.knock() {
            self.memory.trouble.answered();
        } else {
            self.memory.trouble.knocked = now;
        }
        self.remember()
    }

    fn ask_time(&mut self, moment: Moment) -> Result<(), AgentError> {
        self.asked = Some(moment.elapsed);
        let nonce = Nonce(random()?);
        let body = format!("{{\"nonce\":\"{}\"}}", String::from(nonce));
        let identity = self.identity(&self.store.look()?)?;
        let request = Request::post("/v1/time", "application/json", body.into_bytes());
        let response = good(self.channel.exchange(identity.as_ref(), &request)?, 200)?;
        let answer = read_time_answer(&response.body, self.trust.keys(Role::Time), nonce).map_err(unacceptable)?;
        self.signed = Some((answer.time_ms, moment.elapsed));
        self.memory.floor = self.memory.floor.raised(answer.time_ms);
        self.remember()?;
        if answer.trust_version > self.trust.version() { self.walk(identity.as_ref()) } else { Ok(()) }
    }

    /// Walks to the newest root document, one request a step.
    fn walk(&mut self, identity: Option<&Identity>) -> Result<(), AgentError> {
        for _ in 0..STEPS_MAX {
            let next = Request::get(format!("/v1/trust/{}", self.trust.version().saturating_add(1)));
            let response = self.channel.exchange(identity, &next)?;
            if response.status == 404 {
                break;
            }
            self.trust = self.trust.step(&good(response, 200)?.body).map_err(unacceptable)?;
        }
        self.store.keep(ROOT_FILE, self.trust.bytes())?;
        Ok(())
    }

    fn stage(&mut self, view: &View) -> Result<(), AgentError> {
        let slot = view.newest.as_ref().map_or(super::store::Slot::A, |pair| pair.slot.other());
        let key = self.store.keys().generate().map_err(|e| AgentError::Key(e.to_string()))?;
        Ok(self.store.stage(slot, &key, RequestId(random()?))?)
    }

    fn send(&mut self, view: &View, moment: Moment) -> Result<(), AgentError> {
        let Some(staged) = view.staged else { return Ok(()) };
        let Some(key) = self.store.key(staged.slot)? else { return Ok(()) };
        let request = self.request(view, staged, &key)?;
        // A token speaks for itself; showing an old certificate beside it would only confuse.
        let identity = if self.token.is_some() { None } else { self.identity(view)? };
        let response = self.channel.exchange(identity.as_ref(), &request)?;
        let now = self.clock(moment).now();
        match response.status {
            200 => self.take(view, staged, &response),
            202 => self.later(&response, now),
            403 if response.header(REFUSED_HEADER).is_some() => self.refused(&response, now),
            401 => {
                self.memory.trouble.refused = Some(Refusal::Credential);
                self.memory.trouble.last = now;
                self.remember()?;
                self.forget_token() // spent or wrong: asking again with it gets the same answer
            }
            status => {
                self.memory.trouble.not_before = now + response.retry_after().unwrap_or(Span::ZERO);
                Err(AgentError::Answer { status, say: response.first_line() })
            }
        }
    }

    fn request(&self, view: &View, staged: Staged, key: &Key) -> Result<Request, AgentError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.device.as_str());
        let csr = params.serialize_request(key).map_err(|e| AgentError::Key(e.to_string()))?;
        let path = match (&self.token, &view.newest) {
            (Some(_), _) | (None, None) => "/.well-known/est/simpleenroll",
            (None, Some(_)) => "/.well-known/est/simplereenroll",
        };
        let mut request = Request::post(path, "application/pkcs10", encode_body(csr.der()))
            .with("content-transfer-encoding", "base64")
            .with(REQUEST_HEADER, staged.request.to_string());
        match (&self.token, &view.newest) {
            (Some(token), _) => {
                let basic = Zeroizing::new(format!("{}:{}", self.device, token.as_str()));
                request = request.with("authorization", format!("Basic {}", STANDARD.encode(basic.as_bytes())));
            }
            (None, Some(pair)) => request = request.with(RECEIPT_HEADER, STANDARD.encode(pair.receipt.bytes())),
            (None, None) => {}
        }
        Ok(request)
    }

    /// Checks an issued certificate against everything known, then installs it.
    fn take(&mut self, view: &View, staged: Staged, response: &Response) -> Result<(), AgentError> {
        let message = decode_body(&response.body).map_err(unacceptable)?;
        let certs = parse_certs_only(&message).map_err(unacceptable)?;
        let mine = |der: &&Vec<u8>| parse_certificate(der).is_ok_and(|facts| facts.key.id == staged.key);
        let certificate = certs.iter().find(mine).ok_or_else(|| unacceptable("no certificate for the key"))?;
        let facts = parse_certificate(certificate).map_err(unacceptable)?;
        let receipt = self.receipt(response)?;
        let said = receipt.receipt();
        let before = view.newest.as_ref().map_or(0, |pair| pair.receipt.receipt().n);
        let agrees = said.device == self.device
            && said.key == facts.key.id
            && said.serial == facts.serial
            && said.not_after == facts.validity.until
            && facts.common_name.as_deref() == Some(self.device.as_str())
            && said.n > before;
        if !agrees {
            return Err(unacceptable("the receipt and the certificate disagree"));
        }
        let chain = self.chain(view.newest.as_ref(), &facts.issuer)?;
        self.store.install(staged.slot, certificate, &chain, &receipt)?;
        self.memory.floor = self.memory.floor.raised(said.server_time);
        self.memory.trouble = Trouble::default();
        self.memory.hint = None;
        self.remember()?;
        self.forget_token()
    }

    fn receipt(&self, response: &Response) -> Result<SignedReceipt, AgentError> {
        let text = response.header(RECEIPT_HEADER).ok_or_else(|| unacceptable("no receipt"))?;
        let bytes = STANDARD.decode(text).map_err(unacceptable)?;
        let receipt = parse_receipt(&bytes).map_err(unacceptable)?;
        receipt.verify(self.trust.keys(Role::Receipt)).map_err(unacceptable)?;
        Ok(receipt)
    }

    /// Certificates between the new one and an anchor: as before, unless the issuer changed.
    fn chain(&mut self, held: Option<&Pair>, issuer: &str) -> Result<Vec<Vec<u8>>, AgentError> {
        if let Some(pair) = held.filter(|pair| pair.facts.issuer == issuer) {
            return Ok(pair.chain.clone());
        }
        let response = good(self.channel.exchange(None, &Request::get("/.well-known/est/cacerts"))?, 200)?;
        let certs = parse_certs_only(&decode_body(&response.body).map_err(unacceptable)?).map_err(unacceptable)?;
        // Anchors are known from the root document; only what lies between is kept.
        let anchors = self.trust.anchors(self.memory.floor.at());
        Ok(certs.into_iter().filter(|der| !anchors.contains(der)).collect())
    }

    fn later(&mut self, response: &Response, now: Millis) -> Result<(), AgentError> {
        self.memory.trouble.not_before = now + response.retry_after().unwrap_or(Span::ZERO);
        self.memory.trouble.unreachable = false;
        self.remember()
    }

    fn refused(&mut self, response: &Response, now: Millis) -> Result<(), AgentError> {
        let name = response.header(REFUSED_HEADER).unwrap_or_default();
        let refusal = serde_json::from_value(serde_json::Value::String(name.to_owned()));
        // A reason this version does not know is still a refusal.
        self.memory.trouble.refused = Some(refusal.unwrap_or(Refusal::UnknownDevice));
        self.memory.trouble.last = now;
        self.remember()
    }

    fn probe(&mut self, view: &View) -> Result<(), AgentError> {
        let Some(pair) = &view.newest else { return Ok(()) };
        let identity = self.identity(view)?;
        let request = Request::post("/v1/probe", "application/json", Vec::new());
        good(self.channel.exchange(identity.as_ref(), &request)?, 204)?;
        self.memory.probed = Some(pair.facts.key.id);
        self.memory.trouble = Trouble::default();
        self.remember()
    }

    fn commit(&mut self, view: &View) -> Result<(), AgentError> {
        let Some(pair) = &view.newest else { return Ok(()) };
        Ok(self.store.commit(pair.slot)?)
    }

    fn identity(&self, view: &View) -> std::io::Result<Option<Identity>> {
        let Some(pair) = &view.newest else { return Ok(None) };
        let key = self.store.key(pair.slot)?.filter(|key| key.id() == pair.facts.key.id);
        let chain = [std::slice::from_ref(&pair.certificate), &pair.chain].concat();
        Ok(key.map(|key| Identity { chain, key }))
    }

    fn forget_token(&mut self) -> Result<(), AgentError> {
        match self.token.take() {
            Some(_) => Ok(self.store.forget(TOKEN_FILE)?),
            None => Ok(()),
        }
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
