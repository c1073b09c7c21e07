//! A topic read to its end again and again: for what every process has to know before it goes on.

use crate::client::{Logged, REQUEST_MAX, settings, unreachable};
use crate::cluster::Cluster;
use crate::read_back::to_record;
use crate::{IngestError, Record};
use rdkafka::Offset::{self, Beginning};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, TopicPartitionList};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A reader of a whole topic, committed records only, without a group and without a trace.
pub struct Follower {
    topic: Arc<str>,
    consumer: BaseConsumer<Logged>,
    /// Where each partition is read next.
    next: BTreeMap<i32, Offset>,
}

impl Follower {
    /// A reader at the start of `topic`; `None` where there is no such topic.
    pub fn open(cluster: &Cluster, topic: &str) -> Result<Option<Self>, IngestError> {
        let mut settings = settings(cluster);
        settings
            // librdkafka wants a group to assign partitions; it is never joined and nothing is committed to it.
            .set("group.id", "vedette-follower")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "10")
            .set("enable.partition.eof", "true");
        let consumer: BaseConsumer<Logged> = settings
            .create_with_context(Logged::default())
            .map_err(|source| IngestError::Client { what: "reading", source })?;
        let unreachable = unreachable(&consumer, &cluster.brokers, "describe a topic");
        let metadata = consumer.fetch_metadata(Some(topic), REQUEST_MAX).map_err(unreachable)?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let next: BTreeMap<i32, Offset> = partitions.map(|partition| (partition.id(), Beginning)).collect();
        Ok((!next.is_empty()).then(|| Self { topic: topic.into(), consumer, next }))
    }

    /// What was committed since the last time, up to the end as it is now or a moment later; at most `patience` is
    /// waited for it. An error leaves what was not returned for the next time.
    pub fn catch_up(&mut self, patience: Duration) -> Result<Vec<Record>, IngestError> {
        let unreadable = |source| IngestError::Read { topics: vec![self.topic.to_string()], source };
        let mut list = TopicPartitionList::new();
        for (partition, next) in &self.next {
            list.add_partition_offset(&self.topic, *partition, *next).map_err(unreadable)?;
        }
        // Assigned anew, so that an end that is told is one of now: the fetch behind it begins after this.
        self.consumer.assign(&list).map_err(unreadable)?;
        let mut open: HashSet<i32> = self.next.keys().copied().collect();
        let (mut records, mut next, started) = (Vec::new(), self.next.clone(), Instant::now());
        while !open.is_empty() {
            let left = patience.saturating_sub(started.elapsed());
            match self.consumer.poll(left) {
                Some(Ok(message)) => {
                    next.insert(message.partition(), Offset::Offset(message.offset() + 1));
                    records.push(to_record(&message, &self.topic));
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => drop(open.remove(&partition)),
                Some(Err(error)) if started.elapsed() >= patience => return Err(unreadable(error)),
                Some(Err(error)) => tracing::warn!(%error, topic = &*self.topic, "reading is disturbed"),
                None if started.elapsed() >= patience => {
                    return Err(IngestError::Late { topic: self.topic.to_string(), seconds: patience.as_secs() });
                }
                None => {}
            }
        }
        self.next = next;
        Ok(records)
    }
}

impl std::fmt::Debug for Follower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Follower({}, ..)", self.topic)
    }
}
