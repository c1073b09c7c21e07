//! What each subcommand does.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cert_manager::agent::bundles::{self, BundleState};
use cert_manager::agent::channel::Channel;
use cert_manager::agent::drive::{Agent, AgentError, ROOT_FILE, TOKEN_FILE};
use cert_manager::agent::storage::Disk;
use cert_manager::agent::store::Store;
use cert_manager::bundle::{Kind, Skew};
use cert_manager::device::DeviceId;
use cert_manager::est::client::{Server, TlsChannel};
use cert_manager::rotation::{State, Step};
use cert_manager::time::Millis;
use cert_manager::trust::{Trust, TrustError};
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::HELP;
use crate::rim::Clocks;
use crate::run::{Run, run};

/// A subcommand with its arguments.
pub enum Command {
    Help,
    Version,
    Enroll { folder: PathBuf, server: Server, device: DeviceId, trust: PathBuf, token_file: Option<PathBuf> },
    Run(Run),
    Status { folder: PathBuf },
    Import { folder: PathBuf, file: PathBuf },
    Doctor { folder: PathBuf },
}

/// Why a subcommand failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Usage(lexopt::Error),
    #[error("cannot read or write `{path}`: {source}")]
    File { path: String, source: std::io::Error },
    #[error("`{0}` holds no enrolled device: run `vedette-agent enroll` first")]
    NotEnrolled(String),
    #[error("the root document is refused: {0}")]
    Trust(#[from] TrustError),
    #[error("{0}")]
    Agent(#[from] AgentError),
    #[error("{state:?}: {advice}")]
    NotWell { state: State, advice: &'static str },
    #[error("another vedette-agent is at work in `{0}`: end it first (systemctl stop vedette-agent)")]
    Busy(String),
    #[error("not enrolled: the device is in state {0:?}; run `vedette-agent doctor`")]
    Stuck(State),
}

impl Failure {
    /// 2 for wrong use, 1 for everything else.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(if matches!(self, Self::Usage(_)) { 2 } else { 1 })
    }
}

/// `agent.json`: written at enrolment, read ever after.
#[derive(Serialize, Deserialize)]
struct Settings {
    device: DeviceId,
    server: String,
}

/// The agent on a real disk and a real network.
pub type Live = Agent<Disk, TlsChannel>;

impl Command {
    /// Carries it out.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Help => println!("{HELP}"),
            Self::Version => println!("vedette-agent {}", env!("CARGO_PKG_VERSION")),
            Self::Enroll { folder, server, device, trust, token_file } => {
                return enroll(&folder, server, device, &trust, token_file.as_deref());
            }
            Self::Run(args) => return run(&args),
            Self::Status { folder } => status(&folder)?,
            Self::Import { folder, file } => import(&folder, &file)?,
            Self::Doctor { folder } => return doctor(&folder),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn enroll(
    folder: &Path,
    server: Server,
    device: DeviceId,
    trust: &Path,
    token_file: Option<&Path>,
) -> Result<ExitCode, Failure> {
    let token = read_token(token_file)?;
    let trust = Trust::start(&read(trust)?)?;
    let mut store = open(folder)?;
    let _alone = alone(folder)?;
    let settings = Settings { device: device.clone(), server: server.to_string() };
    let text = serde_json::to_vec(&settings).unwrap_or_default(); // INVARIANT: two strings serialise
    store.keep("agent.json", &text).map_err(|source| file(folder, source))?;
    if store.read(ROOT_FILE).map_err(|source| file(folder, source))?.is_none() {
        store.keep(ROOT_FILE, trust.bytes()).map_err(|source| file(folder, source))?;
    }
    // Kept until it is used up: an enrolment that waits for approval goes on in `run`.
    store.keep(TOKEN_FILE, token.as_bytes()).map_err(|source| file(folder, source))?;
    let clocks = Clocks::start();
    let mut agent = Agent::wake(device, store, TlsChannel::new(server), trust, Some(token))?;
    agent.begin_again()?;
    loop {
        match agent.step(clocks.moment()) {
            Ok(Step::Wait { .. } | Step::Stop) => break,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
    agent.channel().close();
    let state = agent.state(clocks.moment())?;
    match state {
        State::Healthy | State::Quarantined | State::Due => {
            println!("enrolled: {}", folder.join("current/cert.pem").display());
            Ok(ExitCode::SUCCESS)
        }
        State::Staged => {
            println!("waiting for an operator's approval; `vedette-agent run` asks again");
            Ok(ExitCode::SUCCESS)
        }
        other => Err(Failure::Stuck(other)),
    }
}

/// What `status` prints.
#[derive(Serialize)]
struct Status {
    state: State,
    device: DeviceId,
    certificate: Option<StatusCertificate>,
    floor_ms: Millis,
    trust_version: u32,
    failures: u32,
    refused: Option<String>,
    bundles: BTreeMap<Kind, BundleState>,
}

#[derive(Serialize)]
struct StatusCertificate {
    serial: String,
    until_ms: Millis,
    number: u64,
}

fn status(folder: &Path) -> Result<(), Failure> {
    let mut agent = wake(folder)?;
    let moment = Clocks::start().moment();
    let mut bundles = BTreeMap::new();
    for kind in Kind::ALL {
        bundles.insert(kind, agent.bundle_state(kind, moment).map_err(|source| file(folder, source))?);
    }
    let view = agent.store().look().map_err(|source| file(folder, source))?;
    let memory = agent.memory();
    let status = Status {
        state: agent.state(moment)?,
        device: settings(folder)?.device,
        certificate: view.newest.map(|pair| StatusCertificate {
            serial: pair.facts.serial.to_string(),
            until_ms: pair.facts.validity.until,
            number: pair.receipt.receipt().n,
        }),
        floor_ms: memory.floor.at(),
        trust_version: agent.trust().version(),
        failures: memory.trouble.failures,
        refused: memory.trouble.refused.map(|refusal| refusal.to_string()),
        bundles,
    };
    println!("{}", serde_json::to_string(&status).unwrap_or_default()); // INVARIANT: plain data serialises
    Ok(())
}

/// Takes root documents, one a line, in order; those that are known already are passed over.
fn import(folder: &Path, path: &Path) -> Result<(), Failure> {
    let mut store = open(folder)?;
    let _alone = alone(folder)?;
    let bytes = store.read(ROOT_FILE).map_err(|source| file(folder, source))?;
    let held = Trust::start(&bytes.ok_or_else(|| Failure::NotEnrolled(folder.display().to_string()))?)?;
    let documents = read(path)?;
    let lines = documents.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    let newer = lines.filter(|line| Trust::start(line).is_ok_and(|t| t.version() > held.version()));
    let (newest, end) = held.walk(newer);
    store.keep(ROOT_FILE, newest.bytes()).map_err(|source| file(folder, source))?;
    println!("root document {} -> {}", held.version(), newest.version());
    Ok(end?)
}

fn doctor(folder: &Path) -> Result<ExitCode, Failure> {
    let mut agent = wake(folder)?;
    let clocks = Clocks::start();
    let facts = agent.facts(clocks.moment())?;
    let state = agent.state(clocks.moment())?;
    println!("state     {state:?}: {}", advice(state));
    if let Some(refusal) = facts.trouble.refused {
        println!("refused   {refusal}");
    }
    let local = clocks.moment().local;
    let floor = agent.memory().floor.at();
    let clock = if local < floor { "behind what is certain; set it" } else { "plausible" };
    println!("clock     {clock} (local {} s, certain {} s)", local.unix_seconds(), floor.unix_seconds());
    let reached = agent.channel().knock();
    println!("authority {} {}", settings(folder)?.server, if reached { "answers" } else { "does not answer" });
    let stale = agent.trust().stale(facts.now);
    println!(
        "trust     root document {}{}",
        agent.trust().version(),
        if stale { ", stale: import a newer one" } else { "" }
    );
    let behind = bundles_said(&mut agent, &clocks).map_err(|source| file(folder, source))?;
    let good = !behind && matches!(state, State::Healthy | State::Due | State::Quarantined) && reached && !stale;
    Ok(ExitCode::from(u8::from(!good)))
}

/// Says of each bundle how the device stands with it; whether it is behind with one.
fn bundles_said(agent: &mut Live, clocks: &Clocks) -> std::io::Result<bool> {
    let mut behind = false;
    for kind in Kind::ALL {
        let stands = agent.bundle_state(kind, clocks.moment())?;
        let trust = agent.trust().clone();
        let storage = agent.storage();
        let whole = match bundles::in_force(storage, kind, &trust)? {
            Some(manifest) => bundles::intact(storage, kind, &manifest)?,
            None if stands.skew.is_none() => continue,
            None => true,
        };
        let skew = stands.skew.filter(|skew| *skew != Skew::None);
        let mut says = format!("{kind:<9} bundle {} in force", stands.version);
        if stands.stale {
            says += ", its time is over: the operator publishes a newer one";
        }
        if !whole {
            says += ", damaged on disk: it is fetched anew once a newer one is published";
        }
        if let Some(skew) = skew {
            says += &format!("; the newest {}", bundles::advice(skew));
        }
        println!("{says}");
        behind |= stands.stale || !whole || skew.is_some();
    }
    Ok(behind)
}

/// What a person does about a state.
pub fn advice(state: State) -> &'static str {
    match state {
        State::Healthy => "nothing to do",
        State::Due | State::Staged | State::Issued | State::Probed => "a rotation is under way; let `run` go on",
        State::Stale => "due, and the authority is away; the certificate is still good",
        State::Grace => "expired; comes back by itself when the authority answers, within the class's window",
        State::Quarantined => "back for at most 24 hours; renewed in full as soon as risk allows",
        State::NeedsVoucher => "ask the operator for `vedette ca voucher`, then run `vedette-agent enroll` with it",
        State::Forked => "another party holds this device's line; the operator decides with `vedette ca approve`",
        State::Revoked => "revoked; only `vedette ca voucher` brings it back",
    }
}

/// Keeps other agents out of the folder for as long as the file is held: two would stage over each other's keys,
/// and look like a clone. The system lets go of it however the process ends.
pub fn alone(folder: &Path) -> Result<File, Failure> {
    let path = folder.join("lock");
    let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let lock = lock.map_err(|source| file(&path, source))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Failure::Busy(folder.display().to_string())),
        Err(TryLockError::Error(source)) => Err(file(&path, source)),
    }
}

/// Wakes the agent of an enrolled device.
pub fn wake(folder: &Path) -> Result<Live, Failure> {
    let settings = settings(folder)?;
    let store = open(folder)?;
    let root = store.read(ROOT_FILE).map_err(|source| file(folder, source))?;
    let trust = Trust::start(&root.ok_or_else(|| Failure::NotEnrolled(folder.display().to_string()))?)?;
    let server = settings.server.parse().map_err(|_| Failure::NotEnrolled(folder.display().to_string()))?;
    let token = store.read(TOKEN_FILE).map_err(|source| file(folder, source))?;
    let token = token.and_then(|bytes| String::from_utf8(bytes).ok()).map(Zeroizing::new);
    Ok(Agent::wake(settings.device, store, TlsChannel::new(server), trust, token)?)
}

fn settings(folder: &Path) -> Result<Settings, Failure> {
    let missing = || Failure::NotEnrolled(folder.display().to_string());
    let bytes = std::fs::read(folder.join("agent.json")).map_err(|_| missing())?;
    serde_json::from_slice(&bytes).map_err(|_| missing())
}

/// The key that seals this device's calls; made on first use.
pub fn seal_key(folder: &Path) -> Result<[u8; 32], Failure> {
    let mut store = open(folder)?;
    let held = store.read(SEAL_KEY_FILE).map_err(|source| file(folder, source))?.map(Zeroizing::new);
    if let Some(key) = held.and_then(|bytes| bytes.as_slice().try_into().ok()) {
        return Ok(key);
    }
    let mut key = Zeroizing::new([0; 32]);
    let filled = ring::rand::SystemRandom::new().fill(key.as_mut());
    filled.map_err(|_| file(folder, std::io::Error::other("no random bytes from the system")))?;
    store.keep(SEAL_KEY_FILE, key.as_slice()).map_err(|source| file(folder, source))?;
    Ok(*key)
}

/// Name of the file with the key that seals calls.
const SEAL_KEY_FILE: &str = "seal.key";

fn open(folder: &Path) -> Result<Store<Disk>, Failure> {
    Disk::open(folder).and_then(Store::open).map_err(|source| file(folder, source))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|source| file(path, source))
}

/// The token from its file, or from the standard input: never from an argument, which others can see.
fn read_token(path: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    match path {
        Some(path) => *text = std::fs::read_to_string(path).map_err(|source| file(path, source))?,
        None => {
            let read = std::io::stdin().take(1_024).read_to_string(&mut text);
            read.map_err(|source| file(Path::new("(standard input)"), source))?;
        }
    }
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// An error of a file, with its name.
pub fn file(path: &Path, source: std::io::Error) -> Failure {
    Failure::File { path: path.display().to_string(), source }
}
