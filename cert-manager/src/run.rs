//! `vedette-agent run`: one step after the other, and between them calls and bundles.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use cert_manager::agent::bundles::{self, Fetched};
use cert_manager::agent::calls::CallLog;
use cert_manager::agent::calls::upload::{Uploaded, upload};
use cert_manager::agent::channel::Channel;
use cert_manager::agent::drive::AgentError;
use cert_manager::agent::storage::Disk;
use cert_manager::bundle::Kind;
use cert_manager::est::client::{Server, TlsChannel};
use cert_manager::rotation::{Chance, State, Step, backoff};
use cert_manager::time::Span;

use crate::command::{Failure, Live, advice, alone, file, seal_key, wake};
use crate::intake::{self, Log};
use crate::rim::{Clocks, notify, run_hook, sleep};

/// What `run` takes.
pub struct Run {
    /// The device's folder.
    pub folder: PathBuf,
    /// A program to call after each rotation.
    pub hook: Option<PathBuf>,
    /// How long to go on.
    pub until: Until,
    /// Where the device's calls go; without it there is no socket.
    pub calls_to: Option<Server>,
    /// Kinds of bundles the device wants.
    pub bundles: Vec<Kind>,
    /// Whether other devices are looked up.
    pub peers: Peers,
}

/// Whether a status list is kept to look other devices up in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// No.
    Unknown,
    /// Yes.
    LookedUp,
}

/// How long `run` goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until somebody ends it.
    Ended,
    /// Until there is nothing to do now.
    Asleep,
}

/// Runs.
pub fn run(args: &Run) -> Result<ExitCode, Failure> {
    let folder = args.folder.as_path();
    let mut agent = wake(folder)?;
    let _alone = alone(folder)?;
    let clocks = Clocks::start();
    let (arrived, alarm) = sync_channel(1);
    let mut calls = args.calls_to.as_ref().map(|server| Calls::open(folder, &agent, server)).transpose()?;
    if let Some(calls) = &calls
        && args.until == Until::Ended
    {
        intake::listen(folder, calls.log.clone(), arrived).map_err(|e| file(&folder.join(intake::SOCKET), e))?;
    }
    notify("READY=1");
    let mut told = None;
    let mut looked: Option<Span> = None;
    loop {
        let moment = clocks.moment();
        let state = agent.state(moment)?;
        if told != Some(state) {
            println!("{state:?}");
            notify(&format!("STATUS={state:?}"));
            told = Some(state);
        }
        // A device that comes back lets its calls be scored before it asks to be released.
        if let Some(calls) = &mut calls
            && (calls.due(moment.elapsed) || state == State::Quarantined && calls.failures == 0)
        {
            calls.send(&agent, moment.elapsed);
        }
        match agent.step(moment) {
            Ok(Step::Commit) => args.hook.iter().for_each(|hook| run_hook(hook, folder)),
            Ok(Step::Wait { until }) => {
                let day = looked.is_none_or(|at| moment.elapsed.0.saturating_sub(at.0) >= LOOK_EVERY.0);
                let wanted = !args.bundles.is_empty() || args.peers == Peers::LookedUp;
                if day && wanted && state == State::Healthy {
                    looked = Some(moment.elapsed);
                    look(&mut agent, args, &clocks, calls.as_ref());
                }
                agent.channel().close();
                if args.until == Until::Asleep {
                    return last(state, calls.as_mut(), &agent, moment.elapsed);
                }
                let now = agent.facts(clocks.moment())?.now;
                rest(&alarm, until.since(now), calls.as_mut(), &clocks);
            }
            // Only an operator can help; the service manager need not start it over and over.
            Ok(Step::Stop) => return Err(Failure::Stuck(state)),
            Ok(_) => {}
            Err(AgentError::Disk(source)) => return Err(file(folder, source)),
            Err(error) if args.until == Until::Asleep => return Err(error.into()),
            Err(error) => eprintln!("vedette-agent: {error}"),
        }
    }
}

/// The end of `run --once`.
fn last(state: State, calls: Option<&mut Calls>, agent: &Live, elapsed: Span) -> Result<ExitCode, Failure> {
    if let Some(calls) = calls {
        calls.send(agent, elapsed);
    }
    match state {
        State::Healthy => Ok(ExitCode::SUCCESS),
        _ => Err(Failure::NotWell { state, advice: advice(state) }),
    }
}

/// Sleeps until the next step, the next upload, or the first call that comes.
fn rest(alarm: &Receiver<()>, span: Span, calls: Option<&mut Calls>, clocks: &Clocks) {
    let Some(calls) = calls else { return sleep(span) };
    let now = clocks.moment().elapsed;
    let upload = calls.at.map(|at| Span(at.0.saturating_sub(now.0)));
    if crate::rim::wait(alarm, upload.map_or(span, |at| at.min(span))) && calls.at.is_none() {
        calls.at = Some(Span(clocks.moment().elapsed.0.saturating_add(GATHER.0)));
    }
}

/// Looks for newer bundles and for who is revoked; what was refused is said, and the device goes on with what it has.
fn look(agent: &mut Live, args: &Run, clocks: &Clocks, calls: Option<&Calls>) {
    if args.peers == Peers::LookedUp
        && let Err(error) = agent.fetch_status()
    {
        eprintln!("vedette-agent: no newer status list: {error}");
    }
    for kind in &args.bundles {
        match agent.fetch_bundle(*kind, clocks.moment()) {
            Ok(Fetched::Took(version)) => println!("{kind} bundle {version} is in force"),
            Ok(Fetched::Newest(_) | Fetched::NoneThere) => {}
            Err(error) => eprintln!("vedette-agent: {error}"),
        }
    }
    if let (Some(calls), Ok(model)) = (calls, agent.bundle_state(Kind::Model, clocks.moment())) {
        calls.log.lock().unwrap_or_else(PoisonError::into_inner).model = model;
        if let Some(skew) = model.skew.filter(|skew| *skew != cert_manager::bundle::Skew::None) {
            eprintln!("vedette-agent: the newest model {}", bundles::advice(skew));
        }
    }
}

/// The device's calls and the way they go.
struct Calls {
    log: Log,
    channel: TlsChannel,
    /// When to send, on the clock that cannot be set.
    at: Option<Span>,
    failures: u32,
}

impl Calls {
    fn open(folder: &Path, agent: &Live, server: &Server) -> Result<Self, Failure> {
        let disk = Disk::open(folder).map_err(|e| file(folder, e))?;
        let key = seal_key(folder)?;
        let log = CallLog::open(disk, agent.device(), key).map_err(|e| file(folder, e))?;
        // Calls from before this start go soon.
        let at = log.waits().map_err(|e| file(folder, e))?.then_some(GATHER);
        Ok(Self { log: Arc::new(Mutex::new(log)), channel: TlsChannel::new(server.clone()), at, failures: 0 })
    }

    fn due(&self, elapsed: Span) -> bool {
        self.at.is_some_and(|at| elapsed >= at)
    }

    /// Sends what waits; in vain, it is tried again later, ever more patiently.
    fn send(&mut self, agent: &Live, elapsed: Span) {
        let Ok(identity) = agent.credentials() else { return };
        let floor = agent.memory().floor.at();
        self.channel.believe(&agent.trust().anchors(floor), floor);
        let outcome = upload(&self.log, &mut self.channel, identity.as_ref());
        self.channel.close();
        let wait = match outcome {
            Ok(Uploaded::All(_)) => {
                self.failures = 0;
                self.at = None;
                return;
            }
            Ok(Uploaded::Later(_, wait)) => wait,
            Err(error) => {
                eprintln!("vedette-agent: {error}");
                self.failures = self.failures.saturating_add(1);
                backoff(self.failures, Chance(u32::MAX / 2))
            }
        };
        self.at = Some(Span(elapsed.0.saturating_add(wait.0)));
    }
}

/// How often a healthy device looks for newer bundles: with its one wake-up a day.
const LOOK_EVERY: Span = Span::hours(24);
/// How long calls gather before they are sent together.
const GATHER: Span = Span::seconds(30);
