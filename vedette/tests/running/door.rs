//! `POST /v1/calls` from a site with a key: however often calls are sent, each is judged once.

use super::engine::{Engine, get, ready};
use super::verdicts;
use crate::kafka::RealKafka;
use ingest::read_back::Reader;
use schema::{DeadLetter, DeadReason, Digest, topics};
use std::fs;
use std::io::Write as _;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_over_http_are_judged_once_however_often_they_are_sent() {
    let broker = RealKafka::start();
    ingest::topics::create(broker.bootstrap(), &vedette::topics::with_partitions(2)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("keys"), format!("site {}\n", Digest::of(b"hunter2"))).unwrap();
    let start = || Engine::start(folder.path(), broker.bootstrap(), "keys_file = \"keys\"", ready);
    let engine = start();
    let mut judged = Reader::start(broker.bootstrap(), topics::VERDICTS).await.unwrap();

    let call = |n: u32| format!("{{\"id\":\"c-{n}\",\"at\":{},\"session\":\"s\",\"tool\":\"pay\"}}\n", 1_000 + n);
    let mut lines: Vec<String> = (0..200).map(call).collect();
    lines.insert(7, "{\"at\":17,\"tool\":\"hunter3\n".to_owned());
    let body = lines.concat();
    let key = "authorization: Bearer hunter2\r\n";
    let (packed, zipped) = (gzip(body.as_bytes()), "content-encoding: gzip\r\n");

    let (status, refused) = engine.post(zipped, &packed);
    assert_eq!(status, 401, "{refused}");
    assert!(refused.contains("urn:vedette:problem:key"), "{refused}");
    let (status, answer) = engine.post(&format!("{key}{zipped}"), &packed);
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!((status, &answer["calls"], &answer["dead"]), (202, &200.into(), &1.into()), "{answer}");
    assert_eq!((&answer["lines"][0]["line"], &answer["lines"][0]["reason"]), (&8.into(), &"malformed".into()));
    assert_eq!(verdicts(&mut judged, 200).await.len(), 200);
    let letters = Reader::start(broker.bootstrap(), topics::DEAD).await.unwrap().take(1).await.unwrap();
    let letter: DeadLetter = serde_json::from_slice(&letters[0].payload).unwrap();
    assert_eq!((letter.topic.as_str(), letter.offset, letter.reason), ("http:/v1/calls", 8, DeadReason::Malformed));
    assert!(!String::from_utf8_lossy(&letters[0].payload).contains("hunter3"));

    // The same again, to a process that remembers it: nothing is written.
    let answer = engine.post(key, body.as_bytes()).1;
    assert_eq!(answer, "{\"calls\":0,\"repeated\":201,\"dead\":0}");
    let page = get(&engine.address, "/metrics").unwrap().1;
    for line in [
        "vedette_door_lines_total{kind=\"call\"} 200",
        "vedette_door_lines_total{kind=\"repeated\"} 201",
        "vedette_door_requests_total{outcome=\"refused\"} 1",
        "vedette_door_in_flight_bytes 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
    }

    // To one that does not: what is judged is known by its id. The last call comes after them all, on their partition.
    engine.stop();
    let engine = start();
    let again = format!("{body}{}", call(999));
    let answer: serde_json::Value = serde_json::from_str(&engine.post(key, again.as_bytes()).1).unwrap();
    assert_eq!(answer["calls"], 201, "{answer}");
    let last = verdicts(&mut judged, 1).await;
    assert_eq!(last[0].id.as_str(), "c-999", "a call that was judged is judged again");
    engine.stop();
}
