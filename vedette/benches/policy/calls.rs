//! What is asked: the built-in world's calls, session by session.

use datasets::world;
use detector::{FitOptions, TrainingSession};
use schema::{Phase, RawCall};
use std::path::{Path, PathBuf};

/// A model of the world's honest sessions.
pub fn fit(folder: &Path) -> PathBuf {
    let (set, _) = world::generate(SEED, SESSIONS);
    let key = vedette::key::for_data_sets();
    let honest = set.calls_by_session().into_iter().filter(|(meta, _)| meta.split == datasets::Split::Train);
    let sessions: Vec<TrainingSession> = honest
        .map(|(_, calls)| TrainingSession {
            calls: calls.iter().map(|at| schema::seal_for_fit(&set.calls[*at], &key)).collect(),
            pool: None,
        })
        .collect();
    let path = folder.join("model");
    std::fs::write(&path, detector::fit(&sessions, &FitOptions::default()).unwrap().to_bytes()).unwrap();
    path
}

/// Requests of sessions that were not learned from, in the order a busy door sees them: several sessions at a time.
pub fn requests() -> Vec<RawCall> {
    let (set, _) = world::generate(SEED, SESSIONS);
    let others = set.calls_by_session().into_iter().filter(|(meta, _)| meta.split == datasets::Split::Test);
    let sessions: Vec<Vec<RawCall>> =
        others.map(|(_, calls)| calls.iter().map(|at| request(&set.calls[*at])).collect()).collect();
    let mut out = Vec::new();
    for group in sessions.chunks(SESSIONS_AT_ONCE) {
        let longest = group.iter().map(Vec::len).max().unwrap_or(0);
        out.extend((0..longest).flat_map(|at| group.iter().filter_map(move |calls| calls.get(at).cloned())));
    }
    out
}

fn request(call: &RawCall) -> RawCall {
    RawCall { phase: Phase::Request, status: None, result: None, result_bytes: None, ..call.clone() }
}

const SEED: u64 = 7;
const SESSIONS: u32 = 2_000;
const SESSIONS_AT_ONCE: usize = 50;
