//! Sessions as one ordered stream, with faults on request. Times are when a record arrives; the call's own time stays as
//! recorded. Waiting is the caller's: it divides the gaps by whatever speed it wants.

use crate::Dataset;
use rand::{Rng as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use schema::Millis;

/// What goes wrong on the way. All shares are of the calls, 0 to 1, and 0 unless asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Faults {
    /// Arrive up to [`LATE_MS_MAX`] after their time.
    pub late: f64,
    /// Arrive a second time, up to [`LATE_MS_MAX`] later.
    pub repeated: f64,
    /// Change places with the next call of their session.
    pub reordered: f64,
    /// Which calls, and how the sessions of a set without times are interleaved.
    pub seed: u64,
}

/// Latest a late or repeated call arrives.
pub const LATE_MS_MAX: u64 = 120_000;
/// Gap between the starts of two sessions of a set without times.
const START_GAP_MS: u64 = 700;

/// Every call in the order it arrives: (time of arrival, index into `calls`).
///
/// A set with times keeps them. Sessions of a set without start one after another in a seeded order, each at its own pace, so
/// that several are under way at once. Without faults, calls of one session arrive in file order.
pub fn stream(set: &Dataset, faults: &Faults) -> Vec<(Millis, usize)> {
    let mut rng = ChaCha8Rng::seed_from_u64(faults.seed);
    let mut arrivals = if set.timed { timed(set) } else { interleaved(set, &mut rng) };
    // Stable: calls of one session at one time stay in file order.
    arrivals.sort_by_key(|(at, _)| *at);
    if *faults == (Faults { seed: faults.seed, ..Faults::default() }) {
        return arrivals;
    }
    reorder(set, &mut arrivals, faults.reordered, &mut rng);
    let mut broken = Vec::with_capacity(arrivals.len());
    for (at, call) in arrivals {
        let later = |rng: &mut ChaCha8Rng| Millis(at.0.saturating_add(rng.random_range(1..=LATE_MS_MAX)));
        let late = rng.random_bool(share(faults.late));
        broken.push((if late { later(&mut rng) } else { at }, call));
        if rng.random_bool(share(faults.repeated)) {
            broken.push((later(&mut rng), call));
        }
    }
    broken.sort_by_key(|(at, _)| *at);
    broken
}

fn share(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

fn timed(set: &Dataset) -> Vec<(Millis, usize)> {
    // A clock that stepped back within a session must not reorder it: a call arrives no earlier than the one before.
    let mut last = std::collections::HashMap::new();
    let arrivals = set.calls.iter().enumerate().map(|(index, call)| {
        let at = last.entry(&call.session).and_modify(|at: &mut Millis| *at = (*at).max(call.at)).or_insert(call.at);
        (*at, index)
    });
    arrivals.collect()
}

fn interleaved(set: &Dataset, rng: &mut ChaCha8Rng) -> Vec<(Millis, usize)> {
    // In an order of their ids, so that a permuted file gives the same stream.
    let mut sessions = set.calls_by_session();
    sessions.sort_by(|(a, _), (b, _)| a.session.cmp(&b.session));
    sessions.shuffle(rng);
    let starts = (0u64..).map(|n| n.saturating_mul(START_GAP_MS));
    let calls =
        sessions.iter().zip(starts).flat_map(|((_, calls), start)| calls.iter().map(move |call| (start, *call)));
    calls.filter_map(|(start, index)| Some((Millis(start.saturating_add(set.calls.get(index)?.at.0)), index))).collect()
}

/// Exchanges chosen calls with the next of their session.
fn reorder(set: &Dataset, arrivals: &mut [(Millis, usize)], part: f64, rng: &mut ChaCha8Rng) {
    let mut held = std::collections::HashMap::new();
    for place in 0..arrivals.len() {
        let Some(session) = arrivals.get(place).and_then(|(_, call)| set.calls.get(*call)).map(|call| &call.session)
        else {
            continue;
        };
        if let Some(earlier) = held.remove(session) {
            swap_calls(arrivals, earlier, place);
        } else if rng.random_bool(share(part)) {
            held.insert(session, place);
        }
    }
}

fn swap_calls(arrivals: &mut [(Millis, usize)], a: usize, b: usize) {
    if let Ok([(_, first), (_, second)]) = arrivals.get_disjoint_mut([a, b]) {
        std::mem::swap(first, second);
    }
}
