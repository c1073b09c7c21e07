//! What became of the records a producer was given.

use crate::client::log;
use rdkafka::Message;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::types::RDKafkaErrorCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// Counts delivery reports and wakes the one who waits for a number of them.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    /// Reports so far, good or bad.
    served: AtomicU64,
    /// Count at which `reached` is to be notified.
    target: AtomicU64,
    at_target: Notify,
    failure: Mutex<Option<Failure>>,
}

/// The first record that could not be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) topic: String,
    pub(crate) code: RDKafkaErrorCode,
}

impl Deliveries {
    pub(crate) fn served(&self) -> u64 {
        self.served.load(Ordering::SeqCst)
    }

    /// Returns once `count` reports have been served. One waiter at a time.
    pub(crate) async fn reached(&self, count: u64) {
        self.target.store(count, Ordering::SeqCst);
        // The order matters: target first, then the look at the count; `delivery` does the reverse.
        while self.served() < count {
            self.at_target.notified().await;
        }
    }

    /// Takes the first failure since the last call.
    pub(crate) fn take_failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka producer error");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
            let mut failure = self.failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            failure.get_or_insert_with(|| Failure { topic: message.topic().to_owned(), code });
        }
        let served = self.served.fetch_add(1, Ordering::SeqCst) + 1;
        if served == self.target.load(Ordering::SeqCst) {
            self.at_target.notify_one();
        }
    }
}

/// Returns once librdkafka holds no record of `producer` any more, given that all `sent` were reported.
///
/// A report is served a moment before its record is let go. `flush` and `commit_transaction` of rust-rdkafka 0.39 wait
/// up to 100 ms in `poll` when they find a record still held, so they must find none.
pub(crate) async fn drained(producer: &ThreadedProducer<Deliveries>, sent: u64) {
    producer.context().reached(sent).await;
    while producer.in_flight_count() > 0 {
        std::thread::yield_now();
    }
}
