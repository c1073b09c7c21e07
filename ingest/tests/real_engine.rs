//! The engine on a real Kafka: each call answered exactly once, whatever dies.

use crate::kafka::RealKafka;
use crate::support::process::{Process, Told};
use crate::support::{Running, assert_each_answered_once, calls};
use ingest::IngestError;
use ingest::Output;
use ingest::checkpoint::{Bucket, CheckpointStore};
use ingest::engine::{EngineConfig, Limits, Membership};
use ingest::produce::send_all;
use ingest::read_back::Reader;
use ingest::topics::{self, TopicSpec};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset, TopicPartitionList};
use std::num::NonZeroU8;
use std::sync::Arc;
use tempfile::TempDir;

/// Topics, group and settings of one test.
struct Desk {
    broker: &'static RealKafka,
    calls: String,
    verdicts: String,
    config: EngineConfig,
}

impl Desk {
    async fn new(partitions: u16) -> Self {
        let broker = RealKafka::shared();
        let (calls, verdicts) = (broker.unique("calls"), broker.unique("verdicts"));
        let wanted = [&calls, &verdicts].map(|name| TopicSpec::new(name, partitions));
        topics::create(broker.bootstrap(), &wanted).await.unwrap();
        topics::create(broker.bootstrap(), &[TopicSpec::new(schema::topics::DEAD, 1)]).await.unwrap();
        let config = EngineConfig {
            inputs: vec![calls.clone()],
            group: broker.unique("group"),
            checkpoints: Some(Arc::new(Bucket::open("memory:").unwrap())),
            ..EngineConfig::new(broker.bootstrap())
        };
        Self { broker, calls, verdicts, config }
    }

    async fn send(&self, records: Vec<Output>) {
        send_all(self.broker.bootstrap(), records).await.unwrap();
    }

    fn engine(&self) -> Running {
        Running::start(self.config.clone(), &self.verdicts)
    }

    async fn assert_each_answered_once(&self, sessions: usize, calls: usize) {
        assert_each_answered_once(self.broker.bootstrap(), &self.verdicts, sessions, calls).await;
    }
}

#[tokio::test]
async fn every_good_call_is_answered_once_and_every_bad_one_is_a_dead_letter() {
    let desk = Desk::new(4).await;
    let mut records = calls(&desk.calls, 30, 100);
    for at in 0..50 {
        let bad = Output { topic: desk.calls.clone(), key: vec![], payload: format!("{{\"v\":1,{at}").into_bytes() };
        records.insert(at * 60, bad);
    }
    desk.send(records).await;
    let mut progress = desk.config.progress();
    let engine = desk.engine();
    progress.wait_for(|p| p.records == 3_050).await.unwrap();
    let summary = engine.stop().await;
    assert_eq!(summary.outputs[schema::topics::DEAD].records, 50);
    desk.assert_each_answered_once(30, 100).await;
}

#[tokio::test]
async fn state_and_answers_go_on_where_a_stopped_engine_ended() {
    let desk = Desk::new(3).await;
    let all = calls(&desk.calls, 10, 60);
    for (round, records) in all.chunks(200).enumerate() {
        desk.send(records.to_vec()).await;
        let mut progress = desk.config.progress();
        let engine = desk.engine();
        progress.wait_for(|p| p.records == 200 * (round as u64 + 1)).await.unwrap();
        let summary = engine.stop().await;
        assert_eq!(summary.replayed, 0, "a stopped engine leaves a checkpoint of its last record");
    }
    desk.assert_each_answered_once(10, 60).await;
}

#[tokio::test]
async fn members_that_come_and_go_hand_their_sessions_over() {
    let mut desk = Desk::new(6).await;
    desk.config.limits = Limits { batch_records_max: 50, ..Limits::default() };
    let other = EngineConfig { instance: "1".to_owned(), members: NonZeroU8::new(2).unwrap(), ..desk.config.clone() };
    let all = calls(&desk.calls, 40, 100);
    let (first, rest) = all.split_at(1_000);
    let mut progress = desk.config.progress();

    let one = desk.engine();
    desk.send(first.to_vec()).await;
    progress.wait_for(|p| p.records >= 500).await.unwrap();
    let two = Running::start(other, &desk.verdicts);
    desk.send(rest[..2_000].to_vec()).await;
    progress.wait_for(|p| p.records >= 2_000).await.unwrap();
    one.stop().await;
    desk.send(rest[2_000..].to_vec()).await;
    progress.wait_for(|p| p.records >= 4_000).await.unwrap();
    two.stop().await;
    assert_eq!(progress.borrow().records, 4_000);
    desk.assert_each_answered_once(40, 100).await;
}

#[tokio::test]
async fn killed_engines_lose_and_double_nothing() {
    let mut desk = Desk::new(4).await;
    let folder = TempDir::new().unwrap();
    let store = Arc::new(Bucket::open(folder.path().to_str().unwrap()).unwrap());
    desk.config.checkpoints = Some(Arc::clone(&store) as Arc<dyn CheckpointStore>);
    let all = calls(&desk.calls, 20, 500);
    let mut reader = Reader::start(desk.broker.bootstrap(), &desk.verdicts).await.unwrap();
    for (round, records) in all.chunks(2_000).enumerate() {
        let victim = Process::start(&Told {
            brokers: desk.broker.bootstrap(),
            group: &desk.config.group,
            instance: "0",
            membership: Membership::Dynamic,
            calls: &desk.calls,
            verdicts: &desk.verdicts,
            checkpoints: folder.path(),
        });
        desk.send(records.to_vec()).await;
        // Killed while it is at it: some of its answers are there, most are not.
        reader.take(if round == 0 { 100 } else { 1_500 }).await.unwrap();
        drop(victim);
    }
    let mut progress = desk.config.progress();
    let engine = desk.engine();
    reader.take(10_000 - 100 - 4 * 1_500).await.unwrap();
    progress.wait_for(|p| p.partitions == 4).await.unwrap();
    engine.stop().await;
    desk.assert_each_answered_once(20, 500).await;
}

#[tokio::test]
async fn two_engines_of_one_name_end_in_a_report_that_says_so() {
    let mut desk = Desk::new(2).await;
    desk.config.membership = Membership::Static("one".to_owned());
    let mut progress = desk.config.progress();
    let one = desk.engine();
    progress.wait_for(|p| p.partitions == 2).await.unwrap();
    let two = desk.engine();
    let error = one.failed().await;
    assert!(matches!(error, IngestError::Fenced { .. }), "{error}");
    assert!(error.to_string().contains("`instance`"), "{error}");
    two.stop().await;
}

#[tokio::test]
async fn answers_for_a_topic_that_is_not_there_are_a_report_not_a_loop() {
    let mut desk = Desk::new(1).await;
    desk.verdicts = "no-such-topic".to_owned();
    desk.send(calls(&desk.calls, 1, 3)).await;
    let error = desk.engine().failed().await;
    assert!(matches!(&error, IngestError::Refused { topic, .. } if topic == "no-such-topic"), "{error}");
}

#[tokio::test]
async fn records_deleted_before_they_were_answered_are_a_report_not_a_gap() {
    let desk = Desk::new(1).await;
    desk.send(calls(&desk.calls, 1, 10)).await;
    let mut progress = desk.config.progress();
    let engine = desk.engine();
    progress.wait_for(|p| p.records == 10).await.unwrap();
    engine.stop().await;

    desk.send(calls(&desk.calls, 1, 10)).await;
    let admin: AdminClient<DefaultClientContext> = desk.broker.client().create().unwrap();
    let mut up_to = TopicPartitionList::new();
    up_to.add_partition_offset(&desk.calls, 0, Offset::Offset(15)).unwrap();
    admin.delete_records(&up_to, &AdminOptions::new()).await.unwrap();
    let error = desk.engine().failed().await;
    assert!(matches!(error, IngestError::LogStartsLater { log_start: 15, needed: 10, .. }), "{error}");
}

#[tokio::test]
async fn a_broker_that_is_away_does_not_keep_an_engine_from_stopping() {
    let broker = RealKafka::start();
    let (calls, verdicts) = (broker.topic("calls", 1, &[]), broker.topic("verdicts", 1, &[]));
    let config = EngineConfig { inputs: vec![calls.clone()], ..EngineConfig::new(broker.bootstrap()) };
    let mut progress = config.progress();
    let engine = Running::start(config, &verdicts);
    send_all(broker.bootstrap(), crate::support::calls(&calls, 1, 10)).await.unwrap();
    progress.wait_for(|p| p.records == 10).await.unwrap();
    drop(broker);
    let summary = engine.stop().await;
    assert_eq!(summary.records, 10);
}

#[tokio::test]
async fn nor_does_one_that_was_never_there() {
    let broker = RealKafka::start();
    let (calls, verdicts) = (broker.topic("calls", 1, &[]), broker.topic("verdicts", 1, &[]));
    let config = EngineConfig { inputs: vec![calls], ..EngineConfig::new(broker.bootstrap()) };
    drop(broker);
    let summary = Running::start(config, &verdicts).stop().await;
    assert_eq!(summary.records, 0);
}
