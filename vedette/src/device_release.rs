//! Whether the calls that a device sent before it asks to be released from quarantine have been scored.
//!
//! A device that comes back sends what it kept while it was cut off, then asks. Its calls have been scored once the
//! engine's group has committed past everything that lay in `agent.sealed` when it asked, since verdicts, alerts and
//! offsets are committed together; and the alerts have been heard once `agent.alerts` was read to its end after that.
//! Kafka is asked while somebody waits, and not otherwise.

use crate::device_risk::Alerts;
use cert_manager::device::DeviceId;
use cert_manager::est::server::wall_clock;
use cert_manager::risk::Release;
use cert_manager::time::{Millis, Span};
use ingest::cluster::Cluster;
use ingest::follow::Follower;
use ingest::survey::{MISSING, Survey, look};
use ingest::{IngestError, Partition};
use lru::LruCache;
use schema::topics;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How long a device is kept waiting for a detector that does not come along; then it gets a short certificate.
pub const PATIENCE: Span = Span::minutes(10);
/// Devices that wait at once; beyond, the one that asked longest ago begins anew.
pub const WAITING_MAX: NonZeroUsize = match NonZeroUsize::new(100_000) {
    Some(n) => n,
    None => NonZeroUsize::MIN,
};

/// Who waits, and until when everything has been scored.
#[derive(Clone)]
pub struct Scored(Arc<Inner>);

struct Inner {
    waiting: Mutex<LruCache<String, Wait>>,
    /// Everything sent before this moment has been scored and heard of, ms.
    until_ms: AtomicU64,
    asked: Notify,
}

#[derive(Clone, Copy)]
struct Wait {
    since: Millis,
    asked: Millis,
}

impl Default for Scored {
    fn default() -> Self {
        let waiting = Mutex::new(LruCache::new(WAITING_MAX));
        Self(Arc::new(Inner { waiting, until_ms: AtomicU64::new(0), asked: Notify::new() }))
    }
}

impl Scored {
    /// Whether `device`, which asks at `now`, may be released.
    pub fn release(&self, device: &DeviceId, now: Millis) -> Release {
        let mut waiting = self.waiting();
        let held = waiting.get(device.as_str()).filter(|wait| now.since(wait.asked) < PATIENCE);
        let wait = Wait { since: held.map_or(now, |wait| wait.since), asked: now };
        // Not the very moment: what was sent in it may have come later.
        let scored = self.0.until_ms.load(Ordering::Acquire) > wait.since.0;
        if scored || now.since(wait.since) >= PATIENCE {
            waiting.pop(device.as_str());
            return if scored { Release::Now } else { Release::Unscored };
        }
        waiting.put(device.to_string(), wait);
        self.0.asked.notify_one();
        Release::Later(ASK_AGAIN)
    }

    /// Watches `group` while somebody waits, for ever. What the new calls raised is told to `alerts`.
    pub async fn follow(self, cluster: Cluster, group: String, alerts: Alerts) {
        let mut heard = None;
        loop {
            self.0.asked.notified().await;
            while self.somebody_waits(wall_clock()) {
                match self.look(&cluster, &group, &alerts, &mut heard).await {
                    Ok(()) => {}
                    Err(error) => {
                        tracing::warn!(%error, "devices in quarantine wait: Kafka does not say what is scored")
                    }
                }
                // Kafka tells nobody when a group commits.
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }

    async fn look(
        &self,
        cluster: &Cluster,
        group: &str,
        alerts: &Alerts,
        heard: &mut Option<Follower>,
    ) -> Result<(), IngestError> {
        let at = wall_clock();
        if !all_scored(&look(cluster, group, &[topics::SEALED.to_owned()]).await?) {
            return Ok(());
        }
        let (of, mut follower) = (cluster.clone(), heard.take());
        let read = tokio::task::spawn_blocking(move || {
            if follower.is_none() {
                follower = Follower::open(&of, topics::ALERTS)?;
            }
            let records = follower.as_mut().map(|follower| follower.catch_up(CATCH_UP_MAX)).transpose()?;
            Ok::<_, IngestError>((follower, records.unwrap_or_default()))
        });
        let (follower, records) = read.await.unwrap_or(Err(IngestError::Ended { what: "read the alerts" }))?;
        records.iter().for_each(|record| alerts.hear(record));
        *heard = follower;
        self.0.until_ms.fetch_max(at.0, Ordering::AcqRel);
        Ok(())
    }

    fn somebody_waits(&self, now: Millis) -> bool {
        let until = self.0.until_ms.load(Ordering::Acquire);
        self.waiting().iter().any(|(_, wait)| wait.since.0 >= until && now.since(wait.asked) < PATIENCE)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, LruCache<String, Wait>> {
        // Entries are replaced as a whole, so those left by a thread that panicked are still whole.
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the group has committed past everything that lies in the topic. Where there is no such topic, no device has
/// sent anything; where it cannot be looked at, nobody knows.
fn all_scored(survey: &Survey) -> bool {
    let facts = match survey.topics.get(topics::SEALED) {
        Some(Ok(facts)) => facts,
        Some(Err(why)) => return why == MISSING,
        None => return false,
    };
    let Ok(committed) = &survey.committed else { return false };
    facts.offsets.iter().all(|(number, (first, next))| {
        let past = committed.get(&Partition::new(topics::SEALED, *number));
        first == next || past.is_some_and(|past| past >= next)
    })
}

/// How long a device is told to wait before it asks again.
const ASK_AGAIN: Span = Span::seconds(5);
/// How often Kafka is asked while somebody waits.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long reading the alerts to their end may take.
const CATCH_UP_MAX: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;
    use cert_manager::risk::{Risk, RiskSource as _};
    use ingest::mock::MockKafka;
    use ingest::survey::TopicFacts;

    const NOW: Millis = Millis(1_795_343_040_062);

    fn device(name: &str) -> DeviceId {
        name.parse().unwrap()
    }

    #[test]
    fn a_device_waits_until_what_it_sent_is_scored_and_no_longer_than_it_should() {
        let scored = Scored::default();
        let at = |seconds| NOW + Span::seconds(seconds);
        assert_eq!(scored.release(&device("dev-1"), at(0)), Release::Later(ASK_AGAIN));
        scored.0.until_ms.store(at(0).0, Ordering::Release);
        assert_eq!(scored.release(&device("dev-1"), at(5)), Release::Later(ASK_AGAIN), "the very moment is not past");
        scored.0.until_ms.store(at(4).0, Ordering::Release);
        assert_eq!(scored.release(&device("dev-2"), at(6)), Release::Later(ASK_AGAIN), "each from when it asked");
        assert_eq!(scored.release(&device("dev-1"), at(10)), Release::Now);
        for seconds in (11..606).step_by(5) {
            assert_eq!(scored.release(&device("dev-2"), at(seconds)), Release::Later(ASK_AGAIN), "{seconds}");
        }
        assert_eq!(scored.release(&device("dev-2"), at(606)), Release::Unscored, "the detector is away");
        // Months later it is another return.
        assert_eq!(scored.release(&device("dev-3"), at(700)), Release::Later(ASK_AGAIN));
        scored.0.until_ms.store(at(800).0, Ordering::Release);
        assert_eq!(
            scored.release(&device("dev-3"), at(7_000_000)),
            Release::Later(ASK_AGAIN),
            "not by an old question"
        );
    }

    #[test]
    fn all_is_scored_when_the_group_is_past_the_end_of_every_partition() {
        let survey = |offsets: &[(i64, i64)], committed: &[Option<i64>]| {
            let facts = TopicFacts {
                offsets: offsets.iter().enumerate().map(|(n, marks)| (n as i32, *marks)).collect(),
                ..TopicFacts::default()
            };
            let committed = committed.iter().enumerate();
            let committed =
                committed.filter_map(|(n, past)| past.map(|past| (Partition::new(topics::SEALED, n as i32), past)));
            Survey { topics: [(topics::SEALED.to_owned(), Ok(facts))].into(), committed: Ok(committed.collect()) }
        };
        assert!(all_scored(&survey(&[(0, 0), (7, 7)], &[None, None])), "nothing lies there");
        assert!(all_scored(&survey(&[(0, 3), (0, 0)], &[Some(3), None])));
        assert!(!all_scored(&survey(&[(0, 3), (0, 1)], &[Some(3), None])));
        assert!(!all_scored(&survey(&[(0, 3)], &[Some(2)])));
        let mut unknown = survey(&[(0, 3)], &[Some(3)]);
        unknown.committed = Err("not authorised".to_owned());
        assert!(!all_scored(&unknown));
        let topic = |why: &str| Survey {
            topics: [(topics::SEALED.to_owned(), Err(why.to_owned()))].into(),
            ..Survey::default()
        };
        assert!(
            all_scored(&topic(MISSING)) && !all_scored(&topic("not authorised")) && !all_scored(&Survey::default())
        );
    }

    #[tokio::test]
    async fn a_device_is_released_once_nothing_is_left_to_score_and_what_was_found_is_known() {
        let kafka = MockKafka::start(&crate::topics::with_partitions(1)).unwrap();
        let (alerts, scored) = (Alerts::default(), Scored::default());
        let payload = serde_json::json!({ "severity_id": 4, "device": { "uid": "dev-1" } }).to_string().into_bytes();
        let alert = ingest::Output { topic: topics::ALERTS.to_owned(), key: b"s".to_vec(), payload };
        ingest::produce::send_all(kafka.bootstrap(), [alert]).await.unwrap();
        let following = tokio::spawn(alerts.clone().listen(kafka.bootstrap().into()));
        let looking = tokio::spawn(scored.clone().follow(kafka.bootstrap().into(), "g".to_owned(), alerts.clone()));
        // No call waits to be scored.
        while scored.release(&device("dev-1"), wall_clock()) != Release::Now {
            tokio::task::yield_now().await;
        }
        while alerts.risk(&device("dev-1")) == Risk::Away {
            tokio::task::yield_now().await;
        }
        assert_eq!(alerts.risk(&device("dev-1")), Risk::Red);
        // One does, and nobody has scored it: the device waits, however often it asks.
        let call = ingest::Output { topic: topics::SEALED.to_owned(), key: b"s".to_vec(), payload: b"{}".to_vec() };
        ingest::produce::send_all(kafka.bootstrap(), [call]).await.unwrap();
        let survey = look(&kafka.bootstrap().into(), "g", &[topics::SEALED.to_owned()]).await.unwrap();
        assert!(!all_scored(&survey), "{survey:?}");
        following.abort();
        looking.abort();
    }
}
