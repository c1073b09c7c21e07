//! Records out of a topic, in each partition's order, as they come.

use crate::client::{Logged, REQUEST_MAX, settings};
use crate::cluster::Cluster;
use crate::produce::Sent;
use crate::{IngestError, Record};
use rdkafka::Message;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};
use schema::Millis;
use std::sync::Arc;
use tokio::sync::watch;

/// Reads a whole topic from its start, committed records only, without joining a group.
pub struct Reader {
    topic: Arc<str>,
    consumer: StreamConsumer<Logged>,
    progress: watch::Sender<Sent>,
}

impl Reader {
    /// Starts reading every partition of `topic` from its first record.
    pub async fn start(cluster: impl Into<Cluster>, topic: &str) -> Result<Self, IngestError> {
        Self::open(cluster.into(), topic, From::Start).await
    }

    /// Starts reading with what is written from now on.
    pub async fn from_end(cluster: impl Into<Cluster>, topic: &str) -> Result<Self, IngestError> {
        Self::open(cluster.into(), topic, From::End).await
    }

    async fn open(cluster: Cluster, topic: &str, from: From) -> Result<Self, IngestError> {
        let consumer: StreamConsumer<Logged> = settings(&cluster)
            // librdkafka wants a group to assign partitions; it is never joined and nothing is committed to it.
            .set("group.id", "vedette-reader")
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "20")
            .set("queued.max.messages.kbytes", "16384")
            .create_with_context(Logged::default())
            .map_err(|source| IngestError::Client { what: "reading", source })?;
        let consumer = Arc::new(consumer);
        let (asked, of, name) = (Arc::clone(&consumer), cluster.brokers, topic.to_owned());
        tokio::task::spawn_blocking(move || assign_all(&asked, &of, &name, from))
            .await
            .unwrap_or(Err(IngestError::Ended { what: "topic check" }))?;
        let consumer = Arc::into_inner(consumer).ok_or(IngestError::Ended { what: "topic check" })?;
        Ok(Self { topic: topic.into(), consumer, progress: watch::Sender::new(Sent::default()) })
    }

    /// The next record; waits for one. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Result<Record, IngestError> {
        let message = self
            .consumer
            .recv()
            .await
            .map_err(|source| IngestError::Read { topics: vec![self.topic.to_string()], source })?;
        let record = to_record(&message, &self.topic);
        self.progress.send_modify(|read| {
            read.records += 1;
            read.bytes += record.bytes();
        });
        Ok(record)
    }

    /// The next `count` records, partitions mixed as they came.
    pub async fn take(&mut self, count: u64) -> Result<Vec<Record>, IngestError> {
        let mut records = Vec::new();
        for _ in 0..count {
            records.push(self.next().await?);
        }
        Ok(records)
    }

    /// The topic that is read.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// How much has been read, as it grows.
    pub fn progress(&self) -> watch::Receiver<Sent> {
        self.progress.subscribe()
    }
}

/// Where reading begins.
#[derive(Clone, Copy)]
enum From {
    Start,
    End,
}

fn assign_all(consumer: &StreamConsumer<Logged>, brokers: &str, topic: &str, from: From) -> Result<(), IngestError> {
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_MAX).map_err(|source| IngestError::Unreachable {
        brokers: brokers.to_owned(),
        request: "describe a topic",
        heard: None,
        source: Box::new(source),
    })?;
    let unreadable = |source| IngestError::Read { topics: vec![topic.to_owned()], source };
    let mut list = TopicPartitionList::new();
    for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
        let offset = match from {
            From::Start => Offset::Beginning,
            // Asked for now: what is written before the first fetch is to be read, too.
            From::End => {
                Offset::Offset(consumer.fetch_watermarks(topic, partition.id(), REQUEST_MAX).map_err(unreadable)?.1)
            }
        };
        list.add_partition_offset(topic, partition.id(), offset).map_err(unreadable)?;
    }
    if list.count() == 0 {
        return Err(IngestError::Topic { topic: topic.to_owned(), reason: "it does not exist".to_owned() });
    }
    consumer.assign(&list).map_err(unreadable)
}

/// Copies a message out of librdkafka's memory.
pub(crate) fn to_record(message: &BorrowedMessage<'_>, topic: &Arc<str>) -> Record {
    Record {
        topic: Arc::clone(topic),
        partition: message.partition(),
        offset: message.offset(),
        at: Millis(message.timestamp().to_millis().and_then(|at| u64::try_from(at).ok()).unwrap_or(0)),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().unwrap_or_default().to_vec(),
    }
}
