//! `vedette backtest`: the same calls from a data set, a file and a topic, under two models.

use super::engine::VEDETTE;
use crate::kafka::RealKafka;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use vedette::commands::replay::record;

/// Status, and the last line.
fn backtest(folder: &Path, line: &str) -> (i32, Value) {
    let output = Command::new(VEDETTE).arg("backtest").args(line.split(' ')).current_dir(folder).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let last = said.lines().next_back().unwrap_or_default();
    let last =
        serde_json::from_str(last).unwrap_or_else(|_| panic!("{said}\n{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), last)
}

fn sessions(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|turned| turned["session"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_new_model_turns_is_listed_and_said_by_the_exit_status() {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| {
        let output = Command::new(VEDETTE).args(line.split(' ')).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let world = "--world-sessions 1000 --world-seed 3";
    run(&format!("fit {world} --out good"));
    // Learned without results: what hijacks it, it does not see.
    run(&format!("fit {world} --no-results --no-mission --out poor"));

    let (status, same) = backtest(folder.path(), &format!("--model good --against good {world}"));
    assert_eq!((status, &same["decisions_changed"], &same["risks_changed"]), (0, &0.into(), &0.into()));
    assert!(same["calls"].as_u64().unwrap() > 1_000 && same["flagged_old"].as_u64().unwrap() > 0, "{same}");

    let (status, worse) = backtest(folder.path(), &format!("--model poor --against good {world}"));
    assert_eq!(status, 2, "{worse}");
    let lost = sessions(&worse["deny_to_allow"]);
    assert!(!lost.is_empty(), "{worse}");
    // The other way round, what was lost is won.
    let (_, better) = backtest(folder.path(), &format!("--model good --against poor {world}"));
    assert_eq!(sessions(&better["allow_to_deny"]), lost);
    assert_eq!(sessions(&better["deny_to_allow"]), sessions(&worse["allow_to_deny"]));

    // From a file, and from a topic.
    let (set, _) = datasets::world::generate(3, 1000);
    let mut calls = Vec::new();
    let in_order = datasets::replay::stream(&set, &datasets::replay::Faults::default());
    in_order.into_iter().for_each(|(_, index)| calls.push(set.calls[index].clone()));
    let lines: Vec<u8> = calls.iter().flat_map(|call| [record(call).payload, b"\n".to_vec()].concat()).collect();
    std::fs::write(folder.path().join("calls.jsonl"), lines).unwrap();
    std::fs::write(folder.path().join("vedette.toml"), "[seal]\nkey_file = \"key\"\n").unwrap();
    let (status, of_file) = backtest(folder.path(), "--model poor --against good --file calls.jsonl");
    assert_eq!((status, &of_file["calls"]), (2, &worse["calls"]));
    let (status, none) = backtest(folder.path(), "--model poor --against good --file calls.jsonl --to 1");
    assert_eq!((status, &none["calls"]), (0, &0.into()));

    let broker = RealKafka::start();
    ingest::topics::create(broker.bootstrap(), &vedette::topics::with_partitions(3)).await.unwrap();
    let records: Vec<_> = calls.iter().map(record).collect();
    ingest::produce::send_all(broker.bootstrap(), records).await.unwrap();
    let at = format!("--topic agent.calls --brokers {}", broker.bootstrap());
    let (status, of_topic) = backtest(folder.path(), &format!("--model poor --against good {at} --from 1h"));
    assert_eq!((status, &of_topic["calls"]), (2, &worse["calls"]));
    assert_eq!(of_topic["deny_to_allow"], of_file["deny_to_allow"], "partitions change nothing");
    let (_, none) = backtest(folder.path(), &format!("--model poor --against good {at} --to 1h"));
    assert_eq!(none["calls"], 0);
}
