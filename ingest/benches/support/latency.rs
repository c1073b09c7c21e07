//! How long a call waits for its answer.

use super::engine::{Counting, Work};
use crate::kafka::RealKafka;
use crate::{PARTITIONS, call};
use ingest::engine::{self, EngineConfig};
use ingest::produce::send_all;
use ingest::read_back::Reader;
use ingest::{Operator, Output, Partition, Record};
use schema::TenantKey;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Length of the run.
const SECONDS: u64 = 15;
/// Calls come in gulps this far apart.
const GULP: Duration = Duration::from_millis(5);

/// Answers as [`Counting`] does, with the broker's time of the call in front.
struct Timed(Counting);

impl Operator for Timed {
    fn apply(&mut self, record: &Record) -> Vec<Output> {
        let mut outputs = self.0.apply(record);
        for output in &mut outputs {
            output.payload.splice(0..0, record.at.0.to_le_bytes());
        }
        outputs
    }
}

/// The 99th percentile, in ms, from the broker's append time of a call to its answer reaching a committed reader, at
/// `rate` calls a second.
pub async fn p99_ms(broker: &RealKafka, rate: u64) -> f64 {
    let input = broker.topic("live", PARTITIONS, &[("message.timestamp.type", "LogAppendTime")]);
    let output = broker.topic("live-answers", PARTITIONS, &[]);
    let config = EngineConfig {
        inputs: vec![input.clone()],
        group: broker.unique("live"),
        ..EngineConfig::new(broker.bootstrap())
    };
    let mut progress = config.progress();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let topic = output.clone();
    let factory = move |_: Partition| -> Box<dyn Operator> {
        let (output, key) = (topic.clone(), TenantKey::new([7; 32]));
        Box::new(Timed(Counting { work: Work::Seal, output, key, calls: BTreeMap::new() }))
    };
    let engine = tokio::spawn(engine::run(config, factory, async { drop(stopped.await) }));
    progress.wait_for(|p| p.partitions > 0).await.expect("an assignment");

    let mut reader = Reader::start(broker.bootstrap(), &output).await.expect("a reader");
    let count = rate * SECONDS;
    let brokers = broker.bootstrap().to_owned();
    let live = move || {
        let per_gulp = rate * GULP.as_millis() as u64 / 1_000;
        let started = std::time::Instant::now();
        // The iterator waits where the next gulp is not due: the producer sends what it has meanwhile.
        let records = (0..count).map(|n| {
            if n % per_gulp == 0 {
                let due = GULP * u32::try_from(n / per_gulp).expect("a short run");
                std::thread::sleep(due.saturating_sub(started.elapsed()));
            }
            call(&input, n)
        });
        tokio::runtime::Handle::current().block_on(send_all(&brokers, records)).expect("calls sent");
    };
    let producer = tokio::task::spawn_blocking(live);
    let mut waits = Vec::new();
    for n in 0..count {
        let answer = reader.next().await.expect("an answer");
        let appended = u64::from_le_bytes(answer.payload[..8].try_into().expect("a time"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as u64;
        // The first seconds start the caches of everyone.
        if n > count / 5 {
            waits.push(now.saturating_sub(appended));
        }
    }
    producer.await.expect("a producer");
    drop(stop);
    engine.await.expect("a task").expect("a summary");
    waits.sort_unstable();
    println!("                 p50 {} ms, max {} ms", waits[waits.len() / 2], waits[waits.len() - 1]);
    waits[waits.len() * 99 / 100] as f64
}
