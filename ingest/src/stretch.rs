//! A stretch of a topic, from a time to the end as it was when one looked: read by whoever wants it, in as many sittings as it
//! takes, without joining a group and without leaving a trace.

use crate::client::{Logged, REQUEST_MAX, settings, unreachable};
use crate::cluster::Cluster;
use crate::read_back::to_record;
use crate::{IngestError, Record};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use schema::Millis;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What there is to read of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// The first offset that is wanted.
    pub from: i64,
    /// The first that is not.
    pub to: i64,
    /// Where the log began: later than 0, and at `from`, where records that would be wanted may be gone.
    pub log_start: i64,
}

impl Stretch {
    /// Offsets from its start to its end.
    pub fn len(self) -> u64 {
        self.to.checked_sub(self.from).and_then(|offsets| u64::try_from(offsets).ok()).unwrap_or(0)
    }

    /// Whether there is nothing to read.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// What each partition of `topic` holds since `since`; without it, all. Blocks.
pub fn look(cluster: &Cluster, topic: &str, since: Option<Millis>) -> Result<BTreeMap<i32, Stretch>, IngestError> {
    let consumer = consumer(cluster)?;
    let unreachable = unreachable(&consumer, &cluster.brokers, "describe a topic");
    let unreadable = |source| IngestError::Read { topics: vec![topic.to_owned()], source };
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_MAX).map_err(unreachable)?;
    let (mut stretches, mut times) = (BTreeMap::new(), TopicPartitionList::new());
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        let (low, high) = consumer.fetch_watermarks(topic, partition.id(), REQUEST_MAX).map_err(unreadable)?;
        stretches.insert(partition.id(), Stretch { from: low, to: high, log_start: low });
        if let Some(since) = since {
            let at = Offset::Offset(i64::try_from(since.0).unwrap_or(i64::MAX));
            times.add_partition_offset(topic, partition.id(), at).map_err(unreadable)?;
        }
    }
    if stretches.is_empty() {
        return Err(IngestError::Topic { topic: topic.to_owned(), reason: "it does not exist".to_owned() });
    }
    if since.is_some() {
        let found = consumer.offsets_for_times(times, REQUEST_MAX).map_err(unreadable)?;
        for element in found.elements() {
            let Some(stretch) = stretches.get_mut(&element.partition()) else { continue };
            stretch.from = match element.offset() {
                Offset::Offset(offset) => offset,
                _ => stretch.to, // nothing is so young
            };
        }
    }
    Ok(stretches)
}

/// Gives `take` every committed record of the stretches, each partition's in order, until it has had enough: what it
/// returns then is returned. Blocks.
pub fn read<E: From<IngestError>>(
    cluster: &Cluster,
    topic: &str,
    stretches: &BTreeMap<i32, Stretch>,
    mut take: impl FnMut(Record) -> Result<(), E>,
) -> Result<(), E> {
    let consumer = consumer(cluster)?;
    let unreadable = |source| IngestError::Read { topics: vec![topic.to_owned()], source };
    let (mut list, mut open) = (TopicPartitionList::new(), BTreeMap::new());
    for (number, stretch) in stretches.iter().filter(|(_, stretch)| !stretch.is_empty()) {
        list.add_partition_offset(topic, *number, Offset::Offset(stretch.from)).map_err(unreadable)?;
        open.insert(*number, stretch.to);
    }
    consumer.assign(&list).map_err(unreadable)?;
    let (name, mut heard): (Arc<str>, _) = (topic.into(), Instant::now());
    while !open.is_empty() {
        match consumer.poll(POLL) {
            None if heard.elapsed() > REQUEST_MAX => {
                return Err(IngestError::Late { topic: topic.to_owned(), seconds: REQUEST_MAX.as_secs() }.into());
            }
            None => continue,
            // What the log ends with may be no record but a transaction's marker.
            Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
            Some(Err(source)) => return Err(unreadable(source).into()),
            Some(Ok(message)) => {
                let record = to_record(&message, &name);
                let Some(to) = open.get(&record.partition).copied() else { continue };
                if record.offset + 1 >= to {
                    open.remove(&record.partition);
                }
                if record.offset < to {
                    take(record)?;
                }
            }
        }
        heard = Instant::now();
    }
    Ok(())
}

fn consumer(cluster: &Cluster) -> Result<BaseConsumer<Logged>, IngestError> {
    settings(cluster)
        // librdkafka wants a group to assign partitions; it is never joined and nothing is committed to it.
        .set("group.id", "vedette-stretch")
        .set("enable.auto.commit", "false")
        // What was there when one looked, and is gone now, must not be passed over in silence.
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create_with_context(Logged::default())
        .map_err(|source| IngestError::Client { what: "reading", source })
}

/// How often the patience of [`read`] is checked.
const POLL: Duration = Duration::from_millis(200);
