//! The engine under load.

use super::echo;
use crate::PARTITIONS;
use crate::kafka::RealKafka;
use ingest::checkpoint::FolderStore;
use ingest::engine::{self, EngineConfig};
use ingest::{Operator, Output, Partition, Record, RestoreError};
use schema::TenantKey;
use schema::decode::{Received, native};
use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Instant;

/// What is done with each call.
#[derive(Clone, Copy)]
pub enum Work {
    /// As the echo does.
    Echo,
    /// Decoded in full and sealed.
    Seal,
}

/// Counts the calls of each session, so that there is a state to be checkpointed.
pub struct Counting {
    pub work: Work,
    pub output: String,
    pub key: TenantKey,
    pub calls: BTreeMap<Vec<u8>, u64>,
}

impl Operator for Counting {
    fn apply(&mut self, record: &Record) -> Vec<Output> {
        if let Work::Seal = self.work {
            let received = Received { at: record.at, id: String::new() };
            let raw = native::decode(&record.payload, &received).expect("a call");
            std::hint::black_box(schema::seal(&raw, &self.key));
        }
        let (key, payload) = echo::answer(&record.payload);
        match self.calls.get_mut(&key) {
            Some(count) => *count += 1,
            None => {
                self.calls.insert(key.clone(), 1);
            }
        }
        vec![Output { topic: self.output.clone(), key, payload }]
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (session, count) in &self.calls {
            bytes.extend_from_slice(session);
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        bytes
    }

    fn restore(&mut self, snapshot: &[u8]) -> Result<(), RestoreError> {
        // Session ids of this bench all have 16 bytes.
        let (entries, rest) = snapshot.as_chunks::<24>();
        if !rest.is_empty() {
            return Err(RestoreError::new("not a whole number of entries"));
        }
        let entry = |entry: &[u8; 24]| {
            let (session, count) = entry.split_last_chunk::<8>().expect("24 bytes");
            (session.to_vec(), u64::from_le_bytes(*count))
        };
        self.calls = entries.iter().map(entry).collect();
        Ok(())
    }
}

/// Runs a fresh group over `count` records; returns records a second, from the first batch to the last.
pub async fn run(broker: &RealKafka, input: &str, output: &str, work: Work, members: u8, count: u64) -> f64 {
    let folder = tempfile::TempDir::new().expect("a folder");
    let config = EngineConfig {
        inputs: vec![input.to_owned()],
        group: broker.unique("engine"),
        members: NonZeroU8::new(members).expect("a member"),
        checkpoints: Some(Arc::new(FolderStore::open(folder.path()).expect("a store"))),
        ..EngineConfig::new(broker.bootstrap())
    };
    let mut progress = config.progress();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let output = output.to_owned();
    let factory = move |_: Partition| -> Box<dyn Operator> {
        let key = TenantKey::new([7; 32]);
        Box::new(Counting { work, output: output.clone(), key, calls: BTreeMap::new() })
    };
    let engine = tokio::spawn(engine::run(config, factory, async { drop(stopped.await) }));
    progress.wait_for(|p| p.partitions == u32::from(PARTITIONS)).await.expect("an assignment");
    let started = Instant::now();
    progress.wait_for(|p| p.records >= count).await.expect("answers");
    let seconds = started.elapsed().as_secs_f64();
    drop(stop);
    let summary = engine.await.expect("a task").expect("a summary");
    println!("                 {} batches, {} checkpoints", summary.batches, summary.checkpoints);
    count as f64 / seconds
}
