//! How fast the engine is beside what Kafka and librdkafka can do, all in one run on a real broker on this machine.
//!
//! `make bench-engine` (`VEDETTE_TEST_KAFKA=host:port` uses a broker that is there). Prints a line a measurement and,
//! last, all of them as JSON. After `--`:
//!
//! - `--seconds 30`: least length of a measurement; a log that is read sooner is read again, by another group;
//! - `--calls 4000000`: length of that log;
//! - `--data DIR --set NAME`: the real calls; without them the built-in world's;
//! - `--only NAME`: one measurement of those below; `--rate 30000`: the load of `--only p99`.
//!
//! | line | what |
//! |---|---|
//! | stages | CPU time of a call in our own code, without Kafka |
//! | consumer | Kafka's own consumer performance tool |
//! | echo | consume, parse, produce a verdict-sized record, in transactions (`support/echo.rs`) |
//! | engine | ours with everything on: decode, seal, score, verdicts, standings, transaction, checkpoints |
//! | decisions | the same, and every call put to the policies |
//! | two | the same as engine, by two members of the group |
//! | results | the engine on real calls with results |
//! | growth | the engine on calls of 10,000, 100,000 and a million sessions, all of them live |
//! | idle | memory of a million sessions that wait, and the time to take them over |
//! | p99 | from the broker's taking a call in to its verdict being visible to a committed reader, at half the load |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench may stop"
)]

#[path = "../../ingest/tests/kafka/mod.rs"]
mod kafka;
mod support {
    pub mod echo;
    pub mod engine;
    pub mod idle;
    pub mod latency;
    pub mod load;
    pub mod machine;
    pub mod stages;
    pub mod yardstick;
}

use kafka::RealKafka;
use std::path::PathBuf;
use std::time::Duration;
use support::engine::{Job, Measured};
use support::{echo, idle, latency, load, machine, stages, yardstick};
use vedette::sinks::Decisions;

/// Partitions of every topic.
const PARTITIONS: u16 = 12;

fn main() {
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("nothing is measured in a test build: make bench-engine");
        return;
    }
    let number = |name, default| argument(name).map_or(default, |text| text.parse().expect("a number"));
    let (calls, least) = (number("--calls", 4_000_000), Duration::from_secs(number("--seconds", 30)));
    let only = argument("--only");
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    let started = std::time::Instant::now();
    machine::print();

    let set = load::Set::open(argument("--data").map(PathBuf::from), argument("--set"));
    let (parts, set_parts) = (load::parts(), set.parts());
    if wanted("stages") {
        stages::print("made-up calls", &parts, stages::calls(200_000, load::SESSIONS));
        // A partition's share of a million sessions, most of them on disk at any time.
        stages::print("of 80,000 sessions", &parts, stages::calls(200_000, 80_000));
        let real = set.records("", 100_000).take(100_000).map(|record| record.payload).collect();
        stages::print(set.name(), &set_parts, real);
        if only.is_some() {
            return;
        }
    }
    if only.as_deref() == Some("idle") {
        return idle::measure(&parts);
    }

    let broker = RealKafka::shared();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let topics: Vec<_> = vedette::topics::with_partitions(PARTITIONS);
    runtime.block_on(ingest::topics::create(broker.bootstrap(), &topics)).unwrap();

    let mut figures = Figures::default();
    if ["consumer", "echo", "engine", "decisions", "two", "p99"].iter().any(|name| wanted(name)) {
        let input = broker.topic("calls", PARTITIONS, &[]);
        let records = (0..calls).map(|n| load::call(&input, n));
        let sent = runtime.block_on(ingest::produce::send_all(broker.bootstrap(), records)).unwrap();
        println!("{calls} calls of {} bytes are in the log", sent.bytes / sent.records);
        let job = Job::new(broker, &input, calls, least, &parts);
        if wanted("consumer") {
            figures.consumer = yardstick::consumer_per_s(broker.bootstrap(), &input, calls);
            println!("consumer  {:>9.0} calls/s", figures.consumer);
        }
        if wanted("echo") {
            let output = broker.topic("echoed", PARTITIONS, &[]);
            figures.echo = echo::per_s(broker, &input, &output, calls, least);
            println!("echo      {:>9.0} calls/s", figures.echo);
        }
        if wanted("engine") {
            figures.engine = runtime.block_on(job.run());
            figures.engine.print("engine", figures.echo);
        }
        if wanted("two") {
            let two = runtime.block_on(job.members(2).run());
            two.print("two", figures.echo);
            figures.engine = if two.per_s > figures.engine.per_s { two } else { figures.engine };
        }
        if wanted("decisions") {
            runtime.block_on(job.decisions(Decisions::All).run()).print("decisions", figures.echo);
        }
        if wanted("p99") {
            let rate =
                if figures.engine.per_s > 0.0 { figures.engine.per_s / 2.0 } else { number("--rate", 30_000) as f64 };
            figures.p99_ms = runtime.block_on(latency::p99_ms(broker, &parts, rate as u64));
            println!("p99       {:>9.0} ms at {rate:.0} calls/s", figures.p99_ms);
        }
    }
    if wanted("growth") {
        for sessions in [10_000, 100_000, 1_000_000] {
            let input = broker.topic("growth", PARTITIONS, &[]);
            let records = (0..calls / 2).map(|n| load::call_of(&input, n, sessions));
            runtime.block_on(ingest::produce::send_all(broker.bootstrap(), records)).unwrap();
            let measured = runtime.block_on(Job::new(broker, &input, calls / 2, least / 2, &parts).members(2).run());
            measured.print(&format!("{sessions} live"), 0.0);
            figures.growth.push(measured.per_s);
        }
    }
    if wanted("idle") {
        figures.idle = idle::in_another_process();
    }
    if wanted("results") {
        let input = broker.topic("results", PARTITIONS, &[]);
        let records = set.records(&input, calls / 6);
        let count = records.clone().count() as u64;
        let sent = runtime.block_on(ingest::produce::send_all(broker.bootstrap(), records)).unwrap();
        let bytes = sent.bytes as f64 / sent.records as f64;
        println!("{count} calls of `{}`, {bytes:.0} bytes on average, are in the log", set.name());
        let job = Job::new(broker, &input, count, least, &set_parts);
        figures.results = runtime.block_on(job.members(2).run());
        figures.results_mb = figures.results.per_s * bytes / 1e6;
        figures.results.print("results", 0.0);
    }
    machine::print();
    figures.seconds = started.elapsed().as_secs_f64();
    println!("{}", figures.json());
}

#[derive(Default)]
struct Figures {
    consumer: f64,
    echo: f64,
    engine: Measured,
    results: Measured,
    results_mb: f64,
    p99_ms: f64,
    idle: idle::Idle,
    /// Calls a second by how many sessions are live.
    growth: Vec<f64>,
    seconds: f64,
}

impl Figures {
    fn json(&self) -> String {
        format!(
            r#"{{"consumer_per_s":{:.0},"echo_per_s":{:.0},"engine_per_s":{:.0},"ratio_to_echo":{:.3},"seconds":{:.0},"engine_results_per_s":{:.0},"results_mb_per_s":{:.1},"rss_bytes_1m_sessions":{},"p99_ms_half_load":{:.0},"recovery_1m_sessions_s":{:.1},"per_s_10k_100k_1m_sessions":[{}]}}"#,
            self.consumer,
            self.echo,
            self.engine.per_s,
            self.engine.per_s / self.echo,
            self.seconds,
            self.results.per_s,
            self.results_mb,
            self.idle.rss_bytes,
            self.p99_ms,
            self.idle.recovery_s,
            self.growth.iter().map(|per_s| format!("{per_s:.0}")).collect::<Vec<_>>().join(","),
        )
    }
}

fn argument(name: &str) -> Option<String> {
    let arguments: Vec<String> = std::env::args().collect();
    let at = arguments.iter().position(|argument| argument == name)?;
    Some(arguments.get(at + 1)?.clone())
}
