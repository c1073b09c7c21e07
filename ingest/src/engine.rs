//! The engine: a consumer group in, operators in between, outputs and offsets out in one transaction.
//!
//! Start at [`run`]. Every decision is in [`core`], which does no I/O; `member.rs` drives it.

pub mod core;

mod batch;
mod group;
mod keeper;
mod member;
pub mod meters;
#[cfg(test)]
mod simulation;
mod slot;
mod start;
mod watch;
mod writer;

pub use batch::{Batch, Part};
pub use core::Limits;
pub use meters::Meters;

use crate::checkpoint::CheckpointStore;
use crate::cluster::Cluster;
use crate::produce::Sent;
use crate::{IngestError, Operator, Partition};
use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

/// What an engine needs to know. [`EngineConfig::new`] fills in everything but the broker.
#[derive(Clone)]
pub struct EngineConfig {
    /// Which Kafka, and how to speak to it.
    pub cluster: Cluster,
    /// Topics to read. Default: `agent.calls`.
    pub inputs: Vec<String>,
    /// Consumer group. Default: `vedette`.
    pub group: String,
    /// Names this process within its group, across restarts. Two processes of one group need two names: the later one
    /// fences the earlier. Default: `0`.
    pub instance: String,
    /// Members this process runs, each with its own threads and share of the partitions. Default: 1.
    pub members: NonZeroU8,
    /// What a crash may cost. Default: nothing.
    pub delivery: Delivery,
    /// How the group tells members apart. Default: dynamically.
    pub membership: Membership,
    /// How often to look whether each partition has an owner; `None`: never. Not without transactions, which the brokers
    /// that cannot be asked lack as well. Default: 5 seconds.
    pub look_every: Option<Duration>,
    /// Bounds on what is held.
    pub limits: Limits,
    /// Where states are kept; `None`: a new owner of a partition starts empty. Default: `None`.
    pub checkpoints: Option<Arc<dyn CheckpointStore>>,
    /// Where counts are told; subscribe with [`EngineConfig::progress`].
    pub answered: tokio::sync::watch::Sender<Progress>,
    /// What else the engine shows of itself.
    pub meters: Arc<Meters>,
}

/// What a crash, or a partition that changes hands, may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delivery {
    /// Outputs and input offsets in one Kafka transaction: each record is answered exactly once.
    #[default]
    ExactlyOnce,
    /// Offsets are committed after the outputs: some records may be answered twice. For brokers without transactions,
    /// such as [`MockKafka`](crate::mock::MockKafka).
    AtLeastOnce,
}

/// How the group tells members apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Membership {
    /// A member that leaves gives its partitions up at once.
    #[default]
    Dynamic,
    /// A member that comes back within 45 s finds its partitions again: `group.instance.id` (KIP-345) is this name and
    /// the member's number.
    Static(String),
}

/// Counts of a running engine, all since its start and all of committed work.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Partitions owned.
    pub partitions: u32,
    /// Input records answered.
    pub records: u64,
    /// Bytes of those records, keys and values.
    pub bytes: u64,
    /// Written, by topic.
    pub outputs: BTreeMap<String, Sent>,
}

impl Progress {
    /// What was written to `topic`.
    pub fn written(&self, topic: &str) -> Sent {
        self.outputs.get(topic).copied().unwrap_or_default()
    }

    fn add(&mut self, answered: &Answered) {
        self.records += answered.records;
        self.bytes += answered.bytes;
        for (topic, sent) in &answered.outputs {
            match self.outputs.get_mut(topic) {
                Some(total) => {
                    total.records += sent.records;
                    total.bytes += sent.bytes;
                }
                None => {
                    self.outputs.insert(topic.clone(), *sent);
                }
            }
        }
    }
}

/// What one batch answered.
#[derive(Debug, Default)]
struct Answered {
    records: u64,
    bytes: u64,
    outputs: BTreeMap<String, Sent>,
}

impl Answered {
    fn of(batch: &Batch) -> Self {
        let mut answered = Self { records: batch.records(), ..Self::default() };
        answered.bytes = batch.parts.iter().map(|part| part.record_bytes).sum();
        // A handful of topics: looked through faster than looked up.
        let mut sent: Vec<(&str, Sent)> = Vec::new();
        for output in batch.outputs() {
            let of_topic = match sent.iter().position(|(topic, _)| *topic == output.topic) {
                Some(at) => sent.get_mut(at),
                None => {
                    sent.push((output.topic, Sent::default()));
                    sent.last_mut()
                }
            };
            if let Some((_, sent)) = of_topic {
                sent.records += 1;
                sent.bytes += output.bytes();
            }
        }
        answered.outputs = sent.into_iter().map(|(topic, sent)| (topic.to_owned(), sent)).collect();
        answered
    }
}

/// What an engine did between start and shutdown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Input records answered.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Written, by topic; dead letters are under [`schema::topics::DEAD`].
    pub outputs: BTreeMap<String, Sent>,
    /// Transactions (or offset commits).
    pub batches: u64,
    /// Batches that had to be written again.
    pub aborted: u64,
    /// Records folded in silence after a gain of partitions.
    pub replayed: u64,
    /// Records read again and passed over.
    pub passed_over: u64,
    /// Partitions taken over from a checkpoint of another model than the one in force.
    pub models_changed: u64,
    /// Checkpoints stored.
    pub checkpoints: u64,
    /// Checkpoints that could not be stored.
    pub checkpoints_failed: u64,
    /// Times a quiet partition was nudged.
    pub nudges: u64,
    /// Times a member had to start over.
    pub restarts: u64,
}

impl Summary {
    fn add(&mut self, other: &Self) {
        self.batches += other.batches;
        self.aborted += other.aborted;
        self.replayed += other.replayed;
        self.passed_over += other.passed_over;
        self.models_changed += other.models_changed;
        self.checkpoints += other.checkpoints;
        self.checkpoints_failed += other.checkpoints_failed;
        self.nudges += other.nudges;
        self.restarts += other.restarts;
    }
}

impl EngineConfig {
    /// The defaults, on that cluster.
    pub fn new(cluster: impl Into<Cluster>) -> Self {
        Self {
            cluster: cluster.into(),
            inputs: vec![schema::topics::CALLS.to_owned()],
            group: "vedette".to_owned(),
            instance: "0".to_owned(),
            members: NonZeroU8::MIN,
            delivery: Delivery::default(),
            membership: Membership::default(),
            look_every: Some(LOOK_EVERY),
            limits: Limits::default(),
            checkpoints: None,
            answered: tokio::sync::watch::Sender::new(Progress::default()),
            meters: Arc::new(Meters::default()),
        }
    }

    /// Counts of the engine that is run with this configuration, as they grow.
    pub fn progress(&self) -> tokio::sync::watch::Receiver<Progress> {
        self.answered.subscribe()
    }

    /// Name of member `number`: its producers' `transactional.id`s begin with it.
    fn member_name(&self, number: u8) -> String {
        format!("{}-{}-{number}", self.group, self.instance)
    }
}

impl std::fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineConfig")
            .field("cluster", &self.cluster)
            .field("inputs", &self.inputs)
            .field("group", &self.group)
            .field("instance", &self.instance)
            .field("members", &self.members)
            .field("delivery", &self.delivery)
            .field("membership", &self.membership)
            .field("look_every", &self.look_every)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Runs until `shutdown` ends, then commits what was read, gives the partitions back and returns.
///
/// `factory` makes the operator of a partition, once for each time the partition becomes ours. Members run on threads
/// of their own; an error of one ends all.
pub async fn run<F>(
    config: EngineConfig,
    factory: F,
    shutdown: impl Future<Output = ()>,
) -> Result<Summary, IngestError>
where
    F: Fn(Partition) -> Box<dyn Operator> + Send + Sync + 'static,
{
    let (config, factory) = (Arc::new(config), Arc::new(factory));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    // Dropped with this function, which ends the watching.
    let _watching = watch::start(&config)?;
    let mut members = tokio::task::JoinSet::new();
    for number in 0..config.members.get() {
        let (config, factory, stopped) = (Arc::clone(&config), Arc::clone(&factory), stopped.clone());
        let (ended, outcome) = tokio::sync::oneshot::channel();
        std::thread::Builder::new()
            .name(format!("member {number}"))
            .spawn(move || ended.send(member::run(&config, number, &factory, &stopped)))
            .map_err(|source| IngestError::Thread { what: "member", source })?;
        members.spawn(async move { outcome.await.unwrap_or(Err(IngestError::Ended { what: "member" })) });
    }

    let before = config.answered.borrow().clone();
    let mut summary = Summary::default();
    let mut failure = None;
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown, if !*stop.borrow() => { stop.send_replace(true); }
            ended = members.join_next() => match ended {
                None => break,
                Some(Ok(Ok(part))) => summary.add(&part),
                Some(Ok(Err(error))) => { stop.send_replace(true); failure.get_or_insert(error); }
                Some(Err(_)) => { stop.send_replace(true); failure.get_or_insert(IngestError::Ended { what: "member" }); }
            }
        }
    }
    let progress = config.answered.borrow();
    summary.records = progress.records - before.records;
    summary.bytes = progress.bytes - before.bytes;
    summary.outputs = progress.outputs.clone();
    failure.map_or(Ok(summary), Err)
}

/// Seen three times in a row a partition without an owner is mended: within twenty seconds.
const LOOK_EVERY: Duration = Duration::from_secs(5);
