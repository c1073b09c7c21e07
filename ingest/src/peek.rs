//! A look at a topic: its newest records, without joining a group and without leaving a trace.

use crate::client::{Logged, REQUEST_MAX, settings, unreachable};
use crate::cluster::Cluster;
use crate::read_back::to_record;
use crate::{IngestError, Record};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// At most `count` of the newest committed records of `topic`, in order of time; fewer where it holds fewer.
pub async fn newest(cluster: impl Into<Cluster>, topic: &str, count: usize) -> Result<Vec<Record>, IngestError> {
    let (cluster, topic) = (cluster.into(), topic.to_owned());
    let looked = tokio::task::spawn_blocking(move || look(&cluster, &topic, count)).await;
    looked.unwrap_or(Err(IngestError::Ended { what: "look at a topic" }))
}

fn look(cluster: &Cluster, topic: &str, count: usize) -> Result<Vec<Record>, IngestError> {
    let consumer: BaseConsumer<Logged> = settings(cluster)
        // librdkafka wants a group to assign partitions; it is never joined and nothing is committed to it.
        .set("group.id", "vedette-peek")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        // The end of a partition is told, since the newest records of a transactional topic are markers, not records.
        .set("enable.partition.eof", "true")
        .create_with_context(Logged::default())
        .map_err(|source| IngestError::Client { what: "reading", source })?;
    let unreachable = unreachable(&consumer, &cluster.brokers, "describe a topic");
    let unreadable = |source| IngestError::Read { topics: vec![topic.to_owned()], source };
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_MAX).map_err(unreachable)?;
    let (mut list, mut open) = (TopicPartitionList::new(), HashSet::new());
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), REQUEST_MAX).map_err(unreachable)?;
        // Each partition could hold all of the newest records.
        let from = high.saturating_sub_unsigned(count as u64).max(low);
        list.add_partition_offset(topic, partition.id(), Offset::Offset(from)).map_err(unreadable)?;
        open.insert(partition.id());
    }
    if open.is_empty() {
        return Err(IngestError::Topic { topic: topic.to_owned(), reason: "it does not exist".to_owned() });
    }
    consumer.assign(&list).map_err(unreadable)?;

    let (name, mut records, mut heard) = (Arc::from(topic), Vec::new(), Instant::now());
    while !open.is_empty() && heard.elapsed() < REQUEST_MAX {
        match consumer.poll(POLL) {
            None => continue,
            Some(Ok(message)) => records.push(to_record(&message, &name)),
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            Some(Err(source)) => return Err(unreadable(source)),
        }
        heard = Instant::now();
    }
    records.retain(|record| !record.is_nudge());
    records.sort_by_key(|record| (record.at, record.partition, record.offset));
    let surplus = records.len().saturating_sub(count);
    records.drain(..surplus);
    Ok(records)
}

/// How often the patience of [`look`] is checked.
const POLL: Duration = Duration::from_millis(200);
