//! How fast the engine is beside what Kafka and librdkafka can do, on a real broker on this machine.
//!
//! `cargo bench -p ingest --bench engine` (after `make kafka`; `VEDETTE_TEST_KAFKA=host:port` uses a broker that is
//! there). Prints a line a measurement and, last, all of them as JSON. `-- --calls 3000000` is the default; with
//! `-- --rate 20000` only the p99 is measured, at that many calls a second.
//!
//! - *consumer*: Kafka's own consumer performance tool;
//! - *echo*: consume, parse, produce a verdict-sized record, in transactions (`support/echo.rs`);
//! - *engine*: our engine doing just that, with checkpoints on disk: what transactions, order and state cost;
//! - *engine, sealing*: every call decoded in full and sealed as well;
//! - *engine, sealing, 2 members*: the same by two members of the group in one process;
//! - *p99*: from the broker taking a call in to its answer being visible to a committed reader, at half the echo's load.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench may stop"
)]

#[path = "../tests/kafka/mod.rs"]
mod kafka;
mod support {
    pub mod echo;
    pub mod engine;
    pub mod latency;
    pub mod yardstick;
}

use kafka::RealKafka;
use support::{echo, engine, latency, yardstick};

/// Partitions of every topic.
const PARTITIONS: u16 = 12;
/// Sessions that calls are spread over.
const SESSIONS: u64 = 10_000;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing is measured in a test build: cargo bench -p ingest --bench engine");
        return;
    }
    let calls = argument("--calls").unwrap_or(3_000_000);
    let broker = RealKafka::shared();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let started = std::time::Instant::now();
    if let Some(rate) = argument("--rate") {
        println!("p99 {:.0} ms at {rate} calls/s", runtime.block_on(latency::p99_ms(broker, rate)));
        return;
    }

    let input = broker.topic("calls", PARTITIONS, &[]);
    let sent = runtime.block_on(ingest::produce::send_all(broker.bootstrap(), (0..calls).map(|n| call(&input, n))));
    let sent = sent.unwrap();
    println!(
        "{} calls of {} bytes written in {:.1} s",
        calls,
        sent.bytes / sent.records,
        started.elapsed().as_secs_f64()
    );

    let consumer = yardstick::consumer_per_s(broker.bootstrap(), &input, calls);
    println!("consumer         {consumer:>9.0} calls/s");
    let out = broker.topic("echoed", PARTITIONS, &[]);
    let echo = echo::run(&broker.client(), &input, &out, &broker.unique("echo"), calls);
    println!("echo             {echo:>9.0} calls/s");
    let out = broker.topic("answered", PARTITIONS, &[]);
    let engine_echo = runtime.block_on(engine::run(broker, &input, &out, engine::Work::Echo, 1, calls));
    println!("engine           {engine_echo:>9.0} calls/s   {:.2} of the echo", engine_echo / echo);
    let out = broker.topic("sealed", PARTITIONS, &[]);
    let engine_seal = runtime.block_on(engine::run(broker, &input, &out, engine::Work::Seal, 1, calls));
    println!("engine, sealing  {engine_seal:>9.0} calls/s   {:.2} of the echo", engine_seal / echo);
    let out = broker.topic("sealed-by-two", PARTITIONS, &[]);
    let engine_two = runtime.block_on(engine::run(broker, &input, &out, engine::Work::Seal, 2, calls));
    println!("   by 2 members  {engine_two:>9.0} calls/s   {:.2} of one", engine_two / engine_seal);
    let p99 = runtime.block_on(latency::p99_ms(broker, (engine_seal / 2.0) as u64));
    println!("p99              {p99:>9.0} ms at {:.0} calls/s", engine_seal / 2.0);
    println!(
        r#"{{"consumer_per_s":{consumer:.0},"echo_per_s":{echo:.0},"engine_per_s":{engine_echo:.0},"ratio_to_echo":{:.3},"engine_seal_per_s":{engine_seal:.0},"engine_seal_2_members_per_s":{engine_two:.0},"p99_ms_half_load":{p99:.0},"seconds":{:.0}}}"#,
        engine_echo / echo,
        started.elapsed().as_secs_f64()
    );
}

/// Call `n`: about 410 bytes of native JSON.
fn call(topic: &str, n: u64) -> ingest::Output {
    let session = n % SESSIONS;
    // Digits that differ from call to call, or lz4 would make the broker's work too light.
    let noise = n.wrapping_mul(6_364_136_223_846_793_005).rotate_left(29) ^ 0x9e37_79b9_7f4a_7c15;
    let payload = format!(
        r#"{{"v":1,"id":"call-{n:012}","at":{},"tenant":"acme","session":"session-{session:08}","seq":{},"phase":"done","agent":"travel-planner@3.2","principal":"user:{}","app":"travel","tool":"tool_{}","args":{{"hotel":"Hotel {noise:016x}","nights":{},"guest":"{:x}@example.org"}},"status":"ok","result":"booked under {noise:x}","result_bytes":{},"telemetry":{{"confidence":0.82,"intent":"book"}}}}"#,
        1_795_343_040_000 + n,
        n / SESSIONS,
        session % 977,
        noise % 41,
        noise % 14,
        noise >> 17,
        noise % 2_000,
    );
    ingest::Output {
        topic: topic.to_owned(),
        key: format!("session-{session:08}").into_bytes(),
        payload: payload.into_bytes(),
    }
}

fn argument(name: &str) -> Option<u64> {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|argument| argument == name)?;
    Some(arguments.get(at + 1)?.parse().expect("a number"))
}
