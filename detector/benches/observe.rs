//! Cost of judging one call after 10, 100 and 1,000 calls, with and without a result text; of a fit; of the forest.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench")]

use detector::{Detector, FitOptions, ForestParams, SessionState, TrainingSession, fit};
use divan::Bencher;
use ndarray::Array2;
use schema::decode::{Received, native};
use schema::{Call, Millis, TenantKey, seal_for_fit};

fn main() {
    divan::main();
}

/// Call `n` of session `s`: a reader and writer of mail, in turn.
fn call(s: usize, n: usize, results: bool) -> Call {
    let text = format!(
        "- id: {n}\n  sender: person{}@example.org\n  subject: Plans for week {}\n  body: We met last week and agreed on the dates; the room is number {n}.\n",
        (s * 7 + n) % 90,
        n % 50
    );
    let tool = ["search_emails", "read_email", "send_email"][n % 3];
    let json = serde_json::json!({"at": n, "seq": n, "session": format!("s-{s}"), "agent": "desk@3", "app": "mail",
        "tool": tool,
        "args": {"recipient": format!("person{}@example.org", (s * 7 + n) % 90), "subject": format!("Plans for week {}", n % 50)},
        "mission": (n == 0).then(|| format!("Write to person{}@example.org about the plans for week {}.", s % 90, s % 50)),
        "status": "ok", "result": results.then(|| text.repeat(7))});
    let received = Received { at: Millis(1_000_000), id: "x".into() };
    seal_for_fit(&native::decode(json.to_string().as_bytes(), &received).unwrap(), &TenantKey::new([7; 32]))
}

fn sessions(count: usize, length: usize) -> Vec<TrainingSession> {
    let calls = |s: usize| (0..2 + s % length).map(|n| call(s, n, true)).collect();
    (0..count).map(|s| TrainingSession { calls: calls(s), pool: None }).collect()
}

fn observe(bencher: Bencher, history: usize, results: bool) {
    let detector = Detector::new(fit(&sessions(200, 6), &FitOptions::default()).unwrap());
    let mut state = SessionState::default();
    for n in 0..history {
        detector.observe(&mut state, &call(3, n, results));
    }
    let next = call(3, history, results);
    bencher.with_inputs(|| state.clone()).bench_local_refs(|state| detector.observe(state, &next));
}

/// With a result text of about 1 KB a call.
#[divan::bench(args = [10, 100, 1_000])]
fn observe_with_results(bencher: Bencher, history: usize) {
    observe(bencher, history, true);
}

#[divan::bench(args = [10, 100, 1_000])]
fn observe_without_results(bencher: Bencher, history: usize) {
    observe(bencher, history, false);
}

#[divan::bench(args = [1_000, 10_000], sample_count = 1, sample_size = 1)]
fn fit_sessions(bencher: Bencher, count: usize) {
    let sessions = sessions(count, 5);
    bencher.bench_local(|| fit(&sessions, &FitOptions::default()).unwrap());
}

#[divan::bench(args = [1, 1_000, 10_000])]
fn forest(bencher: Bencher, rows: usize) {
    let matrix =
        |rows: usize| Array2::from_shape_fn((rows, 57), |(row, at)| ((row * 7919 + at * 104_729) % 1013) as f64);
    let forest = ForestParams::default().grow(matrix(2_000).view()).unwrap();
    let rows = matrix(rows);
    bencher.counter(divan::counter::ItemsCount::new(rows.nrows())).bench(|| forest.score_batch(rows.view()));
}
