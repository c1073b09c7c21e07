//! What is so of a cluster, as far as an engine depends on it: topics, their settings, their offsets, what a group has
//! committed, what may be written. Leaves no trace but an aborted transaction, and that only where it is asked for.

use crate::client::{Logged, producer_settings, settings, unreachable};
use crate::cluster::Cluster;
use crate::{IngestError, Partition};
use rdkafka::TopicPartitionList;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::producer::Producer as _;
use rdkafka::producer::future_producer::{FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Why a topic that is not there cannot be looked at.
pub const MISSING: &str = "it does not exist";

/// One topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicFacts {
    /// By partition: the first offset that is there, and the one the next record gets.
    pub offsets: BTreeMap<i32, (i64, i64)>,
    /// Whether the newest record of each key stays; `None`: its settings may not be read.
    pub compacted: Option<bool>,
    /// After which time records go, in ms; `None`: never, or its settings may not be read.
    pub retention_ms: Option<u64>,
}

/// What was found.
#[derive(Debug)]
pub struct Survey {
    /// Each topic, or why it cannot be looked at.
    pub topics: BTreeMap<String, Result<TopicFacts, String>>,
    /// First offset that the group has not committed, by partition; or why that cannot be known.
    pub committed: Result<BTreeMap<Partition, i64>, String>,
}

impl Default for Survey {
    /// Nothing was looked at, nothing is committed.
    fn default() -> Self {
        Self { topics: BTreeMap::new(), committed: Ok(BTreeMap::new()) }
    }
}

/// Looks at `topics`, and at what `group` has committed of them. The error: no broker answers.
pub async fn look(cluster: &Cluster, group: &str, topics: &[String]) -> Result<Survey, IngestError> {
    // Each once: Kafka describes a topic that is asked about twice once, which librdkafka takes for a broken answer.
    let names: BTreeSet<String> = topics.iter().cloned().collect();
    let (of, group, names) = (cluster.clone(), group.to_owned(), names.into_iter().collect::<Vec<_>>());
    let asked = tokio::task::spawn_blocking(move || ask(&of, &group, &names)).await;
    let mut survey = asked.unwrap_or(Err(IngestError::Ended { what: "look at the cluster" }))?;
    let admin: AdminClient<Logged> = settings(cluster)
        .create_with_context(Logged::default())
        .map_err(|source| IngestError::Client { what: "describing topics", source })?;
    let names: Vec<String> =
        survey.topics.iter().filter(|(_, facts)| facts.is_ok()).map(|(name, _)| name.clone()).collect();
    let there: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(ASK_MAX));
    // Where no broker tells them, what is known of the topics without their settings still is.
    let described = if there.is_empty() { Ok(Vec::new()) } else { admin.describe_configs(&there, &options).await };
    for resource in described.into_iter().flatten().flatten() {
        let rdkafka::admin::OwnedResourceSpecifier::Topic(name) = &resource.specifier else { continue };
        let Some(Ok(facts)) = survey.topics.get_mut(name) else { continue };
        let value = |key| resource.get(key).and_then(|entry| entry.value.clone());
        facts.compacted = value("cleanup.policy").map(|policy| policy.contains("compact"));
        facts.retention_ms = value("retention.ms").and_then(|ms| ms.parse().ok());
    }
    Ok(survey)
}

fn ask(cluster: &Cluster, group: &str, names: &[String]) -> Result<Survey, IngestError> {
    let mut settings = settings(cluster);
    settings.set("group.id", group).set("enable.auto.commit", "false");
    let consumer: BaseConsumer<Logged> = settings
        .create_with_context(Logged::default())
        .map_err(|source| IngestError::Client { what: "looking", source })?;
    let unreachable = unreachable(&consumer, &cluster.brokers, "describe the cluster");
    let (mut survey, mut list) = (Survey::default(), TopicPartitionList::new());
    for name in names {
        let metadata = consumer.fetch_metadata(Some(name), ASK_MAX).map_err(unreachable)?;
        let mut found = Err(MISSING.to_owned());
        for topic in metadata.topics() {
            found = match topic.error() {
                Some(error) => match RDKafkaErrorCode::from(error) {
                    RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic => {
                        Err(MISSING.to_owned())
                    }
                    code => Err(code.to_string()),
                },
                None => offsets(&consumer, name, topic.partitions().iter().map(|partition| partition.id())),
            };
        }
        if let Ok(facts) = &found {
            for number in facts.offsets.keys() {
                list.add_partition(name, *number);
            }
        }
        survey.topics.insert(name.clone(), found);
    }
    survey.committed = match consumer.committed_offsets(list, ASK_MAX) {
        Err(error) => Err(error_text(&error)),
        Ok(list) => Ok(list
            .elements()
            .iter()
            .filter_map(|element| match element.offset() {
                rdkafka::Offset::Offset(offset) => Some((Partition::new(element.topic(), element.partition()), offset)),
                _ => None,
            })
            .collect()),
    };
    Ok(survey)
}

fn offsets(
    consumer: &BaseConsumer<Logged>,
    name: &str,
    partitions: impl Iterator<Item = i32>,
) -> Result<TopicFacts, String> {
    let mut facts = TopicFacts::default();
    for number in partitions {
        let marks = consumer.fetch_watermarks(name, number, ASK_MAX).map_err(|error| error_text(&error))?;
        facts.offsets.insert(number, marks);
    }
    if facts.offsets.is_empty() { Err(MISSING.to_owned()) } else { Ok(facts) }
}

/// Writes one record to each topic in a transaction of its own, which is then given up: nobody who reads committed
/// records sees any of it. By topic: why that is refused, if it is.
pub async fn may_write(
    cluster: &Cluster,
    transactional_id: &str,
    topics: &[String],
) -> Result<BTreeMap<String, Option<String>>, IngestError> {
    let (cluster, id, topics) = (cluster.clone(), transactional_id.to_owned(), topics.to_vec());
    let tried = tokio::task::spawn_blocking(move || try_writing(&cluster, &id, &topics)).await;
    tried.unwrap_or(Err(IngestError::Ended { what: "trial of writing" }))
}

fn try_writing(
    cluster: &Cluster,
    id: &str,
    topics: &[String],
) -> Result<BTreeMap<String, Option<String>>, IngestError> {
    let mut settings = producer_settings(cluster);
    settings.set("transactional.id", id).set("message.timeout.ms", "9000").set("transaction.timeout.ms", "10000");
    let producer: FutureProducer<Logged> = settings
        .create_with_context(Logged::default())
        .map_err(|source| IngestError::Client { what: "writing", source })?;
    let failed = |source| IngestError::Commit { member: id.to_owned(), source };
    producer.init_transactions(ASK_MAX).map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|source| IngestError::Thread { what: "trial of writing", source })?;
    let mut tried = BTreeMap::new();
    for topic in topics {
        producer.begin_transaction().map_err(failed)?;
        let record = FutureRecord::to(topic).key("vedette-doctor").payload("");
        let refusal = match producer.send_result(record) {
            Err((error, _)) => Some(error_text(&error)),
            Ok(delivery) => match runtime.block_on(delivery) {
                Ok(Ok(_)) => None,
                Ok(Err((error, _))) => Some(error_text(&error)),
                Err(_) => Some("the producer ended".to_owned()),
            },
        };
        producer.abort_transaction(ASK_MAX).map_err(failed)?;
        tried.insert(topic.clone(), refusal);
    }
    Ok(tried)
}

fn error_text(error: &KafkaError) -> String {
    error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string())
}

/// Longest wait for one answer.
const ASK_MAX: Duration = Duration::from_secs(10);
