//! The consumer's side of the group: what the group wants, noted for the driver to act on in its own time.

use super::meters::Meters;
use crate::client::log;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Statistics, TopicPartitionList};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What the group wants.
#[derive(Debug)]
pub(super) enum Change {
    /// Partitions become ours when we assign them.
    Assign(TopicPartitionList),
    /// Partitions stay ours until we unassign them.
    Revoke(TopicPartitionList),
    /// Partitions were given to others: we were silent for too long.
    Lost(TopicPartitionList),
}

/// Collects [`Change`]s. librdkafka waits with the rebalance until the driver has assigned or unassigned.
#[derive(Debug)]
pub(super) struct Group {
    /// The member's name.
    name: String,
    meters: Arc<Meters>,
    changes: Mutex<VecDeque<Change>>,
    /// The driver is gone: carry out what is left of the protocol at once.
    closing: AtomicBool,
}

impl Group {
    pub(super) fn new(name: String, meters: Arc<Meters>) -> Self {
        Self { name, meters, changes: Mutex::default(), closing: AtomicBool::new(false) }
    }

    pub(super) fn next_change(&self) -> Option<Change> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.meters.left(&self.name);
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka consumer error");
    }
    fn stats(&self, statistics: Statistics) {
        self.meters.note(&self.name, &statistics);
    }
}

impl ConsumerContext for Group {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let list = partitions.clone();
        let assigned = matches!(error, RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS);
        if self.closing.load(Ordering::SeqCst) {
            let outcome = if assigned { assign(consumer, &list) } else { unassign(consumer, &list) };
            if let Err(error) = outcome {
                tracing::debug!(%error, "rebalance while closing");
            }
            return;
        }
        let change = match assigned {
            true => Change::Assign(list),
            false if consumer.assignment_lost() => Change::Lost(list),
            false => Change::Revoke(list),
        };
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }
}

/// Takes partitions over, each from the offset in the list.
pub(super) fn assign(consumer: &BaseConsumer<Group>, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
        _ => consumer.assign(list),
    }
}

/// Gives partitions back: under the eager protocol all of them, which is what the group asked for.
pub(super) fn unassign(consumer: &BaseConsumer<Group>, list: &TopicPartitionList) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        _ => consumer.unassign(),
    }
}
