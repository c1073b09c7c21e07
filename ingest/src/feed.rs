//! Records of a topic for somebody outside Kafka: each at least once, and on from where the last one ended.

use crate::client::{Logged, settings};
use crate::cluster::Cluster;
use crate::read_back::to_record;
use crate::{IngestError, Record};
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use std::sync::Arc;

/// A reader with a consumer group of its own.
pub struct Feed {
    topic: Arc<str>,
    consumer: StreamConsumer<Logged>,
}

impl Feed {
    /// Joins `group`; with a group that is new, reading begins with the first record there is.
    pub fn open(cluster: &Cluster, group: &str, topic: &str) -> Result<Self, IngestError> {
        let mut settings = settings(cluster);
        settings
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            .set("isolation.level", "read_committed")
            .set("partition.assignment.strategy", "cooperative-sticky")
            // Committed every second, and when the group is left; only what was said to be done.
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "1000")
            .set("enable.auto.offset.store", "false")
            // Another engine takes over soon from one that died.
            .set("session.timeout.ms", "10000")
            // A receiver that is away for hours must not cost us our place in the group.
            .set("max.poll.interval.ms", "86400000")
            // What waits here is bounded, however far the receiver is behind.
            .set("queued.max.messages.kbytes", "4096")
            .set("queued.min.messages", "100");
        let consumer: StreamConsumer<Logged> = settings
            .create_with_context(Logged::default())
            .map_err(|source| IngestError::Client { what: "reading", source })?;
        consumer.subscribe(&[topic]).map_err(|source| IngestError::Read { topics: vec![topic.to_owned()], source })?;
        Ok(Self { topic: topic.into(), consumer })
    }

    /// The next record; waits for one. Dropping the future loses nothing.
    pub async fn next(&self) -> Result<Record, IngestError> {
        let message = self
            .consumer
            .recv()
            .await
            .map_err(|source| IngestError::Read { topics: vec![self.topic.to_string()], source })?;
        Ok(to_record(&message, &self.topic))
    }

    /// `record`, and those before it of its partition, are where they were to go: they will not come again.
    pub fn done(&self, record: &Record) {
        if let Err(error) = self.consumer.store_offset(&self.topic, record.partition, record.offset) {
            // Its partition went to another member meanwhile, who will deliver it once more.
            tracing::debug!(%error, record = record.id(), "not noted as done");
        }
    }
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Feed({}, ..)", self.topic)
    }
}
