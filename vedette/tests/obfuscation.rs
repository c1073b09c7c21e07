//! A hijack is caught whatever its text is written in: base64, percent escapes, letters that look alike, characters that
//! nobody sees. On the built-in world, whose sessions are learned from as they are.

use base64::Engine as _;
use datasets::labels::{Outcome, SessionLabel};
use datasets::{SessionMeta, Split};
use detector::{Detector, FitOptions, SessionState, TrainingSession};
use schema::RawCall;
use serde_json::Value;
use std::sync::LazyLock;

/// The world is small and its hijacks are hard: at 1 % few of them are flagged as they are.
const ALPHA: f64 = 0.05;

struct World {
    detector: Detector,
    /// Calls up to the one that carries the goal, and which one's result holds the attacker's text.
    hijacks: Vec<(Vec<RawCall>, usize)>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let key = vedette::key::for_data_sets();
    let (set, labels) = datasets::world::generate(3, 400);
    let by_session = labels.by_session();
    let played = |(meta, calls): (&SessionMeta, Vec<usize>)| -> (SessionLabel, Vec<RawCall>) {
        (by_session[&meta.session].clone(), calls.into_iter().map(|at| set.calls[at].clone()).collect())
    };
    let sessions: Vec<_> = set.calls_by_session().into_iter().map(played).collect();
    let honest = sessions.iter().filter(|(label, _)| label.split == Split::Train);
    let sealed = |calls: &[RawCall]| calls.iter().map(|call| schema::seal_for_fit(call, &key)).collect();
    let train: Vec<_> = honest.map(|(_, calls)| TrainingSession { calls: sealed(calls), pool: None }).collect();
    let hijacks =
        sessions.iter().filter(|(label, _)| label.split == Split::Test && label.outcome == Outcome::Succeeded);
    let in_time = |(label, calls): &(SessionLabel, Vec<RawCall>)| {
        let (goal, exposed) = (label.attack_goal_seq?, label.exposed_at_seq?);
        Some((calls.iter().take(goal as usize + 1).cloned().collect(), exposed as usize))
    };
    World {
        detector: Detector::new(detector::fit(&train, &FitOptions::default()).unwrap()),
        hijacks: hijacks.filter_map(in_time).collect(),
    }
});

/// Hijacks flagged in time where what the attacker planted is written in another way; the calls stay as they were.
fn caught(written: impl Fn(&str) -> String) -> usize {
    let key = vedette::key::for_data_sets();
    let is_caught = |(calls, exposed): &&(Vec<RawCall>, usize)| {
        let mut state = SessionState::default();
        let mut flagged = false;
        for (at, call) in calls.iter().enumerate() {
            let mut call = call.clone();
            if at == *exposed {
                call.result = call.result.map(|result| rewritten(result, &written));
            }
            flagged |= WORLD.detector.observe(&mut state, &schema::seal(&call, &key)).flagged(ALPHA);
        }
        flagged
    };
    WORLD.hijacks.iter().filter(is_caught).count()
}

/// Every running text in a result.
fn rewritten(value: Value, written: &impl Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) if text.contains(' ') => Value::String(written(&text)),
        Value::Array(items) => items.into_iter().map(|item| rewritten(item, written)).collect(),
        Value::Object(map) => map.into_iter().map(|(name, value)| (name, rewritten(value, written))).collect(),
        other => other,
    }
}

#[track_caller]
fn check(written: impl Fn(&str) -> String) {
    let (plain, found) = (caught(str::to_owned), caught(written));
    assert!(plain >= 20, "{plain} of {} as they are: too few to say anything", WORLD.hijacks.len());
    assert!(found * 10 >= plain * 9, "{found} of {plain}");
}

#[test]
fn base64_hides_no_hijack() {
    check(|text| base64::engine::general_purpose::STANDARD.encode(text));
}

#[test]
fn base64_in_lines_and_twice_hides_no_hijack() {
    check(|text| {
        let encoded = base64::engine::general_purpose::STANDARD.encode(text);
        let lines: Vec<&str> = encoded.as_bytes().chunks(76).map(|line| str::from_utf8(line).unwrap()).collect();
        lines.join("\n")
    });
    let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
    check(|text| encode(&encode(text)));
}

#[test]
fn percent_escapes_hide_no_hijack() {
    check(|text| text.bytes().map(|byte| format!("%{byte:02X}")).collect());
    check(|text| text.replace('%', "%25").replace(' ', "%20").replace('\n', "%0A"));
}

#[test]
fn letters_that_look_alike_hide_no_hijack() {
    check(|text| text.replace('a', "а").replace('e', "е").replace('o', "о").replace('c', "с"));
}

#[test]
fn characters_that_nobody_sees_hide_no_hijack() {
    check(|text| text.chars().flat_map(|c| [c, '\u{200B}']).collect());
    check(|text| format!("\u{202E}{}\u{202C}", text.replace('m', "m\u{2060}").replace('r', "r\u{AD}")));
}
