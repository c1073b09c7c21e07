//! Records into Kafka, no faster than they are answered where that matters.

use crate::client::producer_settings;
use crate::cluster::Cluster;
use crate::delivery::{Deliveries, drained};
use crate::engine::Progress;
use crate::read_back::Reader;
use crate::{IngestError, Output, Written};
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseRecord, Producer as _, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::watch;

/// How many records were written, and how many bytes of key and value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Records acknowledged.
    pub records: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Writes records and waits until Kafka has acknowledged every one of them.
pub async fn send_all(
    cluster: impl Into<Cluster>,
    records: impl IntoIterator<Item = Output>,
) -> Result<Sent, IngestError> {
    let mut sender = Sender::new(&cluster.into())?;
    for record in records {
        sender.send(&record).await?;
    }
    sender.finish().await
}

/// Writes records as fast as `pace` lets them, and waits until Kafka has acknowledged every one of them.
pub async fn send_paced(
    cluster: impl Into<Cluster>,
    records: impl IntoIterator<Item = Output>,
    mut pace: Pace,
) -> Result<Sent, IngestError> {
    let mut sender = Sender::new(&cluster.into())?;
    for record in records {
        pace.wait(sender.sent).await?;
        sender.send(&record).await?;
    }
    sender.finish().await
}

/// Holds a producer back until the engine has answered, and readers have taken, all but a few MB: on
/// [`MockKafka`](crate::mock::MockKafka) a record that is overtaken by 5 MB of its partition is lost.
#[derive(Debug)]
pub struct Pace {
    engine: watch::Receiver<Progress>,
    readers: Vec<(String, watch::Receiver<Sent>)>,
    /// Counts of the engine when this pace was made: what it answered before is not ours.
    before: Progress,
}

impl Pace {
    /// Waits for the engine whose progress this is. Make it before the first record is sent.
    pub fn new(mut engine: watch::Receiver<Progress>) -> Self {
        let before = engine.borrow_and_update().clone();
        Self { engine, readers: Vec::new(), before }
    }

    /// Waits for `reader`, too: it must have been there since the engine started.
    pub fn and_reader(mut self, reader: &Reader) -> Self {
        self.readers.push((reader.topic().to_owned(), reader.progress()));
        self
    }

    /// Returns when one more record may follow the `sent` ones.
    async fn wait(&mut self, sent: Sent) -> Result<(), IngestError> {
        let ended = |_| IngestError::Ended { what: "reader" };
        let before = self.before.bytes;
        let written: Vec<u64> = {
            let answered = |progress: &Progress| sent.bytes <= progress.bytes - before + AHEAD_BYTES_MAX;
            let answered = self.engine.wait_for(answered).await.map_err(|_| IngestError::Ended { what: "consumer" })?;
            self.readers.iter().map(|(topic, _)| answered.written(topic).bytes).collect()
        };
        for ((_, reader), written) in self.readers.iter_mut().zip(written) {
            reader.wait_for(|read| written <= read.bytes + AHEAD_BYTES_MAX).await.map_err(ended)?;
        }
        Ok(())
    }
}

/// A producer that waits where librdkafka would say that its queue is full.
struct Sender {
    producer: ThreadedProducer<Deliveries>,
    sent: Sent,
}

impl Sender {
    fn new(cluster: &Cluster) -> Result<Self, IngestError> {
        let producer = producer_settings(cluster)
            .set("linger.ms", "2")
            .create_with_context(Deliveries::default())
            .map_err(|source| IngestError::Client { what: "writing", source })?;
        Ok(Self { producer, sent: Sent::default() })
    }

    async fn send(&mut self, record: &Output) -> Result<(), IngestError> {
        loop {
            match self.producer.send(record.to_kafka()) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    let served = self.producer.context().served();
                    self.producer.context().reached(served + (self.sent.records - served).div_ceil(2)).await;
                }
                Err((error, _)) => {
                    return Err(IngestError::Refused { topic: record.topic.clone(), reason: error.to_string() });
                }
            }
        }
        self.sent.records += 1;
        self.sent.bytes += record.bytes();
        Ok(())
    }

    async fn finish(self) -> Result<Sent, IngestError> {
        drained(&self.producer, self.sent.records).await;
        match self.producer.context().take_failure() {
            None => Ok(self.sent),
            Some(failure) => Err(IngestError::Refused { topic: failure.topic, reason: failure.code.to_string() }),
        }
    }
}

impl Output {
    /// The record as librdkafka takes it.
    pub(crate) fn to_kafka(&self) -> BaseRecord<'_, [u8], [u8]> {
        Written { topic: &self.topic, key: &self.key, payload: &self.payload, partition: None }.to_kafka()
    }
}

impl<'a> Written<'a> {
    /// The record as librdkafka takes it: an empty key or value is none.
    pub(crate) fn to_kafka(self) -> BaseRecord<'a, [u8], [u8]> {
        let mut record = BaseRecord::to(self.topic);
        record.key = Some(self.key).filter(|key| !key.is_empty());
        record.payload = Some(self.payload).filter(|payload| !payload.is_empty());
        record.partition = self.partition;
        record
    }
}

/// A quarter of what the mock keeps of a partition: even if all of it were in one partition, and a fetch doubled, none is lost.
const AHEAD_BYTES_MAX: u64 = 1_250_000;
