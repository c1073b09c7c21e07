//! `vedette engine`: calls from Kafka in, verdicts, standings, decisions and alerts out.

mod serve; // what devices send and monitoring asks

use crate::cli::Engine;
use crate::commands::policy::CertificateFiles;
use crate::config::Config;
use crate::door::{self, Door};
use crate::failure::Failure;
use crate::models::Models;
use crate::operator::Judge;
use crate::outlets::{self, Outlet, Webhook};
use crate::pipeline::Parts;
use crate::progress::grouped;
use crate::tally::Tally;
use ingest::acked::Acked;
use ingest::checkpoint::{Bucket, CheckpointStore};
use ingest::cluster::Cluster;
use ingest::engine::{EngineConfig, Membership};
use ingest::{IngestError, Operator, Partition};
use policy::server::Endpoint;
use schema::topics;
use serve::Shown;
use std::io::Write as _;
use std::num::NonZeroU8;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Runs until asked to end, then says what was done.
pub async fn run(args: &Engine, config: &Config) -> Result<(), Failure> {
    let outlets = outlets(config)?;
    let detector = crate::parts::detector(config, args.model.as_deref())?;
    let parts = crate::parts::for_traffic(config, detector)?;
    let cluster = config.kafka.cluster(args.brokers.as_deref())?;
    if config.kafka.create_topics {
        ingest::topics::create(&cluster, &crate::topics::all()).await?;
    }
    let mut inputs: Vec<String> = config.topics.iter().map(|topic| topic.name.clone()).collect();
    // What devices sealed comes by the door, and so on a topic of its own.
    if ingest::topics::partitions(&cluster, topics::SEALED).await? > 0 {
        inputs.push(topics::SEALED.to_owned());
    }
    let (read, brokers, group) = (inputs.join(", "), &cluster.brokers, &config.kafka.group);
    eprintln!("engine: reading {read} at {brokers} as group `{group}`; Ctrl-C ends it");
    let mut engine = EngineConfig::new(&cluster);
    engine.inputs = inputs;
    engine.group.clone_from(&config.kafka.group);
    engine.instance.clone_from(&config.engine.instance);
    engine.members = members();
    if !config.kafka.group_instance_id.is_empty() {
        engine.membership = Membership::Static(config.kafka.group_instance_id.clone());
    }
    engine.checkpoints = checkpoints(config)?;
    engine.limits.checkpoint_ms = config.engine.checkpoint_ms;
    let bounds = config.sessions.bounds();
    let ours = ours(config, &engine.inputs);
    if engine.checkpoints.is_some() && bounds.ms > 0 && may_nudge(&engine, &ours).await {
        engine.limits.quiet_ms = Some(bounds.ms);
    }
    let tally = Arc::new(Tally::default());
    let door = Door::new(door::Settings {
        cluster: &cluster,
        key: parts.key.clone(),
        keys: crate::commands::policy::keys(&config.engine.keys_file)?,
        calls: config.topics.iter().find(|topic| topic.format == "native").map(|topic| topic.name.clone()),
    })?;
    let models = models(&engine, &parts, &config.detector.trust).await?;
    if let Some(models) = &models {
        tokio::spawn(follow(Arc::clone(models), Acked::new(&cluster)?));
    }
    let outlets = deliver(outlets, config, &cluster);
    let (progress, meters) = (engine.progress(), Arc::clone(&engine.meters));
    let served =
        serve(config, Shown { progress, meters, tally: Arc::clone(&tally), door, models: models.clone(), outlets })
            .await?;
    let kept = engine.checkpoints.is_some();
    let (decisions, sketches) = (config.engine.decisions, config.engine.sketches);
    let judge = move |partition: Partition| -> Box<dyn Operator> {
        let in_force = models.as_ref().map(|models| models.of(&partition));
        let judge = Judge::new(Arc::clone(&parts)).of(&partition).under(in_force);
        let judge = judge.decisions(decisions).sketches(sketches).counted(&tally);
        if !kept {
            return Box::new(judge); // what waits for its turn would be lost with this process
        }
        let judge = judge.kept().in_order(bounds);
        Box::new(if ours.iter().any(|topic| **topic == *partition.topic) { judge.nudged() } else { judge })
    };
    let summary = ingest::engine::run(engine, judge, crate::shutdown::asked()).await?;
    if let Some(served) = served {
        let _ = served.await; // it has said why, where it broke
    }
    writeln!(std::io::stdout(), "engine: {} calls answered", grouped(summary.records))?;
    Ok(())
}

/// Topics of records in our own form: others belong to somebody else, and nothing is written to them.
fn ours(config: &Config, inputs: &[String]) -> Vec<String> {
    let foreign = |name: &&String| config.topics.iter().any(|topic| topic.name == **name && topic.format != "native");
    inputs.iter().filter(|name| !foreign(name)).cloned().collect()
}

/// Whether quiet partitions of `topics` can be nudged. Where they cannot, a call that waits for its turn waits for the next
/// record.
async fn may_nudge(engine: &EngineConfig, topics: &[String]) -> bool {
    let id = format!("{}-{}-nudge", engine.group, engine.instance);
    let refusal = match ingest::survey::may_write(&engine.cluster, &id, topics).await {
        Ok(written) => written.into_iter().find_map(|(topic, why)| Some(format!("{topic}: {}", why?))),
        Err(error) => Some(error.to_string()),
    };
    let Some(refusal) = refusal else { return true };
    tracing::warn!(
        refusal,
        "quiet partitions cannot be nudged: calls that wait for their turn wait for the next record"
    );
    false
}

/// What was announced so far, where there is a topic for it.
async fn models(engine: &EngineConfig, parts: &Parts, trust: &Path) -> Result<Option<Arc<Models>>, Failure> {
    let (engine, key, base) = (engine.clone(), parts.key.clone(), Arc::clone(&parts.detector));
    let trust = trust.to_owned();
    let named = base.digest();
    let open = move || Models::open(&engine.cluster, &engine.group, key, base, &trust);
    let opened = tokio::task::spawn_blocking(open).await;
    let models = opened.unwrap_or(Err(IngestError::Ended { what: "look at the models" }))?;
    if let Some(models) = &models
        && models.current().digest() != named
    {
        let digest = models.current().digest();
        eprintln!(
            "engine: the model announced last is used, {digest}; `vedette announce --model FILE` announces another"
        );
    }
    Ok(models)
}

/// Where alerts are wanted outside Kafka.
fn outlets(config: &Config) -> Result<Vec<Outlet>, Failure> {
    let (settings, mut wanted) = (&config.engine, Vec::new());
    if !settings.alerts_file.as_os_str().is_empty() {
        let path = settings.alerts_file.clone();
        outlets::writable(&path).map_err(|source| Failure::Write { path: path.clone(), source })?;
        wanted.push(Outlet::File(path));
    }
    if !settings.alerts_webhook.is_empty() {
        // Where there is no such file, nobody is vouched for; only https minds.
        let authorities = std::fs::read(&settings.alerts_webhook_authorities).unwrap_or_default();
        let webhook = Webhook::new(&settings.alerts_webhook, &authorities);
        wanted.push(Outlet::Webhook(Box::new(webhook.map_err(|source| Failure::Webhook { source })?)));
    }
    if !config.telemetry.otlp_endpoint.is_empty() {
        wanted.push(traces(config)?);
    }
    Ok(wanted)
}

#[cfg(any(feature = "otlp", test))]
fn traces(config: &Config) -> Result<Outlet, Failure> {
    let instance = format!("{}/{}", config.kafka.group, config.engine.instance);
    Ok(Outlet::Traces(Box::new(outlets::Collector::configured(config, instance)?)))
}

#[cfg(not(any(feature = "otlp", test)))]
fn traces(_: &Config) -> Result<Outlet, Failure> {
    Err(Failure::NoOtlp)
}

/// Begins to deliver; says what each outlet counts, by its name.
fn deliver(outlets: Vec<Outlet>, config: &Config, cluster: &Cluster) -> Vec<(&'static str, Arc<outlets::Meters>)> {
    let start = |outlet: Outlet| {
        let (name, meters) = (outlet.name(), Arc::new(outlets::Meters::default()));
        tokio::spawn(outlet.run(cluster.clone(), config.kafka.group.clone(), Arc::clone(&meters)));
        (name, meters)
    };
    outlets.into_iter().map(start).collect()
}

/// Looks for announcements every second, and reports those that are refused.
async fn follow(models: Arc<Models>, reports: Acked) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tick.tick().await;
        let looking = Arc::clone(&models);
        match tokio::task::spawn_blocking(move || looking.catch_up()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "announcements of models cannot be read"),
            Err(_) => return,
        }
        if let Err(error) = reports.send(&models.letters()).await {
            tracing::warn!(%error, "a refusal is in the log only");
        }
    }
}

/// Begins to serve, where an address is configured; ends with the process's being asked to.
async fn serve(config: &Config, shown: Shown) -> Result<Option<tokio::task::JoinHandle<()>>, Failure> {
    let settings = &config.engine;
    if settings.listen.is_empty() {
        return Ok(None);
    }
    let tls = crate::commands::policy::tls(&settings.tls)?;
    let listener = crate::commands::policy::bind(&settings.listen, tls.is_some()).await?;
    if let Some(tls) = tls.clone() {
        tokio::spawn(CertificateFiles::new(tls, &settings.tls).run());
    }
    Ok(Some(tokio::spawn(serve::serve(Endpoint { listener, tls, workers: None }, shown, crate::shutdown::asked()))))
}

/// The configured store of checkpoints.
fn checkpoints(config: &Config) -> Result<Option<Arc<dyn CheckpointStore>>, Failure> {
    if config.engine.checkpoints.is_empty() {
        return Ok(None);
    }
    if config.seal.key_file.as_os_str().is_empty() {
        return Err(Failure::CheckpointsWithoutKey);
    }
    let store = Bucket::open(&config.engine.checkpoints).map_err(|source| Failure::Checkpoints { source })?;
    Ok(Some(Arc::new(store)))
}

/// One member a core.
pub fn members() -> NonZeroU8 {
    u8::try_from(crate::judge::threads()).ok().and_then(NonZeroU8::new).unwrap_or(NonZeroU8::MIN)
}

const LOOK_EVERY: Duration = Duration::from_secs(1);
