//! What a newcomer does first: learn, score, run all of it.

use crate::world::{SMALL, World};
use serde_json::Value;

#[test]
fn fit_score_and_up_agree_to_the_byte_and_do_so_again() {
    let world = World::new();
    world.ok("fit --out @model", &SMALL);
    world.ok("fit --out @again", &SMALL);
    assert_eq!(world.read("model"), world.read("again"), "the same sessions and seed give the same model");

    world.ok("score --model @model --split test --out @scores", &SMALL);
    let told = world.ok("up --once --model @model --out @risks", &SMALL);
    assert_eq!(world.sorted("scores"), world.sorted("risks"), "what Kafka brings back is what `score` says");
    assert_eq!(
        world.read("risks"),
        world.sorted("risks").join("\n").into_bytes().into_iter().chain([b'\n']).collect::<Vec<_>>()
    );

    // `up` without a model learns the same one.
    world.ok("up --once --out @learned", &SMALL);
    assert_eq!(world.read("risks"), world.read("learned"));

    let last: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
    let keys: Vec<&String> = last.as_object().unwrap().keys().collect();
    let contract =
        ["calls", "verdicts", "sessions", "hijacks_caught", "hijacks_missed", "false_alarms", "calls_per_s", "seconds"];
    assert_eq!(keys, contract);
    assert_eq!(last["calls"], last["verdicts"]);
    assert_eq!(last["calls"].as_u64().unwrap() as usize, world.sorted("scores").len());
    assert!(last["sessions"].as_u64().unwrap() > 0);
    for words in ["caught in time", "false alarms", "calls/s", "next"] {
        assert!(told.contains(words), "{words} is missing in\n{told}");
    }
}

#[test]
fn scores_are_the_contract_and_come_in_file_order() {
    let world = World::new();
    let (set, labels) = datasets::world::generate(5, 90);
    datasets::world::write(&world.path(""), "desk", &set, &labels).unwrap();
    world.ok("fit --data @ --set desk --split train --out @model --seed 7", &[]);
    world.ok("score --model @model --data @ --set desk --out @scores.jsonl", &[]);

    let text = String::from_utf8(world.read("scores.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), set.calls.len());
    for (line, call) in lines.iter().zip(&set.calls) {
        assert_eq!((line["session"].as_str(), line["seq"].as_u64()), (Some(call.session.as_str()), call.seq));
        for share in ["risk", "p_value"] {
            assert!((0.0..=1.0).contains(&line[share].as_f64().unwrap()), "{line}");
        }
        assert_eq!(line["flagged"].as_bool().unwrap(), line["p_value"].as_f64().unwrap() <= 0.01, "{line}");
        assert!(["none", "injection", "extraction", "abuse"].contains(&line["pattern"].as_str().unwrap()));
        assert!(line["evidence"].is_array() && line.get("sequence_risk").is_none());
    }

    // A part of it is the same lines.
    world.ok("score --model @model --data @ --set desk --split test --fold 1 --out @part.jsonl", &[]);
    let part = world.sorted("part.jsonl");
    assert!(!part.is_empty() && part.len() < lines.len());

    let figures: Value =
        serde_json::from_str(&world.ok("measure --model @model --data @ --set desk --split test --json", &[])).unwrap();
    assert!(figures["benign"]["pooled"]["at"]["0.05"]["goal"].is_number(), "{figures}");
    assert!(world.ok("measure --model @model --data @ --set desk", &[]).contains("promised: at most"));
    assert!(world.ok("explain --model @model --data @ --set desk", &[]).starts_with("session "));
}

#[test]
fn permuting_the_sessions_of_a_set_without_times_changes_no_byte() {
    let world = World::new();
    let (mut set, mut labels) = datasets::world::generate(6, 90);
    set.timed = false;
    datasets::world::write(&world.path(""), "one", &set, &labels).unwrap();
    labels.sessions.reverse();
    set.sessions.reverse();
    let mut calls = std::mem::take(&mut set.calls);
    calls.sort_by(|a, b| b.session.cmp(&a.session).then(a.seq.cmp(&b.seq)));
    set.calls = calls;
    datasets::world::write(&world.path(""), "two", &set, &labels).unwrap();

    world.ok("fit --data @ --set one --out @model", &[]);
    world.ok("score --model @model --data @ --set one --out @one.jsonl", &[]);
    world.ok("score --model @model --data @ --set two --out @two.jsonl", &[]);
    assert_ne!(world.read("one.jsonl"), world.read("two.jsonl"), "the order of the file is the order of the lines");
    assert_eq!(world.sorted("one.jsonl"), world.sorted("two.jsonl"));
}

#[test]
fn a_sequence_set_adds_what_the_order_of_events_says() {
    let world = World::new();
    let honest =
        |n: u32| format!(r#"{{"id":"h{n}","split":"train","label":"benign","type":null,"seq":[1,2,3,{}]}}"#, 2 + n % 2);
    let odd = r#"{"id":"odd","split":"test","label":"anomaly","type":null,"seq":[3,3,1,9]}"#.to_owned();
    crate::world::gzip(&world.path(""), "log", (0..60).map(honest).chain([odd]));
    world.ok("fit --data @ --set log --out @model", &[]);
    world.ok("score --model @model --data @ --set log --out @scores", &[]);
    let line: Value = serde_json::from_str(&world.sorted("scores")[0]).unwrap();
    assert!(line["sequence_risk"].is_number(), "{line}");
}

#[test]
fn completions_and_the_effective_configuration_are_printed() {
    let world = World::new();
    assert!(world.ok("completions bash", &[]).contains("vedette"));
    std::fs::write(world.path("empty.toml"), "").unwrap();
    assert_eq!(world.ok("check-config --config @empty.toml", &[]), world.ok("check-config", &[]));
}

#[test]
fn attackers_who_adapt_are_overlooked_no_less_with_more_tries_and_the_same_seed_tells_the_same() {
    let world = World::new();
    world.ok("fit --out @model", &SMALL);
    let attacked = |tries: &str| -> Value {
        let args = format!("redteam --model @model --hijacks 12 --tries {tries} --json");
        serde_json::from_str(&world.ok(&args, &SMALL)).unwrap()
    };
    let (once, often) = (attacked("1"), attacked("40"));
    assert_eq!(often, attacked("40"));
    assert_eq!(once["hijacks"]["hijacks"], 12);
    assert_eq!(once["hijacks"]["evaded"], often["hijacks"]["evaded_at_once"], "the first try of a search is the same");
    let share = |report: &Value| report["hijacks"]["evaded"].as_f64().unwrap();
    assert!(share(&once) <= share(&often) && share(&often) <= 1.0, "{once} {often}");
    let copied = often["extraction"].as_array().unwrap();
    assert_eq!(copied.len(), 3, "{often}");
    for attack in copied {
        let (caught, clients) = (attack["caught"].as_u64().unwrap(), attack["clients"].as_u64().unwrap());
        assert!(caught <= clients && attack["median_queries"].is_null() == (caught == 0), "{attack}");
    }
    let refused = world.ok("redteam --model @model --hijacks 3 --tries 2 --no-mission", &SMALL);
    assert!(refused.contains("no session here can carry another's task"), "{refused}");
}

#[test]
fn a_sketch_of_a_session_says_nearly_what_its_state_does() {
    let world = World::new();
    world.ok("fit --out @model", &SMALL);
    let measured = |more: &str| -> Value {
        serde_json::from_str(&world.ok(&format!("measure --model @model --split test --json {more}"), &SMALL)).unwrap()
    };
    let area = |figures: &Value| figures["benign"]["pooled"]["auc_succeeded"].as_f64().unwrap();
    let (state, sketch) = (measured(""), measured("--inline"));
    assert!(area(&state) > 0.75, "{state}");
    assert!(area(&sketch) > area(&state) - 0.1, "{} {}", area(&sketch), area(&state));
}

#[test]
fn measuring_by_folds_fits_on_other_tasks_than_it_measures_on() {
    let world = World::new();
    let (set, labels) = datasets::world::generate(5, 120);
    datasets::world::write(&world.path(""), "desk", &set, &labels).unwrap();
    let measured = |folds: u8| -> Value {
        let args = format!("measure --folds {folds} --data @ --set desk --split test --json");
        serde_json::from_str(&world.ok(&args, &[])).unwrap()
    };
    let (some, all) = (measured(3), measured(5));
    assert!(some["sessions"]["clean"].as_u64() < all["sessions"]["clean"].as_u64(), "folds 3 and 4 are left out");
    let in_a_fold = |meta: &&datasets::SessionMeta| meta.split == datasets::Split::Test && meta.fold.is_some();
    let tests = set.sessions.iter().filter(in_a_fold).count() as u64;
    let measured = all["sessions"].as_object().unwrap().values().filter_map(Value::as_u64).sum::<u64>();
    assert_eq!(measured, tests, "every fold is measured once");
    let promise = &all["promises"][0];
    let (low, high) = (promise["interval"][0].as_f64().unwrap(), promise["interval"][1].as_f64().unwrap());
    let share = promise["measured"].as_f64().unwrap();
    assert!(low <= share && share <= high, "{promise}");
    assert_eq!((&promise["promised"], &all["promises"][1]["promised"]), (&0.01.into(), &0.05.into()));
}

#[test]
fn methods_are_compared_on_the_same_folds_and_a_set_of_events_needs_no_more_than_a_model() {
    let world = World::new();
    let (set, labels) = datasets::world::generate(5, 120);
    datasets::world::write(&world.path(""), "desk", &set, &labels).unwrap();
    let measured = |line: &str| -> Value { serde_json::from_str(&world.ok(&format!("{line} --json"), &[])).unwrap() };
    let plain = measured("measure --folds 2 --data @ --set desk --split test");
    assert!(plain.get("compared").is_none(), "{plain}");
    let beside = measured("measure --folds 2 --data @ --set desk --split test --compare");
    let rows = beside["compared"].as_array().unwrap();
    let ours = &rows[0];
    assert_eq!((ours["method"].as_str(), rows.len()), (Some("vedette"), 8), "{beside}");
    for share in ["0.05", "0.01"] {
        assert_eq!(ours["in_time"][share], plain["benign"]["pooled"]["at"][share]["goal"], "comparing changes nothing");
    }
    assert_eq!(beside["benign"], plain["benign"]);
    assert!(rows.iter().all(|row| row["auc_succeeded"].is_number()), "{beside}");
    let told = world.ok("measure --folds 2 --data @ --set desk --split test --compare", &[]);
    for words in ["several methods", "STIDE", "order 3", "isolation forest alone", "number of calls"] {
        assert!(told.contains(words), "{words} is missing in\n{told}");
    }

    let event = |id: &str, split: &str, label: &str, seq: &str| {
        format!(r#"{{"id":"{id}","split":"{split}","label":"{label}","type":null,"seq":[{seq}]}}"#)
    };
    let honest =
        |n: u32, split: &str| event(&format!("{split}{n}"), split, "benign", ["1,2,3,2", "1,2,3,3"][n as usize % 2]);
    let odd = event("odd", "test", "anomaly", "3,1,9,2");
    let sessions = (0..60).map(|n| honest(n, "train")).chain((0..20).map(|n| honest(n, "test"))).chain([odd]);
    crate::world::gzip(&world.path(""), "log", sessions);
    world.ok("fit --data @ --set log --split train --out @model", &[]);
    let beside = measured("measure --model @model --data @ --set log --split test --compare");
    let area = |method: &str| {
        let row = beside["compared"].as_array().unwrap().iter().find(|row| row["method"] == method).unwrap();
        row["auc_attacks"].as_f64().unwrap()
    };
    // No order of these is ordinary; it is as long as the others.
    for (method, expected) in [("STIDE, windows of 6", 1.0), ("Markov chain of order 2", 1.0), ("number of calls", 0.5)]
    {
        assert_eq!(area(method), expected, "{method}: {beside}");
    }
}
