//! Time to learn from 1,000 and 10,000 honest sessions of the built-in world.
#![allow(clippy::unwrap_used, reason = "a bench")]

use detector::{FitOptions, TrainingSession};
use divan::Bencher;
use divan::counter::ItemsCount;
use vedette::cli::{Hidden, Source, Split, WORLD};
use vedette::commands::fit::sealed;
use vedette::source::{Selection, load};

fn main() {
    divan::main();
}

const SESSIONS: [usize; 2] = [1_000, 10_000];

/// `count` honest sessions, sealed.
fn sessions(count: usize) -> Vec<TrainingSession> {
    // A little more than half of the world's sessions are for fitting.
    let source = Source { data: None, world_seed: 7, world_sessions: count as u32 * 3 };
    let loaded = load(&source, WORLD, None, Hidden::default()).unwrap();
    let selection = Selection { split: Split::Train, ..Selection::default() };
    let mut sessions = sealed(&loaded, &selection, &vedette::key::for_data_sets()).unwrap();
    assert!(sessions.len() >= count, "{} sessions", sessions.len());
    sessions.truncate(count);
    sessions
}

#[divan::bench(args = SESSIONS, sample_count = 3, sample_size = 1)]
fn fit(bencher: Bencher, count: usize) {
    let sessions = sessions(count);
    let calls: usize = sessions.iter().map(|session| session.calls.len()).sum();
    bencher.counter(ItemsCount::new(calls)).bench_local(|| detector::fit(&sessions, &FitOptions::default()).unwrap());
}
