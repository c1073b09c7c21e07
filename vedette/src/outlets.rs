//! Alerts for those who do not read Kafka: lines of a file, requests to a webhook, spans of the callers' traces.
//!
//! Each outlet reads `agent.alerts` in a consumer group of its own, beside the engine and never in its way. What waits is in
//! Kafka; an alert goes out at least once, and again until it is taken: `finding_info.uid` names the incident, and
//! `Idempotency-Key` the very record.

#[cfg(any(feature = "otlp", test))] // so that every run of the tests holds it, whatever is built
pub(crate) mod collector; // of spans
mod file;
mod receiver; // whom requests go to
#[cfg(any(feature = "otlp", test))]
mod traces;
mod webhook;

#[cfg(any(feature = "otlp", test))]
pub use collector::Collector;
pub use receiver::AddressError;
pub use webhook::Webhook;

use ingest::Record;
use ingest::cluster::Cluster;
use ingest::feed::Feed;
use schema::topics;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where alerts go.
pub enum Outlet {
    /// One a line.
    File(PathBuf),
    /// One a request.
    Webhook(Box<Webhook>),
    /// One a span.
    #[cfg(any(feature = "otlp", test))]
    Traces(Box<Collector>),
}

/// What became of the alerts of one outlet.
#[derive(Debug, Default)]
pub struct Meters {
    /// Taken.
    pub delivered: AtomicU64,
    /// Tried again.
    pub retried: AtomicU64,
    /// Refused for good by the receiver, and passed over.
    pub refused: AtomicU64,
}

/// How one attempt ended.
pub(crate) enum Attempt {
    Done,
    /// To be tried again, not before the time, where the receiver names one.
    Again(String, Option<Duration>),
    Refused(String),
}

impl Outlet {
    /// Its name, in groups and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Webhook(_) => "webhook",
            #[cfg(any(feature = "otlp", test))]
            Self::Traces(_) => "traces",
        }
    }

    /// Delivers for as long as the process lives.
    pub async fn run(self, cluster: Cluster, group: String, meters: Arc<Meters>) {
        let group = format!("{group}-alerts-{}", self.name());
        let feed = loop {
            match Feed::open(&cluster, &group, topics::ALERTS) {
                Ok(feed) => break feed,
                Err(error) => tracing::warn!(%error, outlet = self.name(), "alerts are delivered later"),
            }
            tokio::time::sleep(PAUSE_MAX).await;
        };
        loop {
            match feed.next().await {
                Ok(record) => {
                    self.deliver(&record, &meters).await;
                    feed.done(&record);
                }
                // Brokers that are away come back, and the reader finds its place again by itself.
                Err(error) => {
                    tracing::warn!(%error, outlet = self.name(), "alerts are delivered later");
                    tokio::time::sleep(PAUSE_MIN).await;
                }
            }
        }
    }

    /// Returns once the alert is taken, or refused for good.
    async fn deliver(&self, record: &Record, meters: &Meters) {
        let mut tries = 0;
        loop {
            let attempt = match self {
                Self::File(path) => file::append(path, &record.payload).await,
                Self::Webhook(webhook) => webhook.post(record).await,
                #[cfg(any(feature = "otlp", test))]
                Self::Traces(collector) => traces::send(collector, record).await,
            };
            match attempt {
                Attempt::Done => {
                    meters.delivered.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Attempt::Refused(why) => {
                    meters.refused.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(
                        outlet = self.name(),
                        record = record.id(),
                        why,
                        "an alert is refused and passed over"
                    );
                    return;
                }
                Attempt::Again(why, wait) => {
                    meters.retried.fetch_add(1, Ordering::Relaxed);
                    let wait = wait.unwrap_or_else(|| pause(tries)).min(WAIT_MAX);
                    tracing::warn!(
                        outlet = self.name(),
                        record = record.id(),
                        why,
                        ?wait,
                        "an alert is delivered later"
                    );
                    tokio::time::sleep(wait).await;
                    tries += 1;
                }
            }
        }
    }
}

/// Half a second, doubling to half a minute.
pub(crate) fn pause(tries: u32) -> Duration {
    (PAUSE_MIN * 2_u32.pow(tries.min(10))).min(PAUSE_MAX)
}

/// Whether alerts can be written there at all: said at the start, not with the first alert.
pub fn writable(path: &Path) -> std::io::Result<()> {
    std::fs::File::options().create(true).append(true).open(path).map(drop)
}

const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Longest `Retry-After` that is obeyed.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(600);

#[cfg(test)]
pub(crate) mod tests;
