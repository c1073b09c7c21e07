//! Writes batches: a thread of its own, so that the next batch fills while this one is on its way.

use super::batch::Batch;
use super::group::Group;
use super::{Answered, Delivery, EngineConfig, Meters};
use crate::client::{REQUEST_MAX, producer_settings};
use crate::delivery::{Deliveries, Failure, drained};
use crate::{IngestError, Outputs, Partition};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::producer::{Producer, PurgeConfig, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A batch to be written, and who we are in the group when it is: Kafka refuses the offsets of a member of the past.
pub(super) struct Job {
    pub(super) batch: Batch,
    pub(super) group: ConsumerGroupMetadata,
}

/// What became of a [`Job`].
pub(super) enum Outcome {
    /// Outputs and offsets are there for everyone to see; the batch's memory comes back.
    Committed(Answered, Vec<Outputs>),
    /// Nothing of it can be seen (under [`Delivery::AtLeastOnce`]: perhaps some of it).
    Aborted(Batch),
    /// Another producer of our name took over: what we hold is void.
    Fenced,
    /// Trying again does not help.
    Failed(IngestError),
}

/// The producer of one member.
pub(super) struct Writer {
    producer: ThreadedProducer<Deliveries>,
    consumer: Arc<BaseConsumer<Group>>,
    delivery: Delivery,
    meters: Arc<Meters>,
    /// `transactional.id`.
    name: String,
    /// Records given to the producer.
    sent: u64,
    /// Batches given up in a row.
    aborts: u32,
    runtime: tokio::runtime::Runtime,
}

/// Why a batch did not get through.
enum Trouble {
    Abort(String),
    Fenced,
    Failed(IngestError),
}

impl Writer {
    /// A writer for member `name`; under exactly-once it fences its predecessor of that name and ends what that one
    /// left open, which may take until the broker answers.
    pub(super) fn new(
        config: &EngineConfig,
        name: String,
        consumer: Arc<BaseConsumer<Group>>,
    ) -> Result<Self, IngestError> {
        let mut settings = producer_settings(&config.cluster);
        settings.set("linger.ms", "1").set("batch.num.messages", "100000").set("batch.size", "1000000");
        if config.delivery == Delivery::ExactlyOnce {
            settings.set("transactional.id", &name).set("transaction.timeout.ms", TRANSACTION_MAX_MS);
        }
        config.cluster.apply(&mut settings);
        let client = |source| IngestError::Client { what: "writing", source };
        let producer: ThreadedProducer<Deliveries> =
            settings.create_with_context(Deliveries::default()).map_err(client)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|source| IngestError::Thread { what: "writer", source })?;
        let (delivery, meters) = (config.delivery, Arc::clone(&config.meters));
        let writer = Self { producer, consumer, delivery, meters, name, sent: 0, aborts: 0, runtime };
        if config.delivery == Delivery::ExactlyOnce {
            match writer.insist(|| writer.producer.init_transactions(REQUEST_MAX)) {
                Ok(()) => {}
                Err(Trouble::Failed(error)) => return Err(error),
                Err(Trouble::Fenced) => return Err(IngestError::Fenced { member: writer.name }),
                Err(Trouble::Abort(reason)) => {
                    tracing::warn!(reason, "transactions could not be initialised");
                    return Err(IngestError::Ended { what: "transaction set-up" });
                }
            }
        }
        Ok(writer)
    }

    /// Writes one batch and says what became of it.
    pub(super) fn write(&mut self, job: Job) -> Outcome {
        if self.aborts > 0 {
            std::thread::sleep(backoff(self.aborts));
        }
        let started = Instant::now();
        let outcome = match self.delivery {
            Delivery::ExactlyOnce => self.transact(&job),
            Delivery::AtLeastOnce => self.write_then_commit(&job.batch),
        };
        match outcome {
            Ok(()) => {
                self.aborts = 0;
                self.meters.batch_records.add(job.batch.records() as f64);
                self.meters.commit_seconds.add(started.elapsed().as_secs_f64());
                Outcome::Committed(Answered::of(&job.batch), job.batch.into_memory().collect())
            }
            Err(Trouble::Abort(reason)) => {
                self.aborts += 1;
                tracing::warn!(
                    member = self.name,
                    reason,
                    attempt = self.aborts,
                    "batch given up; it is written again"
                );
                match self.abort() {
                    Ok(()) => Outcome::Aborted(job.batch),
                    Err(Trouble::Failed(error)) => Outcome::Failed(error),
                    Err(Trouble::Fenced | Trouble::Abort(_)) => Outcome::Fenced,
                }
            }
            Err(Trouble::Fenced) => Outcome::Fenced,
            Err(Trouble::Failed(error)) => {
                let _ = self.abort();
                Outcome::Failed(error)
            }
        }
    }

    /// KIP-98 and KIP-447: outputs and offsets in one transaction, fenced by `transactional.id` and group metadata.
    fn transact(&mut self, job: &Job) -> Result<(), Trouble> {
        self.insist(|| self.producer.begin_transaction())?;
        self.send(&job.batch)?;
        let offsets = offsets(&job.batch)?;
        self.insist(|| self.producer.send_offsets_to_transaction(&offsets, &job.group, REQUEST_MAX))?;
        // A record may have failed after it was handed over; Kafka then refuses the commit.
        self.insist(|| self.producer.commit_transaction(REQUEST_MAX))
    }

    fn write_then_commit(&mut self, batch: &Batch) -> Result<(), Trouble> {
        self.send(batch)?;
        if let Err(error) = self.consumer.commit(&offsets(batch)?, CommitMode::Sync) {
            // The outputs are there. A later commit covers these offsets, or their next owner answers them once more.
            tracing::warn!(%error, "offsets not committed");
        }
        Ok(())
    }

    /// Hands every output to librdkafka and waits until the brokers have them all.
    fn send(&mut self, batch: &Batch) -> Result<(), Trouble> {
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

    fn abort(&mut self) -> Result<(), Trouble> {
        // What is still queued or on the wire is void; its reports are served as failures.
        self.producer.purge(PurgeConfig::default().queue().inflight());
        self.runtime.block_on(drained(&self.producer, self.sent));
        let _ = self.producer.context().take_failure();
        match self.delivery {
            Delivery::ExactlyOnce => self.insist(|| self.producer.abort_transaction(REQUEST_MAX)),
            Delivery::AtLeastOnce => Ok(()),
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
                tracing::warn!(member = self.name, %error, "producer fenced");
                return Err(Trouble::Fenced);
            } else if cause.txn_requires_abort() {
                return Err(Trouble::Abort(error.to_string()));
            } else if !cause.is_retriable() {
                return Err(self.failed(error));
            }
            tracing::warn!(member = self.name, %error, attempt, "transaction call is tried again");
            std::thread::sleep(backoff(attempt));
        }
    }

    fn failed(&self, source: KafkaError) -> Trouble {
        Trouble::Failed(IngestError::Commit { member: self.name.clone(), source })
    }
}

fn offsets(batch: &Batch) -> Result<TopicPartitionList, Trouble> {
    let mut list = TopicPartitionList::new();
    for part in &batch.parts {
        let Partition { topic, number } = &part.partition;
        list.add_partition_offset(topic, *number, Offset::Offset(part.next))
            .map_err(|error| Trouble::Abort(error.to_string()))?;
    }
    Ok(list)
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

/// 20 ms, doubling to about a second, less a random share of up to a half, so that members that failed together do not
/// all come back together.
fn backoff(attempt: u32) -> Duration {
    let full = (20u64 << attempt.min(6)).min(1_000);
    let random = RandomState::new().build_hasher().finish(); // the standard library's one source of chance
    Duration::from_millis(full - random % (full / 2))
}

/// Kafka gives a transaction up that is open for longer.
const TRANSACTION_MAX_MS: &str = "10000";
