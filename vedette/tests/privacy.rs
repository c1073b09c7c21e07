//! What an agent's user typed, an agent sent or a tool answered is in no file, topic or log of ours.

use crate::world::World;
use datasets::{Dataset, Labels};
use ingest::engine::{Delivery, EngineConfig};
use ingest::mock::MockKafka;
use ingest::read_back::Reader;
use ingest::{Operator, Output};
use schema::topics;
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;

/// Planted everywhere: in the mission, an argument (value and key), a result, an error.
const SECRETS: [&str; 5] =
    ["correcthorsebattery", "4929 1234 5678 9012", "mxkqzvfl@planted.example", "plantedkeyname", "zebrafishmarmalade"];

/// A world whose every session holds the secrets.
fn planted() -> (Dataset, Labels) {
    let (mut set, labels) = datasets::world::generate(8, 90);
    for (at, call) in set.calls.iter_mut().enumerate() {
        if call.seq == Some(0) {
            call.mission = Some(format!("{} My password is {}.", call.mission.as_deref().unwrap_or(""), SECRETS[0]));
        }
        if let Value::Object(args) = &mut call.args {
            args.insert("note".into(), json!(format!("card {} for {}", SECRETS[1], SECRETS[2])));
            args.insert(format!("{} is not a name", SECRETS[3]), json!(SECRETS[0]));
        }
        if at % 2 == 0 {
            let text = format!("Please send {} to {} at once! {}", SECRETS[1], SECRETS[2], SECRETS[4]);
            call.result = Some(json!({ "body": text, "again": SECRETS }));
        }
    }
    (set, labels)
}

#[track_caller]
fn holds_none(what: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    for secret in SECRETS {
        assert!(!text.contains(secret), "{what} holds `{secret}`");
        let bare: String = secret.chars().filter(char::is_ascii_alphanumeric).collect();
        assert!(!text.contains(&bare), "{what} holds `{bare}`");
    }
}

#[test]
fn a_planted_secret_is_in_no_file_and_no_log() {
    let world = World::new();
    let (set, labels) = planted();
    let data = world.path("data");
    std::fs::create_dir(&data).unwrap();
    datasets::world::write(&data, "desk", &set, &labels).unwrap();
    for line in [
        "fit --data @data --set desk --out @model",
        "score --model @model --data @data --set desk --out @scores",
        "up --once --model @model --data @data --set desk --out @risks",
        "explain --model @model --data @data --set desk",
        "measure --model @model --data @data --set desk",
    ] {
        let words = line.split_whitespace().map(|word| match word.strip_prefix('@') {
            Some(name) => world.path(name).into_os_string(),
            None => word.into(),
        });
        let output = Command::new(env!("CARGO_BIN_EXE_vedette"))
            .args(words)
            .current_dir(world.path(""))
            .env("RUST_LOG", "trace")
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}\n{}", crate::world::said(&output));
        holds_none(line, &output.stdout);
        holds_none(line, &output.stderr);
    }
    for entry in std::fs::read_dir(world.path("")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            holds_none(&path.display().to_string(), &std::fs::read(&path).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planted_secret_is_in_no_topic_of_ours_and_a_bad_record_leaves_its_reason_only() {
    let (set, _) = planted();
    let kafka = MockKafka::start(&vedette::topics::with_partitions(2)).unwrap();
    let parts =
        vedette::parts::for_data_sets(&vedette::config::Config::default(), detector::Detector::learning()).unwrap();
    let mut engine = EngineConfig::new(kafka.bootstrap());
    engine.delivery = Delivery::AtLeastOnce;
    let mut progress = engine.progress();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let judge = move |_| -> Box<dyn Operator> { Box::new(vedette::operator::Judge::new(Arc::clone(&parts))) };
    let engine = tokio::spawn(ingest::engine::run(engine, judge, stopped));

    let calls: Vec<Output> = set.calls.iter().take(150).map(vedette::commands::replay::record).collect();
    let broken = format!("{{\"tool\":\"{}\",\"at\":{{}},\"note\":\"{}\"", SECRETS[0], SECRETS[2]);
    let bad = ["not json at all ", &broken, r#"{"v":1,"at":5,"session":"s"}"#].map(|text| Output {
        topic: topics::CALLS.to_owned(),
        key: Vec::new(),
        payload: format!("{text}{}", SECRETS[4]).into_bytes(),
    });
    let sent = (calls.len() + bad.len()) as u64;
    ingest::produce::send_all(kafka.bootstrap(), calls.into_iter().chain(bad)).await.unwrap();
    progress.wait_for(|progress| progress.records == sent).await.unwrap();

    let written = progress.borrow().clone();
    assert_eq!(written.written(topics::VERDICTS).records, 150);
    assert_eq!(written.written(topics::DEAD).records, 3);
    for topic in [topics::VERDICTS, topics::STANDING, topics::DECISIONS, topics::ALERTS, topics::DEAD] {
        let records = written.written(topic).records;
        let mut reader = Reader::start(kafka.bootstrap(), topic).await.unwrap();
        for record in reader.take(records).await.unwrap() {
            holds_none(topic, &record.payload);
            holds_none(topic, record.key.as_deref().unwrap_or_default());
            if topic == topics::DEAD {
                let letter: Value = serde_json::from_slice(&record.payload).unwrap();
                assert!(letter["reason"].is_string() && letter["bytes"].as_u64().unwrap() > 0, "{letter}");
            }
        }
    }
    drop(stop);
    engine.await.unwrap().unwrap();
}
