//! One member of the consumer group: carries out what the [`Core`] decides, on librdkafka.

mod clients; // the consumer, and the threads that write and keep
mod ownership; // partitions that come and go

use super::core::{Action, Core, Input, Persistence};
use super::group::Group;
use super::keeper::ToKeep;
use super::writer::{Job, Outcome};
use super::{EngineConfig, Membership, Summary};
use crate::read_back::to_record;
use crate::{IngestError, Operator, Partition};
use clients::{consumer_settings, start_keeper, start_writer};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Message, TopicPartitionList};
use schema::Millis;
use std::collections::BTreeSet;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::{Notify, watch};

/// What the member's other threads report.
pub(super) enum Event {
    Written(Outcome),
    /// With its bytes.
    Persisted(Partition, u64),
    NotPersisted(Partition),
}

/// How a member's run ended, errors aside.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Stopped,
    /// Told to stop, but Kafka took too long over the last batch: it is left to be aborted and read again.
    Abandoned,
    /// Its producer was fenced: everything held is void.
    Fenced,
}

/// Runs member `number` until `stop` turns true. One that is fenced starts over from the last checkpoints, unless that
/// happens again and again: then another process has its name.
pub(super) fn run<F>(
    config: &Arc<EngineConfig>,
    number: u8,
    factory: &Arc<F>,
    stop: &watch::Receiver<bool>,
) -> Result<Summary, IngestError>
where
    F: Fn(Partition) -> Box<dyn Operator>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|source| IngestError::Thread { what: "member", source })?;
    let mut summary = Summary::default();
    let mut fenced_at = Vec::new();
    loop {
        let name = config.member_name(number);
        let factory = Arc::clone(factory);
        let mut member = Member::start(Arc::clone(config), number, name.clone(), move |partition| factory(partition))?;
        let end = runtime.block_on(member.serve(stop.clone()));
        let patience = match end {
            Ok(End::Fenced) => None,
            Ok(End::Stopped) => Some(LEAVE_MAX),
            Ok(End::Abandoned) | Err(_) => Some(Duration::ZERO),
        };
        summary.add(&runtime.block_on(member.close(patience)));
        match end? {
            End::Stopped | End::Abandoned => return Ok(summary),
            End::Fenced => {
                summary.restarts += 1;
                fenced_at.retain(|at: &Instant| at.elapsed() < FENCED_WINDOW);
                fenced_at.push(Instant::now());
                if fenced_at.len() > FENCED_MAX {
                    return Err(IngestError::Fenced { member: name });
                }
            }
        }
    }
}

struct Member<F> {
    config: Arc<EngineConfig>,
    consumer: Arc<BaseConsumer<Group>>,
    core: Core<F>,
    writer: mpsc::Sender<Job>,
    keeper: Option<mpsc::Sender<ToKeep>>,
    /// The writer's and the keeper's; joined at the end.
    threads: Vec<JoinHandle<()>>,
    events: UnboundedReceiver<Event>,
    /// The consumer has something for us.
    woken: Arc<Notify>,
    /// Partitions the group gives us, taken over once nothing is on its way; not before the instant.
    assigning: Option<(TopicPartitionList, Instant)>,
    /// Partitions the group wants back, and those of them that are not released yet.
    revoking: Option<(TopicPartitionList, BTreeSet<Partition>)>,
    reading: Reading,
    /// Names of the input topics, shared by their records.
    topics: Vec<Arc<str>>,
    partitions: u32,
    batches: u64,
    started: Instant,
    stopped: bool,
}

/// Whether records are taken from the consumer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reading {
    On,
    /// Not asking for any, for a moment: cheap, but the group cannot reach us meanwhile.
    Held(Instant),
    /// Partitions are paused in librdkafka: we listen to the group, no records come.
    Paused,
}

impl<F: FnMut(Partition) -> Box<dyn Operator>> Member<F> {
    fn start(config: Arc<EngineConfig>, number: u8, name: String, factory: F) -> Result<Self, IngestError> {
        let client = |source| IngestError::Client { what: "reading", source };
        let mut consumer: BaseConsumer<Group> = consumer_settings(&config, number)
            .create_with_context(Group::new(name.clone(), Arc::clone(&config.meters)))
            .map_err(client)?;
        let woken = Arc::new(Notify::new());
        let wake = Arc::clone(&woken);
        consumer.set_nonempty_callback(move || wake.notify_one());
        let consumer = Arc::new(consumer);

        let (sender, events) = unbounded_channel();
        let (writer, thread) = start_writer(&config, name, &consumer, sender.clone())?;
        let mut threads = vec![thread];
        let keeper = match &config.checkpoints {
            None => None,
            Some(store) => {
                let (keeper, thread) = start_keeper(Arc::clone(store), sender)?;
                threads.push(thread);
                Some(keeper)
            }
        };
        let persistence = if keeper.is_some() { Persistence::Checkpoints } else { Persistence::None };
        let topics: Vec<&str> = config.inputs.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(|source| IngestError::Read { topics: config.inputs.clone(), source })?;
        Ok(Self {
            core: Core::new(factory, config.limits.clone(), persistence),
            topics: topics.iter().map(|topic| Arc::from(*topic)).collect(),
            config,
            consumer,
            writer,
            keeper,
            threads,
            events,
            woken,
            assigning: None,
            revoking: None,
            reading: Reading::On,
            partitions: 0,
            batches: 0,
            started: Instant::now(),
            stopped: false,
        })
    }

    async fn serve(&mut self, mut stop: watch::Receiver<bool>) -> Result<End, IngestError> {
        let mut stopping: Option<Instant> = None;
        loop {
            while let Ok(event) = self.events.try_recv() {
                if let Some(end) = self.event(event)? {
                    return Ok(end);
                }
            }
            let dry = self.read()?;
            let mut changed = self.gain()?;
            while let Some(change) = self.consumer.context().next_change() {
                self.change(change)?;
                changed = true;
            }
            if dry && self.reading == Reading::On {
                self.tell(Input::Dry)?;
            }
            self.tell(Input::Tick(self.now()))?;
            if self.stopped {
                return Ok(End::Stopped);
            }
            if stopping.is_some_and(|since| since.elapsed() > DRAIN_MAX) {
                tracing::warn!("stopped before Kafka took the last batch; its records will be read again");
                return Ok(End::Abandoned);
            }
            if stopping.is_none() && *stop.borrow_and_update() {
                stopping = Some(Instant::now());
                self.tell(Input::Stop)?;
                continue;
            }
            if changed || (!dry && self.reading == Reading::On) {
                continue;
            }
            let patience = self.core.due().map_or(IDLE_MAX, |due| Duration::from_millis(due.since(self.now())));
            tokio::select! {
                event = self.events.recv() => match event {
                    None => return Err(IngestError::Ended { what: "writer" }),
                    Some(event) => if let Some(end) = self.event(event)? { return Ok(end) },
                },
                () = self.woken.notified(), if !matches!(self.reading, Reading::Held(_)) => {}
                () = tokio::time::sleep(patience) => {}
                // An error: whoever could stop us is gone.
                told = stop.changed(), if stopping.is_none() => if told.is_err() {
                    stopping = Some(Instant::now());
                    self.tell(Input::Stop)?;
                }
            }
        }
    }

    /// Takes what the consumer holds, up to a turn's worth. Returns whether there may be no more.
    fn read(&mut self) -> Result<bool, IngestError> {
        if self.assigning.is_some() {
            return Ok(true); // what is on its way must come to an end first
        }
        if let Reading::Held(since) = self.reading {
            if since.elapsed() < HELD_MAX {
                return Ok(true);
            }
            self.pause_partitions(true)?;
            self.reading = Reading::Paused;
        }
        let consumer = Arc::clone(&self.consumer);
        for _ in 0..TURN_RECORDS_MAX {
            match consumer.poll(Duration::ZERO) {
                None => return Ok(true),
                Some(Ok(message)) => {
                    let Some(topic) = self.topics.iter().find(|topic| ***topic == *message.topic()) else { continue };
                    let record = to_record(&message, topic);
                    self.tell(Input::Record(record))?;
                    if self.reading != Reading::On {
                        return Ok(true);
                    }
                }
                Some(Err(error)) => self.read_error(error)?,
            }
        }
        Ok(false)
    }

    /// Most errors of a consumer pass; those that do not are returned.
    fn read_error(&self, error: KafkaError) -> Result<(), IngestError> {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::FencedInstanceId) => {
                let member = match &self.config.membership {
                    Membership::Static(id) => id.clone(),
                    Membership::Dynamic => format!("{}-{}", self.config.group, self.config.instance),
                };
                Err(IngestError::Fenced { member })
            }
            Some(
                RDKafkaErrorCode::AutoOffsetReset
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::GroupAuthorizationFailed
                | RDKafkaErrorCode::Fatal,
            ) => Err(IngestError::Read { topics: self.config.inputs.clone(), source: error }),
            _ => {
                tracing::warn!(%error, topics = ?self.config.inputs, "reading is disturbed");
                Ok(())
            }
        }
    }

    /// Tells the core what happened and does what it wants done.
    fn tell(&mut self, input: Input) -> Result<(), IngestError> {
        self.core.handle(input).map_err(|refused| IngestError::Restore {
            partition: refused.partition,
            offset: refused.offset,
            source: refused.source,
        })?;
        while let Some(action) = self.core.next_action() {
            self.act(action)?;
        }
        Ok(())
    }

    fn act(&mut self, action: Action) -> Result<(), IngestError> {
        match action {
            Action::Commit(batch) => {
                let group = self.consumer.group_metadata().ok_or(IngestError::Ended { what: "consumer" })?;
                self.writer.send(Job { batch, group }).map_err(|_| IngestError::Ended { what: "writer" })?;
            }
            Action::Persist(partition, checkpoint) => {
                let keeper = self.keeper.as_ref().ok_or(IngestError::Ended { what: "checkpoint keeper" })?;
                keeper.send((partition, checkpoint)).map_err(|_| IngestError::Ended { what: "checkpoint keeper" })?;
            }
            Action::Pause => self.reading = Reading::Held(Instant::now()),
            Action::Resume => {
                if self.reading == Reading::Paused {
                    self.pause_partitions(false)?;
                }
                self.reading = Reading::On;
            }
            Action::Release(partition) => {
                self.config.meters.released(&partition);
                self.count_partitions();
                if let Some((_, left)) = &mut self.revoking {
                    left.remove(&partition);
                }
                self.finish_revoking()?;
            }
            Action::Stopped => self.stopped = true,
        }
        Ok(())
    }

    fn event(&mut self, event: Event) -> Result<Option<End>, IngestError> {
        match event {
            Event::Persisted(partition, bytes) => {
                self.config.meters.checkpointed(&partition, bytes);
                self.tell(Input::Persisted(partition))?;
            }
            Event::NotPersisted(partition) => self.tell(Input::NotPersisted(partition))?,
            Event::Written(Outcome::Committed(answered, memory)) => {
                self.batches += 1;
                self.core.recycle(memory);
                self.config.answered.send_modify(|progress| progress.add(&answered));
                self.tell(Input::Tick(self.now()))?;
                self.tell(Input::Committed)?;
            }
            Event::Written(Outcome::Aborted(batch)) => self.tell(Input::Aborted(batch))?,
            Event::Written(Outcome::Fenced) => return Ok(Some(End::Fenced)),
            Event::Written(Outcome::Failed(error)) => return Err(error),
        }
        Ok(None)
    }

    fn pause_partitions(&self, pause: bool) -> Result<(), IngestError> {
        let failed = |source| IngestError::Read { topics: self.config.inputs.clone(), source };
        let all = self.consumer.assignment().map_err(failed)?;
        if pause { self.consumer.pause(&all) } else { self.consumer.resume(&all) }.map_err(failed)
    }

    fn now(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Ends the threads, leaves the group and says what was done. Threads that are not done within `patience` are left behind.
    async fn close(mut self, patience: Option<Duration>) -> Summary {
        drop((self.writer, self.keeper));
        // The threads hold the other ends.
        let all_ended = async { while self.events.recv().await.is_some() {} };
        let ended = match patience {
            None => {
                all_ended.await;
                true
            }
            Some(patience) => tokio::time::timeout(patience, all_ended).await.is_ok(),
        };
        for thread in self.threads.into_iter().filter(|_| ended) {
            let _ = thread.join(); // a thread that panicked has nothing to add
        }
        self.consumer.context().close();
        self.config.answered.send_modify(|progress| progress.partitions -= self.partitions);
        let counts = self.core.counts();
        Summary {
            batches: self.batches,
            aborted: counts.aborted,
            replayed: counts.replayed,
            passed_over: counts.passed_over,
            models_changed: counts.models_changed,
            checkpoints: counts.checkpoints,
            checkpoints_failed: counts.checkpoints_failed,
            nudges: counts.nudges,
            ..Summary::default()
        }
    }
}

/// Records taken in one turn before other things are looked at.
const TURN_RECORDS_MAX: u32 = 1_000;
/// Longest wait when nothing is due.
const IDLE_MAX: Duration = Duration::from_millis(100);
/// How long reading may be held back before partitions are paused, so that the group can reach us again.
const HELD_MAX: Duration = Duration::from_secs(1);
/// Longest wait for Kafka once told to stop.
const DRAIN_MAX: Duration = Duration::from_secs(4);
/// Longest wait for threads that have nothing left to do: one that Kafka has not answered yet, ever, is left behind.
const LEAVE_MAX: Duration = Duration::from_millis(500);
/// Fenced more often than this within the window: another process has our name.
const FENCED_MAX: usize = 3;
const FENCED_WINDOW: Duration = Duration::from_secs(120);
