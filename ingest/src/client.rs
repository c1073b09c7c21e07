//! Settings every client of ours starts from.

use crate::cluster::Cluster;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use std::time::Duration;

/// A client of that cluster.
pub(crate) fn settings(cluster: &Cluster) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &cluster.brokers)
        .set("client.id", "vedette")
        .set("reconnect.backoff.max.ms", "2000");
    config.set_log_level(RDKafkaLogLevel::Warning);
    cluster.apply(&mut config);
    config
}

/// As [`settings`], for writing: equal keys to equal partitions as Kafka's own clients do, no record twice.
pub(crate) fn producer_settings(cluster: &Cluster) -> ClientConfig {
    let mut config = settings(cluster);
    config
        .set("partitioner", "murmur2_random")
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("message.max.bytes", RECORD_BYTES_MAX)
        .set("queue.buffering.max.messages", QUEUE_RECORDS_MAX)
        .set("queue.buffering.max.kbytes", QUEUE_KBYTES_MAX);
    config
}

/// Sends librdkafka's log lines to `tracing`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka client error");
    }
}

impl rdkafka::consumer::ConsumerContext for Logged {}

/// One log line of librdkafka.
pub(crate) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
            tracing::error!(facility, message, "librdkafka");
        }
        RDKafkaLogLevel::Warning => tracing::warn!(facility, message, "librdkafka"),
        _ => tracing::debug!(facility, message, "librdkafka"),
    }
}

/// Longest wait for one request to be answered.
pub(crate) const REQUEST_MAX: Duration = Duration::from_secs(30);
/// Largest record we write: a sealed call of the largest raw one (4 MiB) with room to spare.
pub(crate) const RECORD_BYTES_MAX: &str = "8388608";
const QUEUE_RECORDS_MAX: &str = "500000";
const QUEUE_KBYTES_MAX: &str = "262144";
