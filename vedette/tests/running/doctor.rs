//! `vedette doctor` on a cluster that is not as it should be, and on the same once it is.

use super::engine::VEDETTE;
use crate::kafka::RealKafka;
use ingest::Output;
use ingest::topics::TopicSpec;
use schema::topics;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Status, rows by what was looked at, and what else was said.
fn doctor(folder: &Path, arguments: &str) -> (i32, Vec<Value>, String) {
    let output = Command::new(VEDETTE)
        .args(["doctor", "--json"])
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .unwrap();
    let rows = serde_json::from_slice(output.stdout.trim_ascii()).unwrap_or_default();
    (output.status.code().unwrap(), rows, String::from_utf8(output.stderr).unwrap())
}

#[track_caller]
fn check(rows: &[Value], what: &str, status: &str, words: &str) {
    let row = rows.iter().find(|row| row["check"] == what).unwrap_or_else(|| panic!("no row `{what}` in {rows:#?}"));
    assert_eq!(row["status"], status, "{row}");
    assert!(row.to_string().contains(words), "{words}: {row}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_amiss_is_told_with_what_to_do_and_mended_it_passes() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, "07".repeat(32)).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o644)).unwrap();
    let config =
        "[kafka]\ncreate_topics = false\n[engine]\ncheckpoints = \"checkpoints\"\n[seal]\nkey_file = \"key\"\n";
    std::fs::write(folder.path().join("vedette.toml"), config).unwrap();
    let (status, rows, _) = doctor(folder.path(), "--brokers 127.0.0.1:1");
    assert_eq!(status, 1);
    check(&rows, "brokers", "fail", "127.0.0.1:1");
    check(&rows, "key file key", "fail", "chmod 600 key");
    check(&rows, "disk of checkpoints", "ok", "free");

    // Records of a gateway where our own are expected; standings that are not compacted; no topic of verdicts.
    let broker = RealKafka::start();
    let at = broker.bootstrap();
    let made: Vec<TopicSpec> = vedette::topics::with_partitions(2)
        .into_iter()
        .filter(|topic| topic.name != topics::VERDICTS)
        .map(|topic| match topic.name.as_str() {
            topics::STANDING => TopicSpec::new(topics::STANDING, 2),
            _ => topic,
        })
        .collect();
    ingest::topics::create(at, &made).await.unwrap();
    let line = include_bytes!("../../../fuzz/seeds/decode_envoy/envoy.json");
    let record = Output { topic: topics::CALLS.to_owned(), key: vec![], payload: line.to_vec() };
    ingest::produce::send_all(at, vec![record; 3]).await.unwrap();
    let (status, rows, said) = doctor(folder.path(), &format!("--write --brokers {at}"));
    assert_eq!(status, 1);
    assert!(said.contains("of the checks above fail"), "{said}");
    check(&rows, "topic agent.verdicts", "fail", "does not exist");
    check(&rows, "compaction of agent.standing", "fail", "cleanup.policy=compact");
    check(&rows, "compaction of agent.models", "ok", "compacted");
    check(&rows, "decoder of agent.calls", "fail", "format = \\\"envoy\\\"");
    check(&rows, "writing to agent.alerts", "ok", "may be written");
    check(&rows, "clock", "ok", "newest record");
    check(&rows, "owners in group vedette", "ok", "no engine is in it; 3 records wait");

    // What was tried has left nothing that anyone reads.
    let alerts = ingest::peek::newest(at, topics::ALERTS, 10).await.unwrap();
    assert!(alerts.is_empty());

    let config = format!("{config}[[topics]]\nname = \"calls\"\n");
    std::fs::write(folder.path().join("vedette.toml"), config).unwrap();
    std::fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    let mend = broker.client();
    let admin: rdkafka::admin::AdminClient<rdkafka::client::DefaultClientContext> = mend.create().unwrap();
    let options = rdkafka::admin::AdminOptions::new();
    let change = rdkafka::admin::AlterConfig::new(rdkafka::admin::ResourceSpecifier::Topic(topics::STANDING))
        .set("cleanup.policy", "compact");
    admin.alter_configs([&change], &options).await.unwrap();
    ingest::topics::create(at, &[TopicSpec::new("calls", 2), TopicSpec::new(topics::VERDICTS, 2)]).await.unwrap();
    let call = br#"{"id":"c","at":1,"session":"s","tool":"t"}"#;
    let record = Output { topic: "calls".to_owned(), key: vec![], payload: call.to_vec() };
    ingest::produce::send_all(at, [record]).await.unwrap();
    let (status, rows, said) = doctor(folder.path(), &format!("--write --brokers {at}"));
    assert_eq!(status, 0, "{rows:#?}\n{said}");
    check(&rows, "decoder of calls", "ok", "1 of 1");
    check(&rows, "model", "warn", "learning");
}
