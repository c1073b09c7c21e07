//! What operators do beside serving: a log that can be derived again, files that are read again, allowances.

use crate::fitted::FITTED;
use detector::Detector;
use policy::server::{AppState, Question};
use policy::{PolicySet, Record};
use schema::{Ladder, Mode, Phase, RawCall};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};
use vedette::commands::{decisions, explain, policy as server};
use vedette::config::Config;

fn state(config: &Config, detector: Detector) -> AppState {
    let parts = vedette::parts::for_data_sets(config, detector).unwrap();
    let mut state = server::state(parts, config).unwrap();
    // A busy machine is not what is tested here.
    state.routes.default.deadline_ms = 30_000;
    state
}

async fn ask(state: &AppState, raw: RawCall) -> policy::server::Judged {
    state.judge(Question::of(raw, "test")).await.unwrap()
}

fn records(path: &Path) -> Vec<Record> {
    let mut records = Vec::new();
    decisions::each(path, |_, record| records.push(record)).unwrap();
    records
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_logged_decision_is_derived_again_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.jsonl");
    let (detector, calls) = (&FITTED.detector, FITTED.others.concat());
    let mut config = Config::default();
    config.policy.mode = Mode::Enforce;
    let mut state = state(&config, detector.clone());
    let log = server::Log::open(Some(&path), None, None).unwrap();
    state.log = Some(log.decisions.clone());
    for call in calls.iter().take(600) {
        let request = RawCall { phase: Phase::Request, status: None, result: None, result_bytes: None, ..call.clone() };
        ask(&state, request).await;
        state.scorer.result(RawCall { phase: Phase::Result, ..call.clone() }).await.unwrap();
    }
    drop(state);
    tokio::task::spawn_blocking(move || log.close()).await.unwrap();

    let (records, policies) = (records(&path), PolicySet::default());
    assert_eq!(records.len(), calls.len().min(600));
    for record in &records {
        let told = explain::decision::tell(record, &policies, detector);
        assert!(told.same && !told.text.contains("OTHERWISE"), "{}", told.text);
    }
    let stopped = records.iter().find(|record| record.decision.would == Ladder::Deny).expect("no hijack was denied");
    let told = explain::decision::tell(stopped, &policies, detector);
    assert!(told.text.contains("decision from the verdict: the same") && told.text.contains("turn"), "{}", told.text);
    // One number of what it rests on, changed: it shows.
    let mut forged = stopped.clone();
    forged.rests_on.as_mut().unwrap().verdict.p_value = schema::PValue::clamped(0.5);
    assert!(!explain::decision::tell(&forged, &policies, detector).same);
    // Nothing of a value is in the log.
    let text = std::fs::read_to_string(&path).unwrap();
    for value in calls.iter().take(50).flat_map(|call| call.args.as_object().into_iter().flatten()) {
        if let Some(value) = value.1.as_str().filter(|value| value.len() > 9) {
            assert!(!text.contains(value), "the log holds an argument");
        }
    }
}

/// Writes a file and makes sure that its time differs from the one before.
fn change(path: &Path, text: &str, second: u64) {
    std::fs::write(path, text).unwrap();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_343_040 + second);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
}

#[tokio::test]
async fn policies_allowlist_and_the_one_switch_are_read_again_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let [policies, allowed, settings] = ["p.cedar", "allow.jsonl", "vedette.toml"].map(|name| folder.path().join(name));
    change(&policies, PolicySet::DEFAULT, 0);
    change(&settings, "[policy]\nmode = \"enforce\"\n", 0);
    let mut config = vedette::config::load(Some(&settings)).unwrap();
    (config.policy.file, config.policy.allow_file) = (policies.clone(), allowed.clone());
    let state = state(&config, Detector::learning());
    let mut watch = server::Watch::new(&config, Some(&settings));
    let (first, mode) =
        (state.policies.now().digest(), |state: &AppState| state.modes.load().at(None, None, schema::Millis(0)));
    assert_eq!(mode(&state), Mode::Enforce);

    change(&policies, "permit (principal, action, resource) when { context.nonsense };", 1);
    change(&settings, "[policy]\nmood = \"enforce\"\n", 1);
    change(&allowed, "nonsense\n", 1);
    watch.look(&state);
    assert_eq!((state.policies.now().digest(), mode(&state)), (first, Mode::Enforce));
    assert!(state.allowlist.load().entries().is_empty());

    change(&policies, "permit (principal, action, resource);", 2);
    change(&settings, "[policy]\nmode = \"enforce\"\nobserve_all = true\n", 2);
    change(&allowed, r#"{"id":"x","tool":"t","owner":"o","reason":"r","expires":1}"#, 2);
    watch.look(&state);
    assert_ne!(state.policies.now().digest(), first);
    assert_eq!((mode(&state), state.allowlist.load().entries().len()), (Mode::Observe, 1));
}

fn vedette(arguments: &[&str], folder: &Path) -> (bool, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_vedette")).args(arguments).current_dir(folder).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
    (out.status.success(), text)
}

#[test]
fn scenarios_pass_on_the_built_in_policies_and_a_diff_says_what_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/../policy/policies/default.test.yaml");
    let (passed, said) = vedette(&["policy", "test", shipped], folder.path());
    assert!(passed && said.contains(" 0 failed"), "{said}");
    std::fs::write(folder.path().join("lax.cedar"), "@id(\"all\") permit (principal, action, resource);").unwrap();
    let (passed, said) = vedette(&["policy", "test", shipped, "--policies", "lax.cedar"], folder.path());
    assert!(!passed && said.contains("- decision: deny\n  + decision: allow"), "{said}");
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/policy.test.yaml");
    let (passed, said) = vedette(&["policy", "test", example], folder.path());
    assert!(passed, "{said}");
    let (printed, text) = vedette(&["policy", "default"], folder.path());
    assert!(printed && text == PolicySet::DEFAULT);
}

#[test]
fn the_example_configuration_is_one() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/vedette.toml");
    vedette::config::load(Some(Path::new(example))).unwrap();
}

#[test]
fn an_allowance_is_added_listed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| vedette(&line.split(' ').collect::<Vec<_>>(), folder.path());
    let add = "allow add --file a.jsonl --id batch --tool export --owner ada --reason audit --expires 7d";
    assert!(run(add).0);
    let (listed, said) = run("allow list --file a.jsonl");
    assert!(listed && said.contains("batch  tool=export  168 h left  ada: audit"), "{said}");
    let (twice, said) = run(add);
    assert!(!twice && said.contains("stands twice"), "{said}");
    let (everything, said) = run("allow add --file a.jsonl --id all --owner ada --reason audit --expires 7d");
    assert!(!everything && said.contains("covers every call"), "{said}");
    assert!(run("allow remove batch --file a.jsonl").0);
    let (again, said) = run("allow remove batch --file a.jsonl");
    assert!(!again && said.contains("has no entry `batch`"), "{said}");
    let (unnamed, said) = run("allow list");
    assert!(!unnamed && said.contains("policy.allow_file"), "{said}");
}

#[test]
fn a_log_that_was_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.jsonl");
    let why = schema::PolicyId::new("fallback:deadline").unwrap();
    let id = schema::CallId::new("r-1").unwrap();
    let decision = policy::fall_back(id, policy::Fallback::Deny, why, &PolicySet::default(), Mode::Shadow);
    let at = schema::Millis(1_795_343_040_062);
    let record = Record {
        v: 1,
        n: 0,
        prev: schema::Digest([0; 32]),
        at,
        door: "native".into(),
        route: None,
        decision,
        rests_on: None,
    };
    let line = policy::Chain::default().append(record) + "\n";
    std::fs::write(&path, &line).unwrap();
    let run = |line: &str| vedette(&line.split(' ').collect::<Vec<_>>(), folder.path());
    let (listed, said) = run("decisions list --log d.jsonl");
    assert!(listed && said.contains("2026-11-22T10:24:00Z  allow (would deny)  r-1"), "{said}");
    assert!(said.contains("would have denied 1 of 1") && said.contains("fallback:deadline (1)"), "{said}");
    assert!(run("decisions check --log d.jsonl").1.contains("1 decisions, none changed"));
    assert!(run("explain r-1 --log d.jsonl").1.contains("the route's fallback decided"));
    std::fs::write(&path, line.replace("native", "nature")).unwrap();
    let (holds, said) = run("decisions check --log d.jsonl");
    assert!(!holds && said.contains("line 1 was changed"), "{said}");
}
