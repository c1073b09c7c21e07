//! Topics, made where missing.

use crate::IngestError;
use crate::client::{Logged, RECORD_BYTES_MAX, REQUEST_MAX, settings, unreachable};
use crate::cluster::Cluster;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaErrorCode;
use std::time::{Duration, Instant};

/// A topic to be made. Topics that exist already keep their settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// How many partitions.
    pub partitions: u16,
    /// How Kafka cleans it.
    pub cleanup: Cleanup,
}

/// How Kafka cleans a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cleanup {
    /// Old records go (the broker's retention).
    #[default]
    Delete,
    /// The newest record of each key stays.
    Compact,
}

impl TopicSpec {
    /// Topic `name` with `partitions` partitions, cleaned by age.
    pub fn new(name: &str, partitions: u16) -> Self {
        Self { name: name.to_owned(), partitions, cleanup: Cleanup::Delete }
    }

    /// The same topic, compacted.
    pub fn compacted(self) -> Self {
        Self { cleanup: Cleanup::Compact, ..self }
    }
}

/// Creates the topics that are missing, with the broker's default replication, and returns when every partition has
/// a leader. A topic that exists is no error.
pub async fn create(cluster: impl Into<Cluster>, topics: &[TopicSpec]) -> Result<(), IngestError> {
    let cluster = cluster.into();
    // A client for such requests hears nothing of why no broker answers it.
    let (reached, first) = (cluster.clone(), topics.first().map(|topic| topic.name.clone()));
    blocking(move || reach(&reached, first.as_deref())).await?;
    let admin: AdminClient<Logged> = settings(&cluster)
        .create_with_context(Logged::default())
        .map_err(|source| IngestError::Client { what: "creating topics", source })?;
    let new: Vec<NewTopic<'_>> = topics.iter().map(new_topic).collect();
    let options = AdminOptions::new().request_timeout(Some(REQUEST_MAX)).operation_timeout(Some(REQUEST_MAX));
    let results = admin.create_topics(&new, &options).await.map_err(|source| IngestError::Unreachable {
        brokers: cluster.brokers.clone(),
        request: "create topics",
        heard: None,
        source: Box::new(source),
    })?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(IngestError::Topic { topic, reason: code.to_string() }),
        }
    }
    let topics = topics.to_vec();
    blocking(move || await_leaders(&cluster, &topics)).await
}

/// Partitions of `topic`; 0 where there is no such topic, or none that we may see.
pub async fn partitions(cluster: impl Into<Cluster>, topic: &str) -> Result<usize, IngestError> {
    let (cluster, topic) = (cluster.into(), topic.to_owned());
    blocking(move || reach(&cluster, Some(&topic))).await
}

/// Asks for a topic, or for whatever there is; says how many partitions that is.
fn reach(cluster: &Cluster, topic: Option<&str>) -> Result<usize, IngestError> {
    let consumer = consumer(cluster)?;
    let metadata = consumer.fetch_metadata(topic, REQUEST_MAX).map_err(unreachable(
        &consumer,
        &cluster.brokers,
        "describe its topics",
    ))?;
    Ok(metadata.topics().iter().map(|topic| topic.partitions().len()).sum())
}

fn consumer(cluster: &Cluster) -> Result<BaseConsumer<Logged>, IngestError> {
    let consumer = settings(cluster).create_with_context(Logged::default());
    consumer.map_err(|source| IngestError::Client { what: "reading metadata", source })
}

async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, IngestError> + Send + 'static,
) -> Result<T, IngestError> {
    tokio::task::spawn_blocking(ask).await.unwrap_or(Err(IngestError::Ended { what: "topic check" }))
}

fn new_topic(topic: &TopicSpec) -> NewTopic<'_> {
    let new = NewTopic::new(&topic.name, i32::from(topic.partitions), TopicReplication::Fixed(-1))
        .set("max.message.bytes", RECORD_BYTES_MAX);
    match topic.cleanup {
        Cleanup::Delete => new,
        Cleanup::Compact => new.set("cleanup.policy", "compact"),
    }
}

/// Returns once every partition of `topics` has a leader. Paced by the broker: each turn is a request and its answer.
fn await_leaders(cluster: &Cluster, topics: &[TopicSpec]) -> Result<(), IngestError> {
    let consumer = consumer(cluster)?;
    let unreachable = unreachable(&consumer, &cluster.brokers, "describe its topics");
    let started = Instant::now();
    for topic in topics {
        loop {
            let metadata = consumer.fetch_metadata(Some(&topic.name), ANSWER_MAX).map_err(unreachable)?;
            let partitions = metadata.topics().iter().flat_map(|t| t.partitions());
            let (led, all) = partitions.fold((0, 0), |(led, all), p| (led + usize::from(p.leader() >= 0), all + 1));
            if all > 0 && led == all {
                break;
            }
            if started.elapsed() > REQUEST_MAX {
                let reason = format!("{led} of its {all} partitions have a leader after {} s", REQUEST_MAX.as_secs());
                return Err(IngestError::Topic { topic: topic.name.clone(), reason });
            }
        }
    }
    Ok(())
}

const ANSWER_MAX: Duration = Duration::from_secs(10);
