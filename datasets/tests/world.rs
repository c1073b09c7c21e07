//! The generated world: the same from the same seed, believable, and true to its labels.

use datasets::labels::{Label, Outcome};
use datasets::world::{generate, write};
use datasets::{Dataset, Labels, Split, View, labels, load};
use schema::{Digest, RawCall};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read as _;

fn calls_of<'s>(set: &'s Dataset, label: &labels::SessionLabel) -> Vec<&'s RawCall> {
    set.calls.iter().filter(|call| call.session == label.session).collect()
}

fn text_of(call: &RawCall) -> String {
    match &call.result {
        Some(serde_json::Value::String(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// The unpacked bytes of all files of a set.
fn bytes_of(set: &Dataset, truth: &Labels) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "w", set, truth).unwrap();
    let mut bytes = Vec::new();
    for part in ["calls", "results", "missions", "sessions"] {
        let packed = std::fs::File::open(folder.path().join(format!("w.{part}.jsonl.gz"))).unwrap();
        flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    }
    bytes
}

#[test]
fn same_seed_same_bytes() {
    let digest = |seed| {
        let (set, truth) = generate(seed, 120);
        Digest::of(&bytes_of(&set, &truth)).to_string()
    };
    assert_eq!(digest(7), digest(7));
    assert_ne!(digest(7), digest(8));
    // Golden: a change here changes every figure that was ever quoted on the world.
    assert_eq!(digest(7), "sha256:846d310995874728fd59e24815b54e5f7ce9b801cf1370f6d8cfe09ba6e031e0");
}

#[test]
fn what_is_written_loads_as_it_was() {
    let (set, truth) = generate(3, 200);
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "world", &set, &truth).unwrap();
    let again = load(folder.path(), "world", &View::default()).unwrap();
    assert_eq!((&again.name, &again.sessions, again.timed), (&set.name, &set.sessions, set.timed));
    assert_eq!(again.calls.len(), set.calls.len());
    for (a, b) in set.calls.iter().zip(&again.calls) {
        assert_eq!(
            (&a.id, a.at, a.seq, &a.session, &a.agent, &a.principal),
            (&b.id, b.at, b.seq, &b.session, &b.agent, &b.principal)
        );
        assert_eq!((&a.app, &a.tool, &a.args, &a.mission), (&b.app, &b.tool, &b.args, &b.mission), "{}", a.id);
        assert_eq!((a.status, &a.result, a.result_bytes), (b.status, &b.result, b.result_bytes), "{}", a.id);
    }
    assert_eq!(labels::load(folder.path(), "world").unwrap(), truth);
}

#[test]
fn every_tool_of_an_attacker_is_also_used_honestly() {
    let (set, truth) = generate(31, 2_000);
    let by_session = truth.by_session();
    let clean: HashSet<_> = set
        .calls
        .iter()
        .filter(|call| by_session[&call.session].outcome == Outcome::Clean)
        .map(|call| &call.tool)
        .collect();
    for call in &set.calls {
        assert!(call.tool.as_str() == "predict" || clean.contains(&call.tool), "{} is never used honestly", call.tool);
    }
}

#[test]
fn the_first_call_of_every_desk_session_carries_the_mission() {
    let (set, _) = generate(37, 300);
    for call in set.calls.iter().filter(|call| call.seq == Some(0) && call.tool.as_str() != "predict") {
        assert!(call.mission.is_some(), "{}", call.id);
    }
}

#[test]
fn fifty_sessions_hold_every_kind() {
    let (_, truth) = generate(1, 50);
    let kinds: BTreeSet<&str> = truth.sessions.iter().map(|label| label.outcome.as_str()).collect();
    for kind in ["clean", "resisted", "not_reached", "succeeded", "attempted", "direct_goal"] {
        assert!(kinds.contains(kind), "{kind} is not in {kinds:?}");
    }
    assert!(truth.sessions.iter().any(|label| label.label == Label::Extraction));
    assert_eq!(truth.sessions.len(), 50);
}

#[test]
fn training_sessions_are_clean_and_of_every_task() {
    let (_, truth) = generate(5, 1_500);
    let train: Vec<_> = truth.sessions.iter().filter(|label| label.split == Split::Train).collect();
    assert!(train.iter().all(|label| label.label == Label::Benign && label.injection_task.is_none()));
    let tasks: HashSet<_> =
        train.iter().filter_map(|label| label.user_task.as_deref().map(|task| (label.app.as_deref(), task))).collect();
    for app in ["travel", "bank", "code_host"] {
        let count = tasks.iter().filter(|(of, _)| *of == Some(app)).count();
        assert!(count >= 10, "{app}: {count} tasks");
    }
    let pools: BTreeSet<_> = train.iter().filter_map(|label| label.pool.as_deref()).collect();
    assert_eq!(pools, BTreeSet::from(["a", "b"]));
}

#[test]
fn a_task_is_in_one_fold_only() {
    let (_, truth) = generate(5, 1_500);
    let mut fold_of = HashMap::new();
    let mut folds = BTreeSet::new();
    for label in truth.sessions.iter().filter(|label| label.user_task.is_some()) {
        let fold = label.fold.unwrap();
        assert_eq!(*fold_of.entry((&label.app, &label.user_task)).or_insert(fold), fold);
        folds.insert(fold);
    }
    assert_eq!(folds, BTreeSet::from([0, 1, 2, 3, 4]));
}

#[test]
fn labels_point_at_the_calls_they_speak_of() {
    let (set, truth) = generate(11, 600);
    let mut obeyed_at_once = 0;
    let mut hijacked = 0;
    for label in &truth.sessions {
        let calls = calls_of(&set, label);
        assert_eq!(calls.len() as u64, label.n_calls);
        assert!(calls.iter().enumerate().all(|(n, call)| call.seq == Some(n as u64)));
        match label.outcome {
            Outcome::Succeeded | Outcome::Attempted => {
                let (exposed, from, goal) =
                    (label.exposed_at_seq.unwrap(), label.attack_from_seq.unwrap(), label.attack_goal_seq.unwrap());
                assert!(exposed < from && from <= goal && goal < label.n_calls, "{label:?}");
                let failed = calls[goal as usize].status == Some(schema::Status::Error);
                assert_eq!(failed, label.outcome == Outcome::Attempted);
                hijacked += 1;
                obeyed_at_once += usize::from(from == exposed + 1);
            }
            Outcome::DirectGoal => {
                assert!(label.exposed_at_seq.is_none() && label.attack_from_seq.is_some_and(|from| from <= 1))
            }
            Outcome::Resisted => assert!(label.exposed_at_seq.is_some() && label.attack_from_seq.is_none()),
            _ => assert_eq!((label.exposed_at_seq, label.attack_from_seq), (None, None)),
        }
    }
    assert!(
        hijacked > 60 && obeyed_at_once * 3 > hijacked && obeyed_at_once < hijacked,
        "{obeyed_at_once} of {hijacked}"
    );
}

#[test]
fn the_hijackers_values_come_from_the_poisoned_result() {
    let (set, truth) = generate(13, 800);
    let mut seen = 0;
    let mut carried = 0;
    for label in truth.sessions.iter().filter(|label| label.outcome == Outcome::Succeeded) {
        let calls = calls_of(&set, label);
        let poisoned = text_of(calls[label.exposed_at_seq.unwrap() as usize]);
        let goal = &calls[label.attack_goal_seq.unwrap() as usize].args;
        seen += 1;
        carried += usize::from(scalars(goal).iter().any(|value| value.len() > 3 && poisoned.contains(value.as_str())));
    }
    // A cancellation carries only ids that the attacker's own read answered.
    assert!(carried * 10 > seen * 8, "{carried} of {seen}");
}

#[test]
fn honest_agents_use_what_earlier_calls_answered() {
    let (set, truth) = generate(17, 600);
    let (mut late, mut linked) = (0, 0);
    for label in truth.sessions.iter().filter(|label| label.outcome == Outcome::Clean && label.n_calls > 1) {
        let calls = calls_of(&set, label);
        let before: String = calls[..calls.len() - 1].iter().map(|call| text_of(call) + "\n").collect();
        late += 1;
        linked += usize::from(
            scalars(&calls[calls.len() - 1].args)
                .iter()
                .any(|value| value.len() > 3 && before.contains(value.as_str())),
        );
    }
    assert!(linked * 10 > late * 7, "{linked} of {late} last calls carry a value answered before");
}

#[test]
fn values_do_not_repeat_between_sessions() {
    let (set, _) = generate(19, 800);
    let mut owner: HashMap<String, &str> = HashMap::new();
    for call in set.calls.iter().filter(|call| call.tool.as_str() != "predict") {
        for value in scalars(&call.args) {
            let names_a_thing = value.contains('@')
                || value.starts_with("https://")
                || (value.len() > 15
                    && !value.contains(' ')
                    && value.bytes().any(|b| b.is_ascii_digit())
                    && !value.contains(':'));
            if names_a_thing {
                let first = *owner.entry(value.clone()).or_insert(call.session.as_str());
                assert_eq!(first, call.session.as_str(), "`{value}`");
            }
        }
    }
    assert!(owner.len() > 300, "{}", owner.len());
}

#[test]
fn missions_and_planted_texts_are_worded_in_many_ways() {
    let (set, truth) = generate(23, 1_000);
    let missions: HashSet<_> = set.calls.iter().filter_map(|call| call.mission.clone()).collect();
    assert!(missions.len() > 600, "{}", missions.len());
    let ways: HashSet<_> = truth.sessions.iter().filter_map(|label| label.attack_type.clone()).collect();
    assert!(ways.len() >= 7, "{ways:?}");
    let goals: HashSet<_> = truth.sessions.iter().filter_map(|label| label.injection_task.clone()).collect();
    assert_eq!(goals.len(), 18);
}

#[test]
fn copying_clients_cover_more_than_honest_ones() {
    let (set, truth) = generate(29, 1_000);
    let rows = |outcome: &str| -> Vec<Vec<f64>> {
        let ids: HashSet<_> = truth
            .sessions
            .iter()
            .filter(|label| label.outcome.as_str() == outcome)
            .map(|label| &label.session)
            .collect();
        let calls = set.calls.iter().filter(|call| ids.contains(&call.session));
        calls.map(|call| call.args["x"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()).collect()
    };
    let extremes = |rows: &[Vec<f64>]| {
        rows.iter().flatten().filter(|x| **x < 5.0 || **x > 95.0).count() as f64 / rows.len() as f64
    };
    assert!(extremes(&rows("random_uniform")) > 5.0 * extremes(&rows("iid")));
    assert!(
        set.calls
            .iter()
            .filter(|call| call.tool.as_str() == "predict")
            .all(|call| call.args["x"].as_array().is_some_and(|x| x.len() == 16))
    );
}

#[test]
fn an_empty_world_is_empty() {
    let (set, truth) = generate(1, 0);
    assert!(set.calls.is_empty() && set.sessions.is_empty() && truth.sessions.is_empty() && !set.timed);
}

fn scalars(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Array(items) => items.iter().flat_map(scalars).collect(),
        serde_json::Value::Object(fields) => fields.values().flat_map(scalars).collect(),
        serde_json::Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}
