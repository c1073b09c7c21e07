//! The member's consumer, and the threads that write and keep for it.

use super::Event;
use crate::IngestError;
use crate::checkpoint::CheckpointStore;
use crate::client::settings;
use crate::engine::group::Group;
use crate::engine::keeper::{self, ToKeep};
use crate::engine::writer::{Job, Outcome, Writer};
use crate::engine::{EngineConfig, Membership};
use rdkafka::consumer::BaseConsumer;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use tokio::sync::mpsc::UnboundedSender;

pub(super) fn consumer_settings(config: &EngineConfig, number: u8) -> rdkafka::ClientConfig {
    let mut settings = settings(&config.cluster);
    settings
        .set("group.id", &config.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Offsets are always given; one that the log no longer has must not be skipped in silence.
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("statistics.interval.ms", "2000")
        .set("queued.max.messages.kbytes", "32768")
        // How long fetching stops when the queue is full; the default of a second would starve a fast engine.
        .set("fetch.queue.backoff.ms", "2");
    match &config.membership {
        Membership::Dynamic => settings.set("session.timeout.ms", "10000"),
        Membership::Static(id) => {
            settings.set("session.timeout.ms", "45000").set("group.instance.id", format!("{id}-{number}"))
        }
    };
    config.cluster.apply(&mut settings);
    settings
}

pub(super) fn start_writer(
    config: &Arc<EngineConfig>,
    name: String,
    consumer: &Arc<BaseConsumer<Group>>,
    events: UnboundedSender<Event>,
) -> Result<(mpsc::Sender<Job>, JoinHandle<()>), IngestError> {
    let (jobs, work) = mpsc::channel::<Job>();
    let (config, consumer) = (Arc::clone(config), Arc::clone(consumer));
    let write = move || {
        let mut writer = match Writer::new(&config, name, consumer) {
            Ok(writer) => writer,
            Err(error) => {
                let _ = events.send(Event::Written(Outcome::Failed(error)));
                return;
            }
        };
        while let Ok(job) = work.recv() {
            if events.send(Event::Written(writer.write(job))).is_err() {
                return; // the member is gone
            }
        }
    };
    let thread = std::thread::Builder::new()
        .name("writer".to_owned())
        .spawn(write)
        .map_err(|source| IngestError::Thread { what: "writer", source })?;
    Ok((jobs, thread))
}

pub(super) fn start_keeper(
    store: Arc<dyn CheckpointStore>,
    events: UnboundedSender<Event>,
) -> Result<(mpsc::Sender<ToKeep>, JoinHandle<()>), IngestError> {
    let (sender, work) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("keeper".to_owned())
        .spawn(move || keeper::keep(&store, &work, &events))
        .map_err(|source| IngestError::Thread { what: "checkpoint keeper", source })?;
    Ok((sender, thread))
}
