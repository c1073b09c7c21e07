//! `vedette engine` as it runs: its door, its models, its names, and what `vedette doctor` says of it, on a real Kafka.

mod backtest;
mod device;
mod doctor;
mod door;
mod engine;
mod fit;
mod leaving;
mod models;
mod names;
#[cfg(feature = "kafka-tls")]
mod secure;
mod turns;

use ingest::read_back::Reader;
use schema::Verdict;

/// The next `count` verdicts, by the ids of their calls.
pub async fn verdicts(reader: &mut Reader, count: u64) -> Vec<Verdict> {
    let records = reader.take(count).await.unwrap();
    records.iter().map(|record| serde_json::from_slice(&record.payload).unwrap()).collect()
}
