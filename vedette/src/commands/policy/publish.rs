//! Decisions and sightings into Kafka: bounded, and never waited for.
//!
//! A sighting is the call as the door saw it, under the id that the gateway's own log record of it bears: the engine
//! judges the first of the two and takes from the second how the call ended. It goes where the gateway's records go, and
//! holds what they hold.

use crate::config::Config;
use crate::failure::Failure;
use ::policy::{Chain, Record};
use ingest::Output;
use ingest::cluster::Cluster;
use ingest::offer::Offers;
use metrics::counter;
use schema::{RawCall, topics};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::mpsc;

/// What the doors tell Kafka.
pub struct Publisher {
    /// To the doors; none where no topic takes Vedette's own records.
    pub seen: Option<mpsc::Sender<Arc<RawCall>>>,
    offers: Arc<Offers>,
    sightings: Option<JoinHandle<()>>,
}

/// The decision log in Kafka: [`topics::DECISION_LOG`], chained anew by each process under a key of its own.
pub struct ToKafka {
    offers: Arc<Offers>,
    key: Vec<u8>,
    chain: Chain,
}

impl Publisher {
    /// Begins, whether Kafka is there or not; missing topics are made once it is, where that is allowed.
    ///
    /// Errors: settings that make no client.
    pub fn start(brokers: &str, config: &Config) -> Result<Self, Failure> {
        let cluster = config.kafka.cluster(Some(brokers))?;
        if config.kafka.create_topics {
            tokio::spawn(make_topics(cluster.clone()));
        }
        let offers = Arc::new(Offers::new(&cluster)?);
        let input = config.topics.iter().find(|topic| topic.format == "native").map(|topic| topic.name.clone());
        let Some(topic) = input else {
            tracing::warn!("no topic of `native` records is configured: decisions are published, sightings are not");
            return Ok(Self { seen: None, offers, sightings: None });
        };
        let (seen, mut queue) = mpsc::channel::<Arc<RawCall>>(SIGHTINGS_MAX);
        let to = Arc::clone(&offers);
        let sightings = std::thread::spawn(move || {
            while let Some(call) = queue.blocking_recv() {
                let record = Output { topic: topic.clone(), ..crate::commands::replay::record(&call) };
                if !to.offer(&record) {
                    counter!("vedette_policy_sightings_dropped_total").increment(1);
                }
            }
        });
        Ok(Self { seen: Some(seen), offers, sightings: Some(sightings) })
    }

    /// Where decisions go.
    pub fn log(&self) -> Result<ToKafka, Failure> {
        let key = format!("{:016x}", crate::key::fresh()?.name()).into_bytes();
        Ok(ToKafka { offers: Arc::clone(&self.offers), key, chain: Chain::default() })
    }

    /// Waits a while for what Kafka has not taken yet. The doors and the log are closed by then.
    pub fn close(self) {
        drop(self.seen);
        if self.sightings.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("publishing sightings broke off");
        }
        let lost = self.offers.lost();
        let left = Arc::into_inner(self.offers).map_or(0, |offers| offers.close(CLOSE_MAX));
        if lost + left > 0 {
            tracing::error!(lost, left, "records were not taken by Kafka");
        }
    }
}

impl ToKafka {
    /// What finds no room is left out of the chain, and counted.
    pub fn append(&mut self, records: &[Record]) {
        for record in records {
            let mut chain = self.chain;
            let payload = chain.append(record.clone()).into_bytes();
            let record = Output { topic: topics::DECISION_LOG.to_owned(), key: self.key.clone(), payload };
            match self.offers.offer(&record) {
                true => self.chain = chain,
                false => counter!("vedette_policy_log_dropped_total").increment(1),
            }
        }
        counter!("vedette_policy_kafka_lost_total").absolute(self.offers.lost());
    }
}

async fn make_topics(cluster: Cluster) {
    while let Err(error) = ingest::topics::create(&cluster, &crate::topics::all()).await {
        tracing::warn!(%error, "topics cannot be made yet; questions are answered all the same");
        tokio::time::sleep(RETRY).await;
    }
}

/// Between two tries to make topics.
const RETRY: Duration = Duration::from_secs(5);
/// Sightings that wait to be handed over.
const SIGHTINGS_MAX: usize = 4_096;
/// At the end Kafka gets this long to take what is left.
const CLOSE_MAX: Duration = Duration::from_secs(5);
