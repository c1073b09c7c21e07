//! How long a call waits for its verdict.

use super::load::call;
use crate::PARTITIONS;
use crate::kafka::RealKafka;
use ingest::engine::{self, EngineConfig};
use ingest::produce::send_all;
use ingest::read_back::Reader;
use ingest::{Operator, Outputs, Record};
use schema::topics;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use vedette::operator::Judge;
use vedette::pipeline::Parts;
use vedette::sinks::Decisions;

/// Length of the run.
const SECONDS: u64 = 30;
/// Calls come in gulps this far apart.
const GULP: Duration = Duration::from_millis(5);

/// Judges, and notes when the broker took each call in.
struct Timed {
    judge: Judge,
    appended: Arc<[AtomicU64]>,
}

impl Operator for Timed {
    fn apply(&mut self, record: &Record, out: &mut Outputs) {
        if let Some(appended) = number(&record.payload).and_then(|n| self.appended.get(n)) {
            appended.store(record.at.0, Ordering::Relaxed);
        }
        self.judge.apply(record, out);
    }

    fn complete(&mut self, out: &mut Outputs) {
        self.judge.complete(out);
    }
}

/// `n` of call `n`, from the record of the call or of its verdict.
fn number(payload: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(payload).ok()?;
    text.split_once(r#""id":"call-"#)?.1.get(..12)?.parse().ok()
}

/// The 99th percentile, in ms, from the broker's append time of a call to its verdict reaching a committed reader, at
/// `rate` calls a second.
pub async fn p99_ms(broker: &RealKafka, parts: &Arc<Parts>, rate: u64) -> f64 {
    let input = broker.topic("live", PARTITIONS, &[("message.timestamp.type", "LogAppendTime")]);
    let config = EngineConfig {
        inputs: vec![input.clone()],
        group: broker.unique("live"),
        members: vedette::commands::engine::members(),
        ..EngineConfig::new(broker.bootstrap())
    };
    let mut progress = config.progress();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let count = rate * SECONDS;
    let appended: Arc<[AtomicU64]> = (0..count).map(|_| AtomicU64::new(0)).collect();
    let (times, parts) = (Arc::clone(&appended), Arc::clone(parts));
    let factory = move |_| -> Box<dyn Operator> {
        let judge = Judge::new(Arc::clone(&parts)).decisions(Decisions::None);
        Box::new(Timed { judge, appended: Arc::clone(&times) })
    };
    // Of the verdicts that are there already none is waited for.
    let mut reader = Reader::from_end(broker.bootstrap(), topics::VERDICTS).await.expect("a reader");
    let engine = tokio::spawn(engine::run(config, factory, async { drop(stopped.await) }));
    progress.wait_for(|p| p.partitions > 0).await.expect("an assignment");

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
    for read in 0..count {
        let verdict = reader.next().await.expect("a verdict");
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_millis() as u64;
        let n = number(&verdict.payload).expect("a verdict of a call");
        // The first seconds start the caches of everyone.
        if read > count / 5 {
            waits.push(now.saturating_sub(appended[n].load(Ordering::Relaxed)));
        }
    }
    producer.await.expect("a producer");
    drop(stop);
    engine.await.expect("a task").expect("a summary");
    waits.sort_unstable();
    println!("          p50 {} ms, max {} ms", waits[waits.len() / 2], waits[waits.len() - 1]);
    waits[waits.len() * 99 / 100] as f64
}
