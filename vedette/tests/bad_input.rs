//! What goes wrong is said: what, where, and what to do next. Never a panic.

use crate::world::{SMALL, World};

/// A world with a model in it.
fn fitted() -> World {
    let world = World::new();
    world.ok("fit --out @model", &SMALL);
    world
}

#[track_caller]
fn says(report: &str, words: &[&str]) {
    for word in words {
        assert!(report.contains(word), "`{word}` is missing in\n{report}");
    }
}

#[test]
fn a_model_that_was_altered_cut_or_is_of_another_version_is_refused() {
    let world = fitted();
    let good = world.read("model");
    let score = |bytes: &[u8]| {
        std::fs::write(world.path("bad"), bytes).unwrap();
        world.refused("score --model @bad --out @scores", &SMALL)
    };
    for at in [44, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        says(&score(&bad), &["vedette::model", "checksum does not match", "vedette fit"]);
    }
    let mut newer = good.clone();
    newer[8] = 99;
    says(&score(&newer), &["vedette::model", "model version 99"]);
    says(&score(&good[..good.len() / 2]), &["checksum does not match"]);
    says(&score(b""), &["not a vedette model"]);
    assert!(!world.path("scores").exists(), "nothing is written when nothing was scored");
    says(&world.refused("score --model @gone --out @scores", &SMALL), &["vedette::read", "gone"]);
}

#[test]
fn a_data_set_cut_in_half_or_not_there_is_refused_by_file_and_line() {
    let world = fitted();
    let (set, labels) = datasets::world::generate(5, 90);
    datasets::world::write(&world.path(""), "desk", &set, &labels).unwrap();
    let calls = world.read("desk.calls.jsonl.gz");
    std::fs::write(world.path("desk.calls.jsonl.gz"), &calls[..calls.len() / 2]).unwrap();
    let report = world.refused("score --model @model --data @ --set desk --out @scores", &[]);
    says(&report, &["vedette::data_set", "desk.calls.jsonl.gz", "line", "cut off"]);

    let report = world.refused("score --model @model --data @ --set nothing --out @scores", &[]);
    says(&report, &["holds no data set `nothing`", "vedette::data_set::unknown", "it holds: desk"]);
    let report = world.refused("score --model @model --data @ --set dask --out @scores", &[]);
    says(&report, &["did you mean --set desk?"]);
    std::fs::remove_file(world.path("desk.calls.jsonl.gz")).unwrap();
    let report = world.refused("score --model @model --data @ --set desk --out @scores", &[]);
    says(&report, &["desk.calls.jsonl.gz", "is missing", "--data names a folder"]);
    says(&world.refused("fit --data @gone --set desk --out @m", &[]), &["vedette::read", "gone"]);
    says(&world.refused("fit --data @ --set ../etc --out @m", &[]), &["is no name of a set"]);
    says(&world.refused("fit --set desk --out @m", &[]), &["add --data DIR"]);
    says(&world.refused("fit --not-fold 1 --split train --out @gone/m", &SMALL), &["vedette::write", "gone/m"]);
}

#[test]
fn tools_that_were_never_seen_and_sessions_without_calls_are_scored_all_the_same() {
    let world = World::new();
    let folder = world.path("");
    let session = |n: u32, split: &str| format!(r#"{{"session":"s{n}","split":"{split}"}}"#);
    let call = |n: u32, seq: u32, tool: &str| {
        format!(r#"{{"session":"s{n}","seq":{seq},"tool":"{tool}","args":{{"x":{seq}}},"result":null}}"#)
    };
    let sessions = (0..40).map(|n| session(n, "train")).chain([session(40, "test"), session(41, "test")]);
    crate::world::gzip(&folder, "desk.sessions", sessions);
    let honest = (0..40).flat_map(|n| [call(n, 0, "read"), call(n, 1, "write")]);
    let strange = [call(40, 0, "read"), call(40, 1, "never_seen"), call(40, 2, "n\u{fffd}ver")];
    crate::world::gzip(&folder, "desk.calls", honest.chain(strange));
    world.ok("fit --data @ --set desk --out @model", &[]);
    // Session 41 has no call, and costs nothing.
    world.ok("score --data @ --set desk --model @model --split test --out @scores", &[]);
    let lines: Vec<serde_json::Value> =
        world.sorted("scores").iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| (0.0..=1.0).contains(&line["risk"].as_f64().unwrap())), "{lines:?}");

    crate::world::gzip(&folder, "empty.sessions", [session(0, "train")]);
    crate::world::gzip(&folder, "empty.calls", []);
    says(&world.refused("fit --data @ --set empty --out @m", &[]), &["no session of `empty` fits"]);
}

#[test]
fn a_part_of_a_set_that_is_empty_is_refused_with_what_there_is() {
    let world = World::new();
    crate::world::gzip(
        &world.path(""),
        "log",
        [r#"{"id":"a","split":"test","label":"benign","type":null,"seq":[1,2]}"#.to_owned()],
    );
    let report = world.refused("fit --data @ --set log --split train --out @model", &[]);
    says(&report, &["vedette::data_set::nothing_selected", "0 of `train` and 1 of `test`", "--split all"]);
}

#[test]
fn a_folder_that_is_not_there_is_said_before_the_work() {
    let world = World::new();
    let report = world.refused("fit --out @gone/model --world-sessions 4000000", &[]);
    says(&report, &["vedette::write", "gone/model"]);
}

#[test]
fn a_topics_format_that_nobody_reads_is_refused_with_the_nearest_name() {
    let world = World::new();
    std::fs::write(world.path("vedette.toml"), "[[topics]]\nname = \"log\"\nformat = \"agent-gateway\"\n").unwrap();
    says(&world.refused("check-config", &[]), &["no decoder reads `agent-gateway`", "did you mean `agentgateway`?"]);
    says(&world.refused("inspect --file @vedette.toml --format xml --config @none.toml", &[]), &["none.toml"]);
}

#[test]
fn a_configuration_with_an_unknown_key_is_refused_with_the_nearest_name() {
    let world = World::new();
    std::fs::write(world.path("vedette.toml"), "[policy]\nlisten = \"127.0.0.1:8181\"\nmodes = \"shadow\"\n").unwrap();
    let report = world.refused("check-config", &[]);
    says(&report, &["unknown key `policy.modes`", "vedette::config::unknown_key", "did you mean `mode`?"]);
}

#[test]
fn an_address_that_others_can_reach_is_refused() {
    let world = World::new();
    says(&world.refused("policy --listen 0.0.0.0:0", &[]), &["not a loopback address"]);
}

#[test]
fn a_policy_that_does_not_parse_is_refused_with_its_place() {
    let world = World::new();
    std::fs::write(world.path("bad.cedar"), "permit (principal, action, resource);\nforbid (principal").unwrap();
    says(
        &world.refused("policy --policies @bad.cedar --listen 127.0.0.1:0", &[]),
        &["bad.cedar", "are refused", "line 2"],
    );
}

#[test]
#[cfg(not(feature = "otlp"))]
fn a_collector_is_refused_by_a_build_that_sends_no_traces_before_anything_is_begun() {
    let world = World::new();
    std::fs::write(world.path("vedette.toml"), "[telemetry]\notlp_endpoint = \"http://127.0.0.1:4318\"\n").unwrap();
    for command in ["engine --brokers 127.0.0.1:1", "policy --listen 127.0.0.1:0 --listen-grpc 127.0.0.1:0"] {
        let report = world.refused(command, &[]);
        says(&report, &["vedette::telemetry::no_otlp", "`telemetry.otlp_endpoint`", "--features otlp"]);
    }
}
