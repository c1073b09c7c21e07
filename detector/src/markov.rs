//! Sequence model: how usual a session's order of calls is.
//!
//! Three views of one sequence, each with its own memory of what ordinary sessions do:
//! * *surprise* of the call after the calls before: variable order ([`chain`]) over the tenant's tools, narrowed by
//!   what this class of agents, this agent and this very session do ([`tally`]), plus that of the arguments' shape;
//! * *novelty*: how short a run of calls must be cut before it was ever seen, as a rate over the session;
//! * *profile*: how far the mix of the last calls is from any mix seen ([`profile`]), which order cannot show.
//!
//! Each is standardised by what held-out training sessions reach at most, and their sum is the session's score.

mod chain; // interpolated Kneser-Ney
mod counts; // n-grams, mergeable
mod fit; // sessions → model
mod profile; // mixes of calls
mod state; // what a session leaves behind
mod tally; // back-off by scope

pub(crate) use fit::Sequence;
pub(crate) use state::SequenceState;

use chain::Chain;
use profile::Profile;
use schema::{Agent, App, Call, NameHash, Risk};
use serde::{Deserialize, Serialize};
use tally::{Strengths, Tally};

/// Longest context.
pub(crate) const ORDER: usize = 5;

/// A fitted sequence model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Markov {
    /// Tools of all the tenant's sessions.
    chain: Chain,
    /// The same by class of agents and by agent, and shapes of arguments by tool.
    tally: Tally,
    strengths: Strengths,
    profile: Profile,
    /// Of surprise, novelty rate and profile distance: highest of a held-out session.
    levels: [Level; 3],
    /// Of the session's score.
    score: Level,
}

/// Where the highest value of ordinary sessions lies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Level {
    middle: f64,
    high: f64,
}

/// One call as the sequence model sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Symbol {
    /// The tool.
    pub(crate) tool: NameHash,
    /// The tool and the names and shapes of its arguments.
    shape: u64,
    /// The app and the agent without its version; the agent as it is.
    class: u64,
    agent: u64,
}

/// What one call adds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    /// Probability of the tool, in (0, 1].
    pub(crate) p: f64,
    /// Probability of the arguments' shape given the tool, in (0, 1].
    pub(crate) shape: f64,
    /// Of the runs of 1 to `ORDER + 1` calls that end here, how many were never seen.
    pub(crate) novel: u32,
}

impl Markov {
    /// What `next` adds to a session.
    pub(crate) fn step(&self, state: &SequenceState, next: &Symbol) -> Step {
        let (mut history, n) = ([chain::UNKNOWN; ORDER], state.recent.len());
        for (back, slot) in history.iter_mut().rev().enumerate() {
            let tool = n.checked_sub(back + 1).and_then(|at| state.recent.get(at));
            *slot = tool.map_or(chain::START, |tool| self.chain.symbol(*tool));
        }
        let (of_tenant, seen) = self.chain.probability(&history, self.chain.symbol(next.tool));
        let p = self.strengths.narrow(of_tenant, &self.tally.counts_of(state, next));
        let shape = self.strengths.shape(&self.tally.shapes_of(state, next));
        Step { p, shape, novel: (ORDER as u32 + 1).saturating_sub(seen) }
    }

    /// Probability of the call's tool after the session's calls, in (0, 1].
    pub(crate) fn probability(&self, state: &SequenceState, call: &Call) -> f64 {
        self.step(state, &Symbol::of(call)).p
    }

    /// Surprise of an ordinary call, in nats.
    const ORDINARY: f64 = 2.0;

    /// Surprise of a step, in nats. A tool never seen says that the task is new, not that the order is odd.
    fn surprise(&self, step: &Step, next: &Symbol) -> f64 {
        if self.knows(next.tool) { -libm::log(step.p) } else { Self::ORDINARY }
    }

    /// Whether the tool was ever seen.
    pub(crate) fn knows(&self, tool: NameHash) -> bool {
        self.chain.symbol(tool) != chain::UNKNOWN
    }

    /// A session as a risk, from the highest of each view so far: a sum of how far each lies beyond ordinary ones. 0.5
    /// where one in a hundred ordinary sessions ever gets, and never saturating.
    fn risk(&self, highest: &[f64; 3]) -> Risk {
        let sum = self.levels.iter().zip(highest).map(|(level, value)| level.of(*value)).sum();
        let z = self.score.of(sum) - 1.0;
        Risk::clamped(0.5 * (1.0 + z / (1.0 + z.abs())))
    }
}

impl Level {
    /// From the highest of each held-out session: its middle and what a share of sessions stays below.
    fn new(mut highest: Vec<f64>, share: f64, least: f64) -> Self {
        highest.sort_unstable_by(f64::total_cmp);
        let last = highest.len().saturating_sub(1);
        let at = |share: f64| highest.get(((highest.len() as f64 * share) as usize).min(last)).copied().unwrap_or(0.0);
        let middle = at(0.5);
        Self { middle, high: at(share).max(middle + least) }
    }

    /// 0 in the middle, 1 at the high end.
    fn of(&self, value: f64) -> f64 {
        (value - self.middle) / (self.high - self.middle).max(1e-9)
    }
}

impl Symbol {
    /// A call's symbol. Names and shapes only: no value, and no part of the agent's name means anything by itself.
    pub(crate) fn of(call: &Call) -> Self {
        let tool = call.tool.name_hash();
        let app = NameHash::of("app", call.app.as_ref().map_or("", App::as_str)).0;
        Self {
            tool,
            shape: call.args.iter().fold(tool.0, |hash, leaf| {
                // A sum: the order of arguments does not matter.
                hash.wrapping_add(mix(leaf.path.name_hash().0, leaf.shape as u64 + 1))
            }),
            class: mix(app, NameHash::of("agent class", class_of(&call.agent)).0),
            agent: mix(app, NameHash::of("agent", call.agent.as_str()).0),
        }
    }
}

/// The agent without its version: `travel-planner@3.2` is a `travel-planner`.
fn class_of(agent: &Agent) -> &str {
    agent.as_str().split('@').next().unwrap_or_default()
}

/// Mixes a word into a hash; not commutative.
fn mix(hash: u64, word: u64) -> u64 {
    let mixed = (hash.rotate_left(23) ^ word).wrapping_mul(0x2545_f491_4f6c_dd1d);
    mixed ^ (mixed >> 29)
}

#[cfg(test)]
mod tests;
