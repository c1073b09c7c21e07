//! The engine on the Kafka inside the process: what `vedette up` relies on.

use crate::support::{Running, assert_each_answered_once, call, calls};
use ingest::Output;
use ingest::engine::{Delivery, EngineConfig};
use ingest::mock::MockKafka;
use ingest::produce::{Pace, send_all, send_paced};
use ingest::read_back::Reader;
use schema::{DeadLetter, DeadReason, topics};
use std::collections::BTreeMap;

fn on(kafka: &MockKafka) -> EngineConfig {
    EngineConfig { delivery: Delivery::AtLeastOnce, ..EngineConfig::new(kafka.bootstrap()) }
}

#[tokio::test]
async fn every_call_is_answered_in_its_order() {
    let kafka = MockKafka::start(&crate::support::topics(4)).unwrap();
    send_all(kafka.bootstrap(), calls(topics::CALLS, 20, 50)).await.unwrap();
    let config = on(&kafka);
    let mut progress = config.progress();
    let engine = Running::start(config, topics::VERDICTS);
    progress.wait_for(|p| p.records == 1_000).await.unwrap();
    let summary = engine.stop().await;
    assert_eq!((summary.records, summary.outputs[topics::VERDICTS].records), (1_000, 1_000));
    assert_each_answered_once(kafka.bootstrap(), topics::VERDICTS, 20, 50).await;
}

#[tokio::test]
async fn what_cannot_be_read_goes_to_the_dead_letters_with_its_reason() {
    let kafka = MockKafka::start(&crate::support::topics(2)).unwrap();
    let bad = |payload: &[u8]| Output { payload: payload.to_vec(), ..call(topics::CALLS, "s-0", 0) };
    let records = vec![
        call(topics::CALLS, "s-0", 0),
        bad(b"{\"v\":1,\"at\":0,\"tool\":\"swordfish"),
        bad(b"{\"v\":1,\"at\":\"swordfish\",\"session\":\"s-0\",\"tool\":\"t\"}"),
        bad(b"{\"v\":1,\"at\":0,\"session\":\"s-0\"}"),
        bad(b"{\"v\":200,\"at\":0,\"session\":\"s-0\",\"tool\":\"t\"}"),
        call(topics::CALLS, "s-0", 1),
    ];
    send_all(kafka.bootstrap(), records).await.unwrap();
    let engine = Running::start(on(&kafka), topics::VERDICTS);
    let letters = Reader::start(kafka.bootstrap(), topics::DEAD).await.unwrap().take(4).await.unwrap();
    assert_each_answered_once(kafka.bootstrap(), topics::VERDICTS, 1, 2).await;
    assert_eq!(engine.stop().await.outputs[topics::DEAD].records, 4);

    let mut reasons = BTreeMap::new();
    for letter in letters {
        assert!(!String::from_utf8_lossy(&letter.payload).contains("swordfish"));
        let letter: DeadLetter = serde_json::from_slice(&letter.payload).unwrap();
        reasons.insert(letter.offset, letter.reason);
    }
    let expected = [DeadReason::Malformed, DeadReason::WrongType, DeadReason::Missing, DeadReason::NewerVersion];
    assert_eq!(reasons.into_values().collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_replay_of_more_than_the_mock_keeps_loses_nothing() {
    let kafka = MockKafka::start(&crate::support::topics(1)).unwrap();
    let mut verdicts = Reader::start(kafka.bootstrap(), topics::VERDICTS).await.unwrap();
    let config = on(&kafka);
    let mut progress = config.progress();
    let pace = Pace::new(config.progress()).and_reader(&verdicts);
    let engine = Running::start(config, topics::VERDICTS);
    // 12 MB that do not compress, into one partition that keeps 5.
    let mut noise = 1u64;
    let records = (0..6_000).map(move |seq| {
        let mut text = String::new();
        while text.len() < 2_000 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(&format!("{noise:016x}"));
        }
        let plain = call(topics::CALLS, "s-0", seq);
        let payload = String::from_utf8(plain.payload).unwrap().replace(r#""q":""#, &format!(r#""q":"{text}"#));
        Output { payload: payload.into_bytes(), ..plain }
    });
    let brokers = kafka.bootstrap().to_owned();
    let replay = tokio::spawn(async move { send_paced(&brokers, records, pace).await.unwrap() });
    let answers = verdicts.take(6_000).await.unwrap();
    assert!(answers.last().unwrap().payload.starts_with(b"s-0 6000 "));
    let sent = replay.await.unwrap();
    assert!(sent.bytes > 12_000_000, "{sent:?}");
    progress.wait_for(|p| p.records == sent.records).await.unwrap();
    assert_eq!(engine.stop().await.bytes, sent.bytes);
}

#[tokio::test]
async fn an_engine_that_stops_and_starts_again_goes_on_where_it_ended() {
    let kafka = MockKafka::start(&crate::support::topics(3)).unwrap();
    let mut total = 0;
    for round in 0..3 {
        let seqs = round * 10..(round + 1) * 10;
        let records: Vec<Output> =
            seqs.flat_map(|seq| (0..6).map(move |s| call(topics::CALLS, &format!("s-{s}"), seq))).collect();
        let config = on(&kafka);
        let mut progress = config.progress();
        let engine = Running::start(config, topics::VERDICTS);
        send_all(kafka.bootstrap(), records).await.unwrap();
        progress.wait_for(|p| p.records >= 60).await.unwrap();
        total += engine.stop().await.records;
    }
    assert_eq!(total, 180);
}

#[tokio::test]
async fn an_engine_with_nothing_to_do_stops_when_told() {
    let kafka = MockKafka::start(&crate::support::topics(2)).unwrap();
    let config = on(&kafka);
    let mut progress = config.progress();
    let engine = Running::start(config, topics::VERDICTS);
    progress.wait_for(|p| p.partitions == 2).await.unwrap();
    assert_eq!(engine.stop().await.records, 0);
    assert_eq!(progress.borrow_and_update().partitions, 0);
}
