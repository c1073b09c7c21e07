//! Records into Kafka by those who must not wait for it: a door that answers whether Kafka is there or not.

use crate::client::{log, producer_settings};
use crate::cluster::Cluster;
use crate::{IngestError, Output};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Takes records and writes them as Kafka lets it, each once. What finds no room, and what Kafka does not take within
/// [`GIVEN_UP_MS`], is lost and counted.
pub struct Offers {
    producer: ThreadedProducer<Fates>,
    taken: AtomicU64,
}

impl Offers {
    /// A producer for that cluster. Kafka need not be there yet.
    pub fn new(cluster: impl Into<Cluster>) -> Result<Self, IngestError> {
        let cluster = cluster.into();
        let mut settings = producer_settings(&cluster);
        settings
            .set("linger.ms", "5")
            .set("delivery.timeout.ms", GIVEN_UP_MS)
            .set("queue.buffering.max.messages", QUEUE_RECORDS_MAX)
            .set("queue.buffering.max.kbytes", QUEUE_KBYTES_MAX);
        cluster.apply(&mut settings);
        let producer = settings
            .create_with_context(Fates::default())
            .map_err(|source| IngestError::Client { what: "publishing", source })?;
        Ok(Self { producer, taken: AtomicU64::new(0) })
    }

    /// Takes `record`, at once; false when there is no room for it.
    pub fn offer(&self, record: &Output) -> bool {
        let is_taken = self.producer.send(record.to_kafka()).is_ok();
        self.taken.fetch_add(u64::from(is_taken), Ordering::Relaxed);
        is_taken
    }

    /// Records that were taken and could not be written, so far.
    pub fn lost(&self) -> u64 {
        self.producer.context().lost.load(Ordering::Relaxed)
    }

    /// Waits until all that was taken is written or lost, at most so long. Says how many still are neither.
    pub fn close(self, within: Duration) -> u64 {
        let _ = self.producer.flush(within); // what is left is counted on the next line
        // The producer's own count of what is in flight has errors of brokers among it.
        self.taken.load(Ordering::Relaxed).saturating_sub(self.producer.context().settled.load(Ordering::Acquire))
    }
}

impl std::fmt::Debug for Offers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Offers({} lost)", self.lost())
    }
}

/// What became of the records that were taken.
#[derive(Default)]
struct Fates {
    /// Written or lost.
    settled: AtomicU64,
    lost: Arc<AtomicU64>,
}

impl ClientContext for Fates {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka producer error");
    }
}

impl ProducerContext for Fates {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.lost.fetch_add(u64::from(result.is_err()), Ordering::Relaxed);
        self.settled.fetch_add(1, Ordering::Release);
    }
}

/// A record that Kafka has not taken after so long is lost.
pub const GIVEN_UP_MS: &str = "60000";
/// Records and kilobytes that wait for Kafka, at most.
const QUEUE_RECORDS_MAX: &str = "200000";
const QUEUE_KBYTES_MAX: &str = "131072";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mock::MockKafka;
    use crate::read_back::Reader;
    use crate::topics::TopicSpec;

    fn record(n: u32) -> Output {
        Output { topic: "t".to_owned(), key: b"k".to_vec(), payload: n.to_string().into_bytes() }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_offered_arrives_in_order() {
        let kafka = MockKafka::start(&[TopicSpec::new("t", 1)]).unwrap();
        let offers = Offers::new(kafka.bootstrap()).unwrap();
        assert!((0..100).all(|n| offers.offer(&record(n))));
        let mut reader = Reader::start(kafka.bootstrap(), "t").await.unwrap();
        for n in 0..100 {
            assert_eq!(reader.next().await.unwrap().payload, n.to_string().into_bytes());
        }
        assert_eq!(offers.lost(), 0);
        let left = tokio::task::spawn_blocking(|| offers.close(Duration::from_secs(10))).await.unwrap();
        assert_eq!(left, 0);
    }

    #[test]
    fn without_kafka_what_finds_no_room_is_refused_at_once_and_the_rest_is_counted() {
        // Nothing listens on port 1.
        let few = Cluster::new("127.0.0.1:1").with("queue.buffering.max.messages", "10");
        let offers = Offers::new(few.with("delivery.timeout.ms", "50")).unwrap();
        let taken = (0..1_000).filter(|n| offers.offer(&record(*n))).count() as u64;
        assert!((10..1_000).contains(&taken), "{taken}");
        let lost = Arc::clone(&offers.producer.context().lost);
        assert_eq!(offers.close(Duration::from_secs(60)), 0);
        assert_eq!(lost.load(Ordering::Relaxed), taken);
    }
}
