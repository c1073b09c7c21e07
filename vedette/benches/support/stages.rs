//! Where a call's time goes in our own code: stage on stage, one thread, no Kafka, in CPU time (so that what else runs
//! on the machine disturbs little).

use super::load;
use ingest::{Operator as _, Outputs, Record};
use schema::decode::{Received, native};
use schema::{Millis, topics};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use vedette::operator::Judge;
use vedette::pipeline::{Parts, Pipeline};
use vedette::sinks::Decisions;

/// Prints µs a call of each stage, over `records` after a first round that starts the sessions.
pub fn print(name: &str, parts: &Arc<Parts>, records: Vec<Vec<u8>>) {
    let received = Received { at: Millis(1_900_000_000_000), id: "x".into() };
    let count = records.len();
    let decode = cpu_us(count, || {
        for record in &records {
            let _ = black_box(native::decode(record, &received));
        }
    });
    let mut pipeline = Pipeline::new(Arc::clone(parts));
    let judge = cpu_us(count, || {
        for record in &records {
            black_box(native::decode(record, &received).map(|call| pipeline.judge(&call)).ok());
        }
    });
    let topic: Arc<str> = topics::CALLS.into();
    let kafka: Vec<Record> = (0..)
        .zip(records)
        .map(|(offset, payload)| Record {
            topic: Arc::clone(&topic),
            partition: 0,
            offset,
            at: received.at,
            key: None,
            payload,
        })
        .collect();
    let mut operator = Judge::new(Arc::clone(parts)).decisions(Decisions::None).kept();
    let mut out = Outputs::default();
    let apply = cpu_us(count, || {
        for batch in kafka.chunks(BATCH) {
            for record in batch {
                operator.apply(record, &mut out);
            }
            operator.complete(&mut out);
            black_box(&mut out).clear();
        }
    });
    println!(
        "stages    {name}: decode {decode:.2}, seal and judge {:.2}, write {:.2}, together {apply:.2} µs of CPU a call",
        judge - decode,
        apply - judge
    );
}

/// Made-up calls of `sessions` sessions as payloads.
pub fn calls(count: u64, sessions: u64) -> Vec<Vec<u8>> {
    (0..count).map(|n| load::call_of("", n, sessions).payload).collect()
}

fn cpu_us(count: usize, work: impl FnOnce()) -> f64 {
    let (began, started) = (cpu_ns(), Instant::now());
    work();
    let ns = match (began, cpu_ns()) {
        (Some(began), Some(ended)) => ended - began,
        _ => started.elapsed().as_nanos() as f64,
    };
    ns / count as f64 / 1e3
}

/// CPU time of this thread, where the system tells.
fn cpu_ns() -> Option<f64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

/// Calls between standings.
const BATCH: usize = 20_000;
