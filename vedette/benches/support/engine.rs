//! The engine under load, with everything on.

use crate::PARTITIONS;
use crate::kafka::RealKafka;
use ingest::Operator;
use ingest::checkpoint::Bucket;
use ingest::engine::{self, EngineConfig};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vedette::operator::Judge;
use vedette::pipeline::Parts;
use vedette::sinks::Decisions;

/// What is to be measured.
#[derive(Clone)]
pub struct Job<'a> {
    broker: &'a RealKafka,
    input: &'a str,
    count: u64,
    least: Duration,
    members: u8,
    decisions: Decisions,
    parts: Arc<Parts>,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Measured {
    pub per_s: f64,
    seconds: f64,
    batches: u64,
    checkpoints: u64,
}

impl<'a> Job<'a> {
    /// One member over `count` calls of `input`, for `least` or longer.
    pub fn new(broker: &'a RealKafka, input: &'a str, count: u64, least: Duration, parts: &Arc<Parts>) -> Self {
        Self { broker, input, count, least, members: 1, decisions: Decisions::None, parts: Arc::clone(parts) }
    }

    pub fn members(&self, members: u8) -> Self {
        Self { members, ..self.clone() }
    }

    pub fn decisions(&self, decisions: Decisions) -> Self {
        Self { decisions, ..self.clone() }
    }

    /// Fresh groups read the log, one after the other; time counts from the assignment to the last commit of each.
    pub async fn run(&self) -> Measured {
        let mut all = Measured::default();
        let mut calls = 0;
        while all.seconds < self.least.as_secs_f64() {
            let one = self.once().await;
            calls += self.count;
            all.seconds += one.seconds;
            all.batches += one.batches;
            all.checkpoints += one.checkpoints;
        }
        Measured { per_s: calls as f64 / all.seconds, ..all }
    }

    async fn once(&self) -> Measured {
        let folder = tempfile::TempDir::new().expect("a folder");
        let store = Bucket::open(folder.path().to_str().expect("a path of text")).expect("a store");
        let mut config = EngineConfig {
            inputs: vec![self.input.to_owned()],
            group: self.broker.unique("engine"),
            members: NonZeroU8::new(self.members).expect("a member"),
            checkpoints: Some(Arc::new(store)),
            ..EngineConfig::new(self.broker.bootstrap())
        };
        // Every partition several times in a measurement.
        config.limits.checkpoint_ms = 5_000;
        let mut progress = config.progress();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (parts, decisions) = (Arc::clone(&self.parts), self.decisions);
        let judge =
            move |_| -> Box<dyn Operator> { Box::new(Judge::new(Arc::clone(&parts)).decisions(decisions).kept()) };
        let engine = tokio::spawn(engine::run(config, judge, async { drop(stopped.await) }));
        progress.wait_for(|p| p.partitions == u32::from(PARTITIONS)).await.expect("an assignment");
        let started = Instant::now();
        let before = progress.borrow().records;
        progress.wait_for(|p| p.records >= self.count).await.expect("answers");
        let seconds = started.elapsed().as_secs_f64() * self.count as f64 / (self.count - before) as f64;
        let verdicts = progress.borrow().written(schema::topics::VERDICTS).records;
        assert_eq!(verdicts, self.count, "one verdict a call");
        drop(stop);
        let summary = engine.await.expect("a task").expect("a summary");
        Measured { per_s: 0.0, seconds, batches: summary.batches, checkpoints: summary.checkpoints }
    }
}

impl Measured {
    pub fn print(&self, name: &str, echo: f64) {
        let Self { per_s, seconds, batches, checkpoints } = self;
        let ratio = if echo > 0.0 { format!("{:.2} of the echo, ", per_s / echo) } else { String::new() };
        println!(
            "{name:<9} {per_s:>9.0} calls/s   {ratio}{seconds:.0} s, {batches} transactions, {checkpoints} checkpoints"
        );
    }
}
