//! What the detector says of each device, for the authority: the alerts that name it, read from `agent.alerts`.
//!
//! A high alert within [`MEMORY_MS`] makes a device red, any other amber, none green. While the topic cannot be read
//! nobody can say, and certificates are short. Counted from when an alert was written, not from when the call was
//! made: a device that was cut off sends calls of months ago.

use crate::device_release::Scored;
use cert_manager::device::DeviceId;
use cert_manager::est::server::wall_clock;
use cert_manager::risk::Release;
use cert_manager::risk::{Risk, RiskSource};
use cert_manager::time::Millis;
use ingest::Record;
use ingest::cluster::Cluster;
use ingest::read_back::Reader;
use lru::LruCache;
use schema::topics;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long an alert bears on a device: seven days, the life of a short certificate.
pub const MEMORY_MS: u64 = 7 * 86_400_000;
/// Devices with an alert that are remembered; the least recently alarming goes first.
pub const DEVICES_MAX: NonZeroUsize = match NonZeroUsize::new(1_000_000) {
    Some(n) => n,
    None => NonZeroUsize::MIN,
};

/// The alerts heard so far.
#[derive(Clone)]
pub struct Alerts {
    heard: Arc<Mutex<LruCache<String, Vec<Alert>>>>,
    listening: Arc<AtomicBool>,
    /// What has been scored of devices that wait to be released.
    pub scored: Scored,
}

#[derive(Clone, Copy)]
struct Alert {
    at_ms: u64,
    high: bool,
}

/// The members of an OCSF Detection Finding that matter here.
#[derive(serde::Deserialize)]
struct Finding {
    severity_id: u8,
    device: Named,
}

#[derive(serde::Deserialize)]
struct Named {
    uid: Option<String>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            heard: Arc::new(Mutex::new(LruCache::new(DEVICES_MAX))),
            listening: Arc::default(),
            scored: Scored::default(),
        }
    }
}

impl Alerts {
    /// Listens to Kafka for ever; what breaks off is taken up again.
    pub async fn listen(self, cluster: Cluster) {
        loop {
            let ended = self.until_it_breaks(&cluster).await;
            self.listening.store(false, Ordering::Release);
            tracing::warn!(error = %ended, "alerts cannot be read; certificates are short until they can");
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn until_it_breaks(&self, cluster: &Cluster) -> ingest::IngestError {
        let mut reader = match Reader::start(cluster, topics::ALERTS).await {
            Ok(reader) => reader,
            Err(error) => return error,
        };
        self.listening.store(true, Ordering::Release);
        loop {
            match reader.next().await {
                Ok(record) => self.hear(&record),
                Err(error) => return error,
            }
        }
    }

    /// Takes one record of the topic. One that names no device bears on none.
    pub fn hear(&self, record: &Record) {
        let Ok(finding) = serde_json::from_slice::<Finding>(&record.payload) else { return };
        let Some(device) = finding.device.uid else { return };
        let alert = Alert { at_ms: record.at.0, high: finding.severity_id >= HIGH };
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let alerts = heard.get_or_insert_mut(device, Vec::new);
        // The newest of each severity says all that is asked.
        alerts.retain(|held| held.high != alert.high || held.at_ms > alert.at_ms);
        if alerts.iter().all(|held| held.high != alert.high) {
            alerts.push(alert);
        }
    }

    fn at(&self, device: &str, now_ms: u64) -> Risk {
        if !self.listening.load(Ordering::Acquire) {
            return Risk::Away;
        }
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let alerts = heard.get(device).map(Vec::as_slice).unwrap_or_default();
        let mut recent = alerts.iter().filter(|alert| now_ms.saturating_sub(alert.at_ms) < MEMORY_MS).peekable();
        match (recent.peek().is_some(), recent.any(|alert| alert.high)) {
            (_, true) => Risk::Red,
            (true, false) => Risk::Amber,
            (false, false) => Risk::Green,
        }
    }
}

impl RiskSource for Alerts {
    fn risk(&self, device: &DeviceId) -> Risk {
        self.at(device.as_str(), wall_clock().0)
    }

    fn release(&self, device: &DeviceId, now: Millis) -> Release {
        // While alerts cannot be read, no certificate is full anyway.
        if self.listening.load(Ordering::Acquire) { self.scored.release(device, now) } else { Release::Now }
    }
}

/// OCSF's `severity_id` for High.
const HIGH: u8 = 4;
/// How long to wait before a topic that broke off is read again.
const RETRY: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use ingest::mock::MockKafka;

    const DAY_MS: u64 = 86_400_000;
    const NOW_MS: u64 = 1_795_343_040_062;

    fn alert(device: &str, severity: u8, days_ago: u64) -> Record {
        let payload = serde_json::json!({ "severity_id": severity, "device": { "uid": device, "type_id": 0 } });
        Record {
            topic: topics::ALERTS.into(),
            partition: 0,
            offset: 0,
            at: schema::Millis(NOW_MS - days_ago * DAY_MS),
            key: None,
            payload: payload.to_string().into_bytes(),
        }
    }

    fn heard(records: &[Record]) -> Alerts {
        let alerts = Alerts::default();
        alerts.listening.store(true, Ordering::Release);
        records.iter().for_each(|record| alerts.hear(record));
        alerts
    }

    #[test]
    fn the_worst_alert_of_the_last_week_decides_and_older_ones_are_over() {
        for (records, risk) in [
            (&[][..], Risk::Green),
            (&[alert("other", 4, 1)], Risk::Green),
            (&[alert("dev-9", 3, 1)], Risk::Amber),
            (&[alert("dev-9", 4, 1)], Risk::Red),
            (&[alert("dev-9", 4, 6), alert("dev-9", 3, 1)], Risk::Red),
            (&[alert("dev-9", 4, 7), alert("dev-9", 3, 1)], Risk::Amber),
            (&[alert("dev-9", 4, 8), alert("dev-9", 4, 9)], Risk::Green),
        ] {
            assert_eq!(heard(records).at("dev-9", NOW_MS), risk);
        }
    }

    #[test]
    fn while_nobody_listens_nobody_can_say() {
        assert_eq!(Alerts::default().at("dev-9", NOW_MS), Risk::Away);
    }

    #[test]
    fn what_is_no_finding_bears_on_nobody() {
        let mut bad = alert("dev-9", 4, 0);
        for payload in ["", "{}", "{\"severity_id\":4,\"device\":{\"uid\":null}}", "[1]"] {
            bad.payload = payload.as_bytes().to_vec();
            assert_eq!(heard(std::slice::from_ref(&bad)).at("dev-9", NOW_MS), Risk::Green, "{payload}");
        }
    }

    #[tokio::test]
    async fn alerts_are_heard_from_kafka() {
        let kafka = MockKafka::start(&crate::topics::with_partitions(1)).unwrap();
        let mut output = ingest::Output { topic: topics::ALERTS.to_owned(), key: b"s".to_vec(), payload: Vec::new() };
        output.payload = alert("dev-9", 4, 0).payload;
        ingest::produce::send_all(kafka.bootstrap(), [output]).await.unwrap();
        let alerts = Alerts::default();
        let following = tokio::spawn(alerts.clone().listen(kafka.bootstrap().into()));
        let device = "dev-9".parse().unwrap();
        while alerts.risk(&device) != Risk::Red {
            tokio::task::yield_now().await;
        }
        following.abort();
    }
}
