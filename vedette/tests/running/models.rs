//! Models that are announced while an engine runs.

use super::engine::{Engine, VEDETTE, get, ready};
use super::verdicts;
use crate::kafka::RealKafka;
use ingest::read_back::Reader;
use schema::{DeadLetter, DeadReason, Digest, ModelChange, topics};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn vedette(folder: &Path, line: &str) -> String {
    let output = Command::new(VEDETTE).args(line.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "vedette {line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn digest(path: &Path) -> Digest {
    Digest::of(&std::fs::read(path).unwrap())
}

/// Returns once `/metrics` has the line.
async fn shown(engine: &Engine, line: &str) {
    loop {
        let page = get(&engine.address, "/metrics").unwrap().1;
        if page.lines().any(|found| found == line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // the pace of asking another process
    }
}

/// Calls of 20 sessions, `round` of each.
fn calls(round: u32) -> String {
    let call = |session: u32| {
        let (id, at) = (format!("c-{session}-{round}"), 1_795_343_040_000_u64 + u64::from(round) * 1_000);
        format!(
            "{{\"id\":\"{id}\",\"at\":{at},\"session\":\"s-{session}\",\"tool\":\"search\",\"args\":{{\"q\":\"{session}\"}}}}\n"
        )
    };
    (0..20).map(call).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_is_swapped_at_an_offset_and_a_restart_comes_back_with_it() {
    let broker = RealKafka::start();
    ingest::topics::create(broker.bootstrap(), &vedette::topics::with_partitions(2)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (name, seed) in [("old", 7), ("new", 8)] {
        vedette(folder.path(), &format!("fit --world-sessions 240 --world-seed 3 --seed {seed} --out {name}"));
    }
    let (old, new) = (digest(&folder.path().join("old")), digest(&folder.path().join("new")));
    let start = || Engine::start(folder.path(), broker.bootstrap(), "[detector]\nmodel = \"old\"", ready);
    let mut engine = start();
    let mut judged = Reader::start(broker.bootstrap(), topics::VERDICTS).await.unwrap();
    let mut models = BTreeMap::new();
    let mut round = 0;
    let mut send = async |engine: &Engine| {
        let (status, answer) = engine.post("", calls(round).as_bytes());
        assert_eq!(status, 202, "{answer}");
        round += 1;
        for verdict in verdicts(&mut judged, 20).await {
            assert!(
                models.insert(verdict.id.to_string(), verdict.model).is_none(),
                "`{}` has two verdicts",
                verdict.id
            );
        }
        models.clone()
    };

    send(&engine).await;
    let said = vedette(folder.path(), &format!("announce --model new --brokers {}", broker.bootstrap()));
    assert!(said.contains(&new.to_string()), "{said}");
    shown(&engine, &format!("vedette_model_info{{digest=\"{new}\"}} 1")).await;
    send(&engine).await;
    // Killed, and started with the old model: what was announced stands.
    engine.child.kill().unwrap();
    engine.child.wait().unwrap();
    let engine = start();
    send(&engine).await;

    // One that is not what it was announced as.
    let torn = folder.path().join("torn");
    std::fs::copy(folder.path().join("old"), &torn).unwrap();
    let at = schema::Millis(cert_manager::est::server::wall_clock().0);
    let announced = vedette::models::announcement(Digest::of(b"something else"), &torn, at);
    ingest::produce::send_all(broker.bootstrap(), [announced]).await.unwrap();
    // And one of before.
    let early = vedette::models::announcement(old, &folder.path().join("old"), schema::Millis(1));
    shown(&engine, "vedette_models_refused_total 1").await;
    ingest::produce::send_all(broker.bootstrap(), [early]).await.unwrap();
    shown(&engine, "vedette_models_refused_total 2").await;
    let answered = send(&engine).await;
    let letters = Reader::start(broker.bootstrap(), topics::DEAD).await.unwrap().take(2).await.unwrap();
    let letters: Vec<DeadLetter> =
        letters.iter().map(|letter| serde_json::from_slice(&letter.payload).unwrap()).collect();
    assert!(letters.iter().all(|letter| letter.topic == topics::MODELS && letter.reason == DeadReason::Refused));
    for words in ["its file has the digest", "announced before the one in force"] {
        assert!(letters.iter().any(|letter| letter.detail.contains(words)), "{words}: {letters:?}");
    }
    engine.stop();

    // Each call has one verdict, under the model that its partition says was in force at its offset.
    assert_eq!(answered.len(), 80);
    let mut changes: BTreeMap<(i32, i64), Digest> = BTreeMap::new();
    for record in ingest::peek::newest(broker.bootstrap(), topics::MODELS, 100).await.unwrap() {
        if let Ok(change) = serde_json::from_slice::<ModelChange>(&record.payload) {
            changes.insert((change.partition, change.offset), change.digest);
        }
    }
    assert!(changes.values().any(|digest| *digest == old) && changes.values().any(|digest| *digest == new));
    for call in ingest::peek::newest(broker.bootstrap(), topics::CALLS, 100).await.unwrap() {
        let record: serde_json::Value = serde_json::from_slice(&call.payload).unwrap();
        let in_force = changes.range(..=(call.partition, call.offset)).next_back();
        let (_, in_force) = in_force.filter(|((partition, _), _)| *partition == call.partition).unwrap();
        let id = record["id"].as_str().unwrap();
        assert_eq!(answered[id], *in_force, "{id}");
        let round: u32 = id.rsplit('-').next().unwrap().parse().unwrap();
        assert_eq!(*in_force == old, round == 0, "{id}");
    }
}
