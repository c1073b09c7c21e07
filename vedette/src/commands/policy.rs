//! `vedette policy`: a gateway asks whether a call may go through.

mod certificate; // how a device stands with its authority
mod heard; // standings out of Kafka
mod log; // decisions onto disk and into Kafka
mod members; // its place among other replicas
mod publish; // decisions and sightings into Kafka
#[cfg(any(feature = "otlp", test))]
mod spans; // decisions into the callers' traces
mod watch; // files that are read again

pub use log::{Log, Tell};
pub use publish::Publisher;
pub use watch::{CertificateFiles, Watch};

use crate::cli::policy::{PolicyCommand, PolicyTask};
use crate::config::Config;
use crate::failure::Failure;
use crate::pipeline::Parts;
use crate::webhook::{Fallback, Owner};
use ::policy::server::{self, AppState, Certificates, Endpoint, Keys, Tls, Workers};
use ::policy::{Bursts, Delegation, PolicySet, Scorer, Standings, scenario};
use members::Share;
use std::io::Write as _;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves until asked to end. `file`: where the configuration came from.
pub async fn run(args: &PolicyCommand, file: Option<&Path>, config: &Config) -> Result<(), Failure> {
    let mut config = config.clone();
    if let Some(path) = &args.policies {
        config.policy.file.clone_from(path);
    }
    let detector = crate::parts::trusted_detector(&config, args.model.as_deref())?;
    let parts = crate::parts::for_traffic(&config, detector)?;
    let address = args.listen.as_ref().unwrap_or(&config.policy.listen);
    let grpc = args.listen_grpc.as_ref().unwrap_or(&config.policy.listen_grpc);
    let tls = tls(&config.policy.tls)?;
    let traces = traces(&config, address)?;
    let (listener, grpc_listener) = (bind(address, tls.is_some()).await?, bind(grpc, tls.is_some()).await?);
    let mode = parts.mode;
    server::record_metrics();
    // Both doors share one state, so that a session is one whichever way its calls come.
    let (mut state, owner) = doors(parts, &config)?;
    let share = Share::take(args, &config, &owner).await?;
    if let Some(share) = &share {
        state.scorer = Arc::new(share.scorer(Arc::clone(&owner)));
    }
    let publisher = match &args.brokers {
        Some(brokers) => Some(Publisher::start(brokers, &config)?),
        None => None,
    };
    let (tell, traced) = traces.map(|Traces { tell, close }| (tell, close)).unzip();
    let log = log(&config.policy.log_file, publisher.as_ref(), tell)?;
    state.log = log.as_ref().map(|log| log.decisions.clone());
    state.seen = publisher.as_ref().and_then(|publisher| publisher.seen.clone());
    let scheme = if tls.is_some() { "https" } else { "http" };
    // The port that was found, where 0 was named.
    let bound = |at: &TcpListener, named: &str| at.local_addr().map_or_else(|_| named.to_owned(), |at| at.to_string());
    let (address, grpc) = (bound(&listener, address), bound(&grpc_listener, grpc));
    eprintln!(
        "policy: answering at {scheme}://{address}/v1/decide, for Envoy and agentgateway by gRPC at {grpc}, in {mode:?} mode; Ctrl-C ends it"
    );
    let state = Arc::new(state);
    let watch = Watch::new(&config, file).with_tls(tls.clone(), &config.policy.tls);
    let watching = tokio::spawn(watch.run(Arc::clone(&state)));
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let workers = Workers::start(cores).map_err(|source| Failure::Runtime { source })?;
    let hearing = match &args.brokers {
        Some(brokers) => {
            let cluster = config.kafka.cluster(Some(brokers))?;
            let owner = Arc::clone(&owner);
            Some(tokio::spawn(async move { heard::listen(&cluster, owner.standings()).await }))
        }
        None => None,
    };
    let sharing = match share {
        Some(share) => Some(share.begin(owner, Arc::clone(&state), workers.clone()).await?),
        None => None,
    };
    let endpoint = |listener| Endpoint { listener, tls: tls.clone(), workers: Some(workers.clone()) };
    let (http, grpc) = (endpoint(listener), endpoint(grpc_listener));
    let http = server::serve(http, Arc::clone(&state), crate::shutdown::asked());
    let served = tokio::try_join!(http, server::serve_grpc(grpc, Arc::clone(&state), crate::shutdown::asked()));
    let left = match sharing {
        Some(sharing) if served.is_ok() => sharing.end().await,
        Some(sharing) => sharing.break_off().await,
        None => Ok(()),
    };
    watching.abort();
    hearing.iter().for_each(tokio::task::JoinHandle::abort);
    // The log ends when nobody holds it any more.
    let _ = watching.await;
    drop(state);
    if let Some(log) = log {
        log.close();
    }
    if let Some(traced) = traced {
        traced.await;
    }
    if let Some(publisher) = publisher {
        tokio::task::block_in_place(|| publisher.close());
    }
    served?;
    left
}

/// Where decisions are logged: a file, Kafka, traces, several of these, or nowhere.
fn log(file: &Path, publisher: Option<&Publisher>, tell: Option<Tell>) -> Result<Option<Log>, Failure> {
    let file = Some(file).filter(|file| !file.as_os_str().is_empty());
    let kafka = publisher.map(Publisher::log).transpose()?;
    if file.is_none() && kafka.is_none() && tell.is_none() {
        return Ok(None);
    }
    Log::open(file, kafka, tell).map(Some)
}

/// How decisions get into the callers' traces.
struct Traces {
    tell: Tell,
    /// Waits for what is on its way.
    close: Pin<Box<dyn Future<Output = ()> + Send>>,
}

#[cfg(any(feature = "otlp", test))]
fn traces(config: &Config, address: &str) -> Result<Option<Traces>, Failure> {
    if config.telemetry.otlp_endpoint.is_empty() {
        return Ok(None);
    }
    let spans = spans::Spans::start(crate::outlets::Collector::configured(config, format!("policy/{address}"))?);
    let teller = spans.teller();
    Ok(Some(Traces { tell: Box::new(move |logged| teller.tell(logged)), close: Box::pin(spans.close()) }))
}

#[cfg(not(any(feature = "otlp", test)))]
fn traces(config: &Config, _: &str) -> Result<Option<Traces>, Failure> {
    if config.telemetry.otlp_endpoint.is_empty() { Ok(None) } else { Err(Failure::NoOtlp) }
}

/// What needs no server.
pub fn task(task: &PolicyTask, config: &Config) -> Result<(), Failure> {
    match task {
        PolicyTask::Default => Ok(std::io::stdout().write_all(PolicySet::DEFAULT.as_bytes())?),
        PolicyTask::Test { files, policies } => {
            let policies = crate::parts::policies(policies.as_deref().unwrap_or(&config.policy.file))?;
            let (mut failed, mut calls) = (0, 0);
            for path in files {
                let text =
                    std::fs::read_to_string(path).map_err(|source| Failure::Read { path: path.clone(), source })?;
                let report = scenario::run(&text, &policies)
                    .map_err(|source| Failure::Scenario { path: path.clone(), source: Box::new(source) })?;
                writeln!(std::io::stdout(), "{}: {report}", path.display())?;
                failed += report.failures.len();
                calls += report.passed + report.failures.len();
            }
            if failed > 0 { Err(Failure::Scenarios { failed, calls }) } else { Ok(()) }
        }
    }
}

/// The certificates that `files` name, if they name any.
pub fn tls(files: &crate::config::Tls) -> Result<Option<Tls>, Failure> {
    if files.certificate.as_os_str().is_empty() {
        return Ok(None);
    }
    let read = |path: &Path| std::fs::read(path).map_err(|source| Failure::Read { path: path.into(), source });
    let revoked = if files.revoked.as_os_str().is_empty() { None } else { Some(read(&files.revoked)?) };
    Ok(Some(Tls::new(&read(&files.certificate)?, &read(&files.key)?, &read(&files.clients)?, revoked.as_deref())?))
}

/// Takes `address`, which must be on the loopback: answers are in plain text.
pub async fn listen(address: &str) -> Result<TcpListener, Failure> {
    bind(address, false).await
}

/// Takes `address`, which without TLS must be on the loopback.
pub async fn bind(address: &str, tls: bool) -> Result<TcpListener, Failure> {
    let failed = |source| Failure::Listen { address: address.to_owned(), source };
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(address).await.map_err(failed)?.collect();
    if !tls && !addresses.iter().all(|address| address.ip().is_loopback()) {
        return Err(Failure::NotLoopback { address: address.to_owned() });
    }
    TcpListener::bind(addresses.as_slice()).await.map_err(failed)
}

/// The keys in `path`, if it names a file.
pub fn keys(path: &Path) -> Result<Option<Keys>, Failure> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(|source| Failure::Read { path: path.into(), source })?;
    Ok(Some(Keys::parse(&text).map_err(|source| Failure::Keys { path: path.into(), source })?))
}

/// Answers over HTTP on `listener` until `shutdown` ends.
pub async fn serve(
    listener: TcpListener,
    parts: Arc<Parts>,
    config: &Config,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Failure> {
    Ok(server::serve(listener, state(parts, config)?, shutdown).await?)
}

/// The doors' state, with the owner of all sessions behind it and what is last known of them beside.
pub fn state(parts: Arc<Parts>, config: &Config) -> Result<AppState, Failure> {
    doors(parts, config).map(|(state, _)| state)
}

/// The same, and the owner.
pub fn doors(parts: Arc<Parts>, config: &Config) -> Result<(AppState, Arc<Owner>), Failure> {
    let (policies, mode) = ((*parts.policies).clone(), parts.mode);
    let standings = Arc::new(Standings::new());
    let spare = Fallback::new(Arc::clone(&parts), Arc::clone(&standings));
    let owner = Arc::new(Owner::new(parts, standings));
    let mut state = AppState::new(Arc::clone(&owner) as Arc<dyn Scorer>, policies, mode);
    let settings = &config.policy;
    state.standings = Some(Arc::new(spare));
    // INVARIANT: `config::read` refuses modes and routes that do not hold.
    state.modes = arc_swap::ArcSwap::from_pointee(settings.modes().unwrap_or_default());
    state.routes = settings.routes.clone();
    state.bursts = Bursts::new(settings.burst);
    if !settings.allow_file.as_os_str().is_empty() {
        state.allowlist.store(Arc::new(crate::commands::allow::read(&settings.allow_file)?));
    }
    state.keys = keys(&settings.keys_file)?;
    if !settings.delegation.jwks.as_os_str().is_empty() {
        let path = &settings.delegation.jwks;
        let jwks = std::fs::read(path).map_err(|source| Failure::Read { path: path.clone(), source })?;
        let delegation = Delegation::new(&jwks, &settings.delegation.issuer, &settings.delegation.audience);
        state.delegation = Some(delegation.map_err(|source| Failure::Delegation { path: path.clone(), source })?);
    }
    state.certificates = Some(Certificates::new(certificate::shown));
    Ok((state, owner))
}
