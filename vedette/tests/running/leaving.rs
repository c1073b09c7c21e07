//! An engine that is told to end while its brokers do not answer.

use super::engine::{Engine, ready};
use super::verdicts;
use crate::kafka::RealKafka;
use ingest::Output;
use ingest::produce::send_all;
use ingest::read_back::Reader;
use schema::topics;
use std::time::{Duration, Instant};

/// Kafka's clients wait for ever to leave a group whose coordinator is silent; its other members will miss us soon enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_ends_when_it_is_told_to_though_its_brokers_do_not_answer() {
    let broker = RealKafka::start();
    ingest::topics::create(broker.bootstrap(), &vedette::topics::with_partitions(2)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut engine = Engine::start(folder.path(), broker.bootstrap(), "alerts_file = \"alerts\"", ready);
    let mut judged = Reader::start(broker.bootstrap(), topics::VERDICTS).await.unwrap();
    let call = br#"{"id":"c","at":1000,"session":"s","seq":0,"tool":"t"}"#;
    assert_eq!(engine.post("", call).0, 202);
    verdicts(&mut judged, 1).await;
    let alert = Output { topic: topics::ALERTS.to_owned(), key: b"s".to_vec(), payload: br#"{"an":"alert"}"#.to_vec() };
    send_all(broker.bootstrap(), [alert]).await.unwrap();
    while !folder.path().join("alerts").metadata().is_ok_and(|file| file.len() > 0) {
        std::thread::sleep(PACE);
    }
    drop(judged);
    broker.halt();
    engine.ask_to_end();
    let asked = Instant::now();
    while engine.child.try_wait().unwrap().is_none() {
        assert!(asked.elapsed() < PATIENCE, "it goes on for ever");
        std::thread::sleep(PACE);
    }
}

/// Of asking another process.
const PACE: Duration = Duration::from_millis(50);
/// Twelve times the five seconds it is to take.
const PATIENCE: Duration = Duration::from_secs(60);
