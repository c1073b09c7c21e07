//! Calls that come before their turn, on partitions that are quiet otherwise.

use super::engine::{Engine, get, ready};
use super::verdicts;
use crate::kafka::RealKafka;
use ingest::read_back::Reader;
use schema::topics;

fn call(seq: u64) -> String {
    format!("{{\"id\":\"c-{seq}\",\"at\":{},\"session\":\"s\",\"seq\":{seq},\"tool\":\"t\"}}\n", 1_000 + seq)
}

async fn ids(judged: &mut Reader, count: u64) -> Vec<String> {
    verdicts(judged, count).await.iter().map(|verdict| verdict.id.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_waits_goes_when_its_turn_comes_or_its_time_is_over_whoever_is_killed_meanwhile() {
    let broker = RealKafka::start();
    ingest::topics::create(broker.bootstrap(), &vedette::topics::with_partitions(2)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(folder.path(), broker.bootstrap(), "", ready);
    let mut judged = Reader::start(broker.bootstrap(), topics::VERDICTS).await.unwrap();
    let send = |engine: &Engine, numbers: &[u64]| {
        let body: String = numbers.iter().map(|seq| call(*seq)).collect();
        assert_eq!(engine.post("", body.as_bytes()).0, 202);
    };

    send(&engine, &[0, 2, 1, 3]);
    assert_eq!(ids(&mut judged, 4).await, ["c-0", "c-1", "c-2", "c-3"]);
    // Nothing else comes: the engine itself lets time pass.
    send(&engine, &[5]);
    assert_eq!(ids(&mut judged, 1).await, ["c-5"]);
    send(&engine, &[4, 6]);
    assert_eq!(ids(&mut judged, 2).await, ["c-4", "c-6"]);
    let page = get(&engine.address, "/metrics").unwrap().1;
    assert!(page.lines().any(|line| line == "vedette_gaps_total 1"), "{page}");

    // Killed while one waits; on a machine that stood still meanwhile, after it: that comes to the same.
    send(&engine, &[8]);
    let taken =
        |page: String| page.lines().any(|line| ["vedette_calls_held 1", "vedette_gaps_total 2"].contains(&line));
    while !get(&engine.address, "/metrics").is_some_and(|(_, page)| taken(page)) {}
    drop(engine);
    let engine = Engine::start(folder.path(), broker.bootstrap(), "", ready);
    assert_eq!(ids(&mut judged, 1).await, ["c-8"]);
    send(&engine, &[7, 9]);
    assert_eq!(ids(&mut judged, 2).await, ["c-7", "c-9"]);
    engine.stop();
}
