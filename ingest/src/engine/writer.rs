//! Writes batches: a thread of its own, so that the next batch fills while this one is on its way.

mod sender; // one producer

use super::batch::Batch;
use super::group::Group;
use super::{Answered, Delivery, EngineConfig, Meters};
use crate::{IngestError, Outputs, Partition};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerGroupMetadata};
use rdkafka::{Offset, TopicPartitionList};
use sender::Sender;
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

/// Writes for one member.
pub(super) struct Writer {
    /// They take turns, batch by batch, each batch beginning when the last one is committed. A commit is answered before
    /// the brokers have marked its records; who begins another transaction of the same name meanwhile is told to wait
    /// (`CONCURRENT_TRANSACTIONS`), for which librdkafka takes 20 ms. One of another name is not.
    senders: Vec<Sender>,
    /// Whose turn it is.
    turn: usize,
    consumer: Arc<BaseConsumer<Group>>,
    delivery: Delivery,
    meters: Arc<Meters>,
    /// Of the member.
    name: String,
    /// Batches given up in a row.
    aborts: u32,
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
        let names = match config.delivery {
            Delivery::ExactlyOnce => vec![Some(name.clone()), Some(format!("{name}{OTHER}"))],
            Delivery::AtLeastOnce => vec![None],
        };
        let senders = names.into_iter().map(|name| Sender::new(config, name)).collect::<Result<_, _>>()?;
        let (delivery, meters) = (config.delivery, Arc::clone(&config.meters));
        Ok(Self { senders, turn: 0, consumer, delivery, meters, name, aborts: 0 })
    }

    /// Writes one batch and says what became of it.
    pub(super) fn write(&mut self, job: Job) -> Outcome {
        if self.aborts > 0 {
            std::thread::sleep(backoff(self.aborts));
        }
        let started = Instant::now();
        self.turn = (self.turn + 1) % self.senders.len();
        // INVARIANT: a remainder is below what it was divided by.
        let Some(sender) = self.senders.get_mut(self.turn) else { return Outcome::Fenced };
        let written = match self.delivery {
            Delivery::ExactlyOnce => sender.transact(&job),
            Delivery::AtLeastOnce => sender.send(&job.batch).and_then(|()| commit(&self.consumer, &job.batch)),
        };
        match written {
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
                match sender.abort() {
                    Ok(()) => Outcome::Aborted(job.batch),
                    Err(Trouble::Failed(error)) => Outcome::Failed(error),
                    Err(Trouble::Fenced | Trouble::Abort(_)) => Outcome::Fenced,
                }
            }
            Err(Trouble::Fenced) => Outcome::Fenced,
            Err(Trouble::Failed(error)) => {
                let _ = sender.abort();
                Outcome::Failed(error)
            }
        }
    }
}

/// Commits the offsets of a batch whose outputs are there.
fn commit(consumer: &BaseConsumer<Group>, batch: &Batch) -> Result<(), Trouble> {
    if let Err(error) = consumer.commit(&offsets(batch)?, CommitMode::Sync) {
        // A later commit covers these offsets, or their next owner answers them once more.
        tracing::warn!(%error, "offsets not committed");
    }
    Ok(())
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

/// 20 ms, doubling to about a second, less a random share of up to a half, so that members that failed together do not
/// all come back together.
fn backoff(attempt: u32) -> Duration {
    let full = (20u64 << attempt.min(6)).min(1_000);
    let random = RandomState::new().build_hasher().finish(); // the standard library's one source of chance
    Duration::from_millis(full - random % (full / 2))
}

/// What the second producer's name ends with.
const OTHER: &str = "-b";
