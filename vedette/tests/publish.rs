//! `vedette policy --brokers`: what Kafka is told of each question, and that nobody waits for it.

use detector::Detector;
use ingest::mock::MockKafka;
use ingest::read_back::Reader;
use policy::Chain;
use policy::server::{AppState, Judged, Question};
use schema::decode::{Received, native};
use schema::{Millis, Phase, RawCall, topics};
use std::sync::Arc;
use vedette::commands::policy::{Log, Publisher};
use vedette::config::Config;
use vedette::pipeline::Pipeline;

fn call(id: &str, tool: &str) -> RawCall {
    let json = format!(
        r#"{{"id":"{id}","session":"s-1","principal":"user:1","tool":"{tool}","phase":"request","at":1795343040062}}"#
    );
    native::decode(json.as_bytes(), &Received { at: Millis(1_795_343_040_062), id: "none".to_owned() }).unwrap()
}

fn state(config: &Config) -> AppState {
    let parts = vedette::parts::for_data_sets(config, Detector::learning()).unwrap();
    let mut state = vedette::commands::policy::state(parts, config).unwrap();
    // A busy machine is not what is tested.
    state.routes.default.deadline_ms = 60_000;
    state
}

async fn ask(state: &AppState, raw: RawCall) -> Judged {
    state.judge(Question::of(raw, "native")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_are_published_in_one_chain_and_calls_under_the_gateways_id() {
    let kafka = MockKafka::start(&vedette::topics::with_partitions(1)).unwrap();
    let config = Config::default();
    let publisher = Publisher::start(kafka.bootstrap(), &config).unwrap();
    let log = Log::open(None, Some(publisher.log().unwrap()), None).unwrap();
    let mut state = state(&config);
    (state.log, state.seen) = (Some(log.decisions.clone()), publisher.seen.clone());

    let mut answers = vec![];
    // The one in the middle has no id but ours: the gateway's record of it will bear another.
    for raw in [call("g-1", "read"), call("native/0", "list"), call("g-2", "pay")] {
        answers.push(ask(&state, raw).await.decision);
    }
    drop(state);
    tokio::task::spawn_blocking(move || log.close()).await.unwrap();
    tokio::task::spawn_blocking(move || publisher.close()).await.unwrap();

    let (mut chain, mut keys) = (Chain::default(), vec![]);
    let mut decisions = Reader::start(kafka.bootstrap(), topics::DECISION_LOG).await.unwrap();
    for (line, answer) in answers.iter().enumerate() {
        let record = decisions.next().await.unwrap();
        let logged = chain.read(std::str::from_utf8(&record.payload).unwrap(), line + 1).unwrap();
        assert_eq!((&logged.decision, logged.n), (answer, line as u64));
        keys.push(record.key);
    }
    assert!(keys[0].is_some() && keys.iter().all(|key| *key == keys[0]), "{keys:?}");

    let mut calls = Reader::start(kafka.bootstrap(), topics::CALLS).await.unwrap();
    let mut sightings = vec![];
    for _ in 0..2 {
        let record = calls.next().await.unwrap();
        assert_eq!(record.key.as_deref(), Some(&b"user:1"[..]));
        sightings.push(
            native::decode(&record.payload, &Received { at: Millis(1_795_343_040_062), id: String::new() }).unwrap(),
        );
    }
    assert_eq!(sightings.iter().map(|raw| raw.id.as_str()).collect::<Vec<_>>(), ["g-1", "g-2"]);

    // The engine reads the sighting and then the gateway's record: one verdict.
    let mut pipeline = Pipeline::new(vedette::parts::for_data_sets(&config, Detector::learning()).unwrap());
    let finished = RawCall { phase: Phase::Done, result: Some("fine".into()), ..call("g-1", "read") };
    assert!(pipeline.judge(&sightings[0]).is_some());
    assert!(pipeline.judge(&finished).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_kafka_questions_are_answered_all_the_same() {
    let config = Config::default();
    // Nothing listens on port 1.
    let publisher = Publisher::start("127.0.0.1:1", &config).unwrap();
    let log = Log::open(None, Some(publisher.log().unwrap()), None).unwrap();
    let mut state = state(&config);
    (state.log, state.seen) = (Some(log.decisions.clone()), publisher.seen.clone());
    let state = Arc::new(state);
    for n in 0..2_000 {
        let judged = ask(&state, call(&format!("g-{n}"), "read")).await;
        assert!(!judged.decision.degraded);
    }
}
