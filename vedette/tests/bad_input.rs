//! What goes wrong is said: what, where, and what to do next. Never a panic.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod world;

use world::{SMALL, World};

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
    says(&report, &["nothing.sessions.jsonl.gz", "is missing", "--data names a folder"]);
    says(&world.refused("fit --data @ --set ../etc --out @m", &[]), &["is no name of a set"]);
    says(&world.refused("fit --set desk --out @m", &[]), &["add --data DIR"]);
    says(&world.refused("fit --not-fold 1 --split train --out @gone/m", &SMALL), &["vedette::write", "gone/m"]);
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
