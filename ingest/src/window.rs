//! The records of a topic between two times, without joining a group and without leaving a trace.

use crate::client::{Logged, REQUEST_MAX, settings, unreachable};
use crate::cluster::Cluster;
use crate::read_back::to_record;
use crate::{IngestError, Record};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use schema::Millis;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Gives `take` every committed record of `topic` that Kafka stamped at or after `from` and before `to`, each partition's
/// in order. Ends with what is there now. Blocks.
pub fn each(
    cluster: &Cluster,
    topic: &str,
    from: Millis,
    to: Millis,
    mut take: impl FnMut(Record),
) -> Result<(), IngestError> {
    let mut settings = settings(cluster);
    settings
        // librdkafka wants a group to assign partitions; it is never joined and nothing is committed to it.
        .set("group.id", "vedette-window")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true");
    let consumer: BaseConsumer<Logged> = settings
        .create_with_context(Logged::default())
        .map_err(|source| IngestError::Client { what: "reading", source })?;
    let unreachable = unreachable(&consumer, &cluster.brokers, "describe a topic");
    let unreadable = |source| IngestError::Read { topics: vec![topic.to_owned()], source };
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_MAX).map_err(unreachable)?;
    let mut times = TopicPartitionList::new();
    let at = i64::try_from(from.0).unwrap_or(i64::MAX);
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        times.add_partition_offset(topic, partition.id(), Offset::Offset(at)).map_err(unreadable)?;
    }
    if times.count() == 0 {
        return Err(IngestError::Topic { topic: topic.to_owned(), reason: "it does not exist".to_owned() });
    }
    // The first offset of each partition at or after the time; its end where there is none.
    let starts = consumer.offsets_for_times(times, REQUEST_MAX).map_err(unreadable)?;
    consumer.assign(&starts).map_err(unreadable)?;
    let mut open: HashSet<i32> = starts.elements().iter().map(|element| element.partition()).collect();
    let (name, mut heard) = (Arc::from(topic), Instant::now());
    while !open.is_empty() {
        match consumer.poll(POLL) {
            Some(Ok(message)) => {
                let record = to_record(&message, &name);
                if record.at >= from && record.at < to && open.contains(&message.partition()) && !record.is_nudge() {
                    take(record);
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            Some(Err(source)) => return Err(unreadable(source)),
            None if heard.elapsed() > REQUEST_MAX => {
                return Err(IngestError::Late { topic: topic.to_owned(), seconds: REQUEST_MAX.as_secs() });
            }
            None => continue,
        }
        heard = Instant::now();
    }
    Ok(())
}

/// How often the patience of [`each`] is checked.
const POLL: Duration = Duration::from_millis(200);
