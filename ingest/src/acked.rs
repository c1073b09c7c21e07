//! Records whose writer waits until Kafka has every one of them: for doors that promise something with their answer.

use crate::client::{Logged, producer_settings};
use crate::cluster::Cluster;
use crate::{IngestError, Output};
use rdkafka::error::KafkaError;
use rdkafka::producer::future_producer::{DeliveryFuture, FutureProducer, FutureRecord};
use rdkafka::types::RDKafkaErrorCode;
use std::time::Duration;

/// A producer for many callers at once.
#[derive(Clone)]
pub struct Acked {
    producer: FutureProducer<Logged>,
}

/// Why not every record was acknowledged. Those before it may have been written: records that are sent again have to be
/// told by their ids.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// More waits to be sent than may.
    #[error("the queue of records to Kafka is full")]
    Full,
    /// No acknowledgement in [`ACK_MAX`]: the brokers are away, or too few of them are in sync.
    #[error("Kafka did not acknowledge a record for `{topic}` within {} s", ACK_MAX.as_secs())]
    Late {
        /// The record's topic.
        topic: String,
    },
    /// Kafka refuses the record: unknown topic, no permission, too large.
    #[error("Kafka refuses a record for `{topic}`: {reason}")]
    Refused {
        /// The record's topic.
        topic: String,
        /// Kafka's reason.
        reason: String,
    },
}

impl Acked {
    /// A producer for that cluster.
    pub fn new(cluster: &Cluster) -> Result<Self, IngestError> {
        let mut settings = producer_settings(cluster);
        settings.set("linger.ms", "2").set("message.timeout.ms", ACK_MAX.as_millis().to_string());
        cluster.apply(&mut settings);
        let producer = settings
            .create_with_context(Logged::default())
            .map_err(|source| IngestError::Client { what: "writing", source })?;
        Ok(Self { producer })
    }

    /// Writes `records` and returns once Kafka has acknowledged every one.
    pub async fn send(&self, records: &[Output]) -> Result<(), AckError> {
        let mut waiting: Vec<(&str, DeliveryFuture)> = Vec::with_capacity(records.len());
        let mut failure = None;
        for output in records {
            let record = FutureRecord {
                topic: &output.topic,
                partition: None,
                key: Some(output.key.as_slice()).filter(|key| !key.is_empty()),
                payload: Some(output.payload.as_slice()),
                timestamp: None,
                headers: None,
            };
            match self.producer.send_result(record) {
                Ok(delivery) => waiting.push((&output.topic, delivery)),
                Err((error, _)) => {
                    failure = Some(told(&output.topic, &error));
                    break;
                }
            }
        }
        // What is on its way is waited for in any case: a caller that is told of a failure must not be overtaken by it.
        for (topic, delivery) in waiting {
            match delivery.await {
                Ok(Ok(_)) => {}
                Ok(Err((error, _))) => drop(failure.get_or_insert(told(topic, &error))),
                // The producer is gone, as at the end of the process.
                Err(_) => drop(failure.get_or_insert(AckError::Late { topic: topic.to_owned() })),
            }
        }
        failure.map_or(Ok(()), Err)
    }
}

impl std::fmt::Debug for Acked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Acked(..)")
    }
}

fn told(topic: &str, error: &KafkaError) -> AckError {
    let topic = topic.to_owned();
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::QueueFull) => AckError::Full,
        Some(
            RDKafkaErrorCode::MessageTimedOut
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::NotEnoughReplicas
            | RDKafkaErrorCode::NotEnoughReplicasAfterAppend,
        ) => AckError::Late { topic },
        code => AckError::Refused { topic, reason: code.map_or_else(|| error.to_string(), |code| code.to_string()) },
    }
}

/// Longest wait for an acknowledgement.
pub const ACK_MAX: Duration = Duration::from_secs(10);
