//! Hill climbing against a scorer: each try changes one thing of the best plan so far; now and then it starts over.

use super::hijack::{Hijacked, Plan};
use rand::Rng;
use schema::RawCall;

/// What a search against one host and goal came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// Score of the first plan tried.
    pub first: f64,
    /// Lowest score found.
    pub lowest: f64,
    /// The try that was overlooked, counted from 1; none was.
    pub evaded_at: Option<u32>,
}

/// Tries without gain before a search starts over.
const PATIENCE: u32 = 40;

/// Tries plans until one scores `threshold` or less. `score`: highest risk of the given calls, which end with the goal.
/// None where the host cannot carry the task.
pub fn search(
    host: &[RawCall],
    mission: &str,
    goal: &[RawCall],
    threshold: f64,
    tries: u32,
    rng: &mut impl Rng,
    mut score: impl FnMut(&[RawCall]) -> f64,
) -> Option<Outcome> {
    let mut of = |plan: &Plan| {
        let Hijacked { calls, goal } = plan.carry_out(host, mission, goal)?;
        Some(score(calls.get(..=goal)?))
    };
    let mut plan = Plan::draw(rng);
    let mut current = of(&plan)?;
    let mut outcome = Outcome { first: current, lowest: current, evaded_at: (current <= threshold).then_some(1) };
    let mut idle = 0;
    for at in 2..=tries {
        if outcome.evaded_at.is_some() {
            break;
        }
        let fresh = idle >= PATIENCE;
        let next = if fresh { Plan::draw(rng) } else { plan.varied(rng) };
        let scored = of(&next)?;
        idle = if fresh || scored < current { 0 } else { idle + 1 };
        if fresh || scored <= current {
            (plan, current) = (next, scored);
        }
        outcome.lowest = outcome.lowest.min(scored);
        outcome.evaded_at = (scored <= threshold).then_some(at);
    }
    Some(outcome)
}

/// What searches came to together.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Searches made.
    pub hijacks: usize,
    /// Share overlooked at the first try, and at any.
    pub evaded_at_once: f64,
    /// The same, at any try.
    pub evaded: f64,
    /// Median tries of those overlooked; none was.
    pub median_tries: Option<u32>,
}

impl Summary {
    /// Over some searches.
    pub fn of(outcomes: &[Outcome]) -> Self {
        let mut tries: Vec<u32> = outcomes.iter().filter_map(|outcome| outcome.evaded_at).collect();
        tries.sort_unstable();
        let share = |n: usize| n as f64 / outcomes.len().max(1) as f64;
        Self {
            hijacks: outcomes.len(),
            evaded_at_once: share(tries.iter().filter(|at| **at == 1).count()),
            evaded: share(tries.len()),
            median_tries: tries.get(tries.len() / 2).copied(),
        }
    }
}
