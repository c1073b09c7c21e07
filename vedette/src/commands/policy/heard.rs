//! What engines know of sessions, out of `agent.standing`: all that is kept of it, then what comes. So a door that sees
//! requests only learns what the log says of their results, and a replica that starts knows what was known.

use ::policy::Standings;
use ingest::cluster::Cluster;
use ingest::read_back::Reader;
use ingest::{IngestError, Record};
use metrics::counter;
use schema::{StandingError, StandingRecord, topics};
use std::time::Duration;

/// Hears of standings for ever; what breaks off is taken up again.
pub(super) async fn listen(cluster: &Cluster, standings: &Standings) {
    loop {
        let error = until_it_breaks(cluster, standings).await;
        tracing::warn!(%error, "what engines know of sessions cannot be read: what the doors see decides alone");
        tokio::time::sleep(RETRY).await;
    }
}

async fn until_it_breaks(cluster: &Cluster, standings: &Standings) -> IngestError {
    let mut reader = match Reader::start(cluster.clone(), topics::STANDING).await {
        Ok(reader) => reader,
        Err(error) => return error,
    };
    loop {
        match reader.next().await {
            Ok(record) => hear(&record, standings),
            Err(error) => return error,
        }
    }
}

fn hear(record: &Record, standings: &Standings) {
    let why = match StandingRecord::read(&record.payload) {
        Ok(record) => {
            standings.hear(&record);
            counter!("vedette_policy_standings_heard_total").increment(1);
            return;
        }
        Err(StandingError::NewerVersion) => "newer-version",
        Err(_) => "malformed",
    };
    counter!("vedette_policy_standings_ignored_total", "why" => why).increment(1);
}

/// Between two tries to listen.
const RETRY: Duration = Duration::from_secs(10);
