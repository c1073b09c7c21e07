//! Settings every client of ours starts from.

use crate::IngestError;
use crate::cluster::Cluster;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;
use std::sync::{Arc, Mutex, PoisonError};
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

/// Sends librdkafka's log lines to `tracing`, and keeps the last that says why a broker cannot be spoken to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logged {
    heard: Arc<Mutex<Option<String>>>,
}

impl Logged {
    fn keep(&self, text: &str) {
        // What comes before it names one of librdkafka's threads.
        let text =
            text.split_once("]: ").filter(|(thread, _)| thread.starts_with("[thrd:")).map_or(text, |(_, text)| text);
        let text = text.chars().take(HEARD_CHARS_MAX).collect();
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }

    fn heard(&self) -> Option<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            self.keep(message);
        }
        log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        // That all brokers are down is said after why, and tells less.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.keep(reason);
        }
        tracing::warn!(%error, reason, "kafka client error");
    }
}

impl rdkafka::consumer::ConsumerContext for Logged {}

/// That nobody answered `request` of `consumer`, with what it heard of the brokers meanwhile: a client is told so only
/// when it is polled, and one that asks for metadata never is. For one that reads nothing.
pub(crate) fn unreachable(
    consumer: &BaseConsumer<Logged>,
    brokers: &str,
    request: &'static str,
) -> impl Fn(KafkaError) -> IngestError + Copy {
    move |source| {
        for _ in 0..EVENTS_MAX {
            drop(consumer.poll(Duration::ZERO)); // one event, at most
        }
        let (brokers, heard, source) = (brokers.to_owned(), consumer.context().heard(), Box::new(source));
        IngestError::Unreachable { brokers, request, heard, source }
    }
}

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
/// Events that a client looks through for what it heard.
const EVENTS_MAX: usize = 64;
/// Longest text that is kept of it.
const HEARD_CHARS_MAX: usize = 400;
/// Largest record we write: a sealed call of the largest raw one (4 MiB) with room to spare.
pub(crate) const RECORD_BYTES_MAX: &str = "8388608";
const QUEUE_RECORDS_MAX: &str = "500000";
const QUEUE_KBYTES_MAX: &str = "262144";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_broker_cannot_be_spoken_to_is_heard() {
        // A port that was free a moment ago, and that nobody listens on.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let brokers = listener.local_addr().unwrap().to_string();
        drop(listener);
        let consumer: BaseConsumer<Logged> =
            settings(&Cluster::new(&brokers)).create_with_context(Logged::default()).unwrap();
        let hears = |consumer: &BaseConsumer<Logged>| {
            drop(consumer.poll(Duration::from_millis(100)));
            consumer.context().heard().is_some()
        };
        assert!((0..600).any(|_| hears(&consumer)), "nothing is heard of a port where nobody listens");
        let source = KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure);
        let said = unreachable(&consumer, &brokers, "describe a topic")(source).to_string();
        let beginning = format!("no answer from Kafka at `{brokers}` to describe a topic; last heard: ");
        assert!(said.starts_with(&beginning) && said.contains("Connection refused"), "{said}");
        assert!(!said.contains("thrd:"), "{said}");
    }

    #[test]
    fn what_is_kept_is_bounded_and_says_more_than_that_all_are_down() {
        let logged = Logged::default();
        logged.error(KafkaError::Global(RDKafkaErrorCode::SSL), &"x".repeat(10_000));
        logged.error(KafkaError::Global(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        logged.log(RDKafkaLogLevel::Warning, "CONFWARN", "something else");
        assert_eq!(logged.heard(), Some("x".repeat(HEARD_CHARS_MAX)));
    }
}
