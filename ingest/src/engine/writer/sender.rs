//! One producer: a transaction at a time, begun, filled, and committed or given up.

use super::{Job, Trouble, backoff, offsets};
use crate::IngestError;
use crate::client::{REQUEST_MAX, producer_settings};
use crate::delivery::{Deliveries, Failure, drained};
use crate::engine::EngineConfig;
use crate::engine::batch::Batch;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{Producer, PurgeConfig, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;

pub(super) struct Sender {
    producer: ThreadedProducer<Deliveries>,
    /// `transactional.id`; none: it writes without transactions.
    name: Option<String>,
    /// Records given to the producer.
    sent: u64,
    runtime: tokio::runtime::Runtime,
}

impl Sender {
    /// Under a name it ends what the last one of that name left open, and fences it.
    pub(super) fn new(config: &EngineConfig, name: Option<String>) -> Result<Self, IngestError> {
        let mut settings = producer_settings(&config.cluster);
        settings.set("linger.ms", "1").set("batch.num.messages", "100000").set("batch.size", "1000000");
        if let Some(name) = &name {
            settings.set("transactional.id", name).set("transaction.timeout.ms", TRANSACTION_MAX_MS);
        }
        config.cluster.apply(&mut settings);
        let client = |source| IngestError::Client { what: "writing", source };
        let producer: ThreadedProducer<Deliveries> =
            settings.create_with_context(Deliveries::default()).map_err(client)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|source| IngestError::Thread { what: "writer", source })?;
        let sender = Self { producer, name, sent: 0, runtime };
        if sender.name.is_none() {
            return Ok(sender);
        }
        match sender.insist(|| sender.producer.init_transactions(REQUEST_MAX)) {
            Ok(()) => Ok(sender),
            Err(Trouble::Failed(error)) => Err(error),
            Err(Trouble::Fenced) => Err(IngestError::Fenced { member: sender.name() }),
            Err(Trouble::Abort(reason)) => {
                tracing::warn!(reason, "transactions could not be initialised");
                Err(IngestError::Ended { what: "transaction set-up" })
            }
        }
    }

    /// KIP-98 and KIP-447: outputs and offsets in one transaction, fenced by `transactional.id` and group metadata.
    pub(super) fn transact(&mut self, job: &Job) -> Result<(), Trouble> {
        let offsets = offsets(&job.batch)?;
        self.insist(|| self.producer.begin_transaction())?;
        self.hand_over(&job.batch)?;
        // While the records are on their way.
        self.insist(|| self.producer.send_offsets_to_transaction(&offsets, &job.group, REQUEST_MAX))?;
        self.acknowledged()?;
        self.insist(|| self.producer.commit_transaction(REQUEST_MAX))
    }

    /// Writes every output without a transaction.
    pub(super) fn send(&mut self, batch: &Batch) -> Result<(), Trouble> {
        self.hand_over(batch)?;
        self.acknowledged()
    }

    /// Gives every output to librdkafka.
    fn hand_over(&mut self, batch: &Batch) -> Result<(), Trouble> {
        for output in batch.outputs() {
            loop {
                match self.producer.send(output.to_kafka()) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                        let deliveries = self.producer.context();
                        let served = deliveries.served();
                        self.runtime.block_on(deliveries.reached(served + (self.sent - served).div_ceil(2)));
                    }
                    Err((error, _)) => return Err(self.refused(output.topic, &error)),
                }
            }
            self.sent += 1;
        }
        Ok(())
    }

    /// Waits until the brokers have all records.
    fn acknowledged(&self) -> Result<(), Trouble> {
        self.runtime.block_on(drained(&self.producer, self.sent));
        match self.producer.context().take_failure() {
            None => Ok(()),
            Some(failure) if is_permanent(failure.code) => {
                Err(Trouble::Failed(IngestError::Refused { topic: failure.topic, reason: failure.code.to_string() }))
            }
            Some(Failure { topic, code }) => Err(Trouble::Abort(format!("a record for `{topic}` failed: {code}"))),
        }
    }

    fn refused(&self, topic: &str, error: &KafkaError) -> Trouble {
        if self.producer.client().fatal_error().is_some() {
            return Trouble::Fenced;
        }
        match error.rdkafka_error_code() {
            Some(code) if !is_permanent(code) => Trouble::Abort(format!("a record for `{topic}` failed: {code}")),
            _ => Trouble::Failed(IngestError::Refused { topic: topic.to_owned(), reason: error.to_string() }),
        }
    }

    /// Gives up what was begun.
    pub(super) fn abort(&mut self) -> Result<(), Trouble> {
        // What is still queued or on the wire is void; its reports are served as failures.
        self.producer.purge(PurgeConfig::default().queue().inflight());
        self.runtime.block_on(drained(&self.producer, self.sent));
        let _ = self.producer.context().take_failure();
        match self.name {
            Some(_) => self.insist(|| self.producer.abort_transaction(REQUEST_MAX)),
            None => Ok(()),
        }
    }

    /// Calls a transaction function for as long as it says "again": while the broker is away there is nothing else to do.
    fn insist(&self, call: impl Fn() -> KafkaResult<()>) -> Result<(), Trouble> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let error = match call() {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let KafkaError::Transaction(cause) = &error else { return Err(self.failed(error)) };
            if cause.is_fatal() {
                tracing::warn!(member = self.name(), %error, "producer fenced");
                return Err(Trouble::Fenced);
            } else if cause.txn_requires_abort() {
                return Err(Trouble::Abort(error.to_string()));
            } else if !cause.is_retriable() {
                return Err(self.failed(error));
            }
            tracing::warn!(member = self.name(), %error, attempt, "transaction call is tried again");
            std::thread::sleep(backoff(attempt));
        }
    }

    fn name(&self) -> String {
        self.name.clone().unwrap_or_default()
    }

    fn failed(&self, source: KafkaError) -> Trouble {
        Trouble::Failed(IngestError::Commit { member: self.name(), source })
    }
}

/// Waiting does not mend these.
fn is_permanent(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::InvalidTopic
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::MessageSizeTooLarge
            | RDKafkaErrorCode::InvalidRecord
            | RDKafkaErrorCode::PolicyViolation
    )
}

/// Kafka gives a transaction up that is open for longer.
const TRANSACTION_MAX_MS: &str = "10000";
