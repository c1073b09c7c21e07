//! What a session's order leaves behind, bounded.

use super::tally::Ratio;
use super::{Markov, Step, Symbol};
use schema::{NameHash, Risk};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The last calls and the highest of each view so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SequenceState {
    /// Tools of the last [`WINDOW`] calls, newest last.
    pub(super) recent: VecDeque<NameHash>,
    /// Calls so far.
    calls: u64,
    /// Sum of the tools' surprise so far, in nats.
    surprise: f64,
    /// Sum of novelty so far.
    novel: f64,
    /// Highest surprise (nats), novelty rate, profile distance.
    highest: [f64; 3],
    /// As a risk.
    risk: f64,
}

/// Calls that the mix is taken over, and that the session's own habits are read from.
pub(super) const WINDOW: usize = 160;
/// Calls' worth of nothing new that a session starts with: a rate over few calls says little.
const HEAD_START: f64 = 20.0;
/// Ordinary calls that a session's mean surprise starts with.
const HEAD_CALLS: f64 = 2.0;
/// The mix is looked at after each of this many first calls, then after every eighth.
const EARLY: u64 = 16;
const EVERY: u64 = 8;

impl SequenceState {
    /// Moves past a call.
    pub(crate) fn advance(&mut self, model: &Markov, next: &Symbol) {
        self.advance_by(model, &model.step(self, next), next);
    }

    /// The same, where the step is known already.
    pub(crate) fn advance_by(&mut self, model: &Markov, step: &Step, next: &Symbol) {
        self.surprise += model.surprise(step, next);
        self.push(next.tool);
        self.novel += f64::from(step.novel);
        let [surprise, rate, far] = &mut self.highest;
        *surprise = surprise.max(-libm::log(step.p) - libm::log(step.shape));
        *rate = rate.max(self.novel / (self.calls as f64 + HEAD_START));
        if is_looked_at(self.calls) {
            *far = far.max(model.profile.distance(self.recent.iter().map(|tool| model.chain.symbol(*tool))));
        }
        self.risk = model.risk(&self.highest).get();
    }

    /// Mean surprise of the session's tools with `next`, a `step` from here, in nats; a few ordinary ones are counted in.
    pub(crate) fn mean_surprise(&self, model: &Markov, step: &Step, next: &Symbol) -> f64 {
        let sum = self.surprise + model.surprise(step, next);
        (sum + HEAD_CALLS * Markov::ORDINARY) / (self.calls as f64 + 1.0 + HEAD_CALLS)
    }

    /// The same with only the `n` newest tools.
    pub(crate) fn last(&self, n: usize) -> Self {
        let recent = self.recent.iter().skip(self.recent.len().saturating_sub(n)).copied().collect();
        Self { recent, ..self.clone() }
    }

    /// Keeps a tool without judging it.
    pub(super) fn push(&mut self, tool: NameHash) {
        if self.recent.len() >= WINDOW {
            self.recent.pop_front();
        }
        self.recent.push_back(tool);
        self.calls = self.calls.saturating_add(1);
    }

    /// What the order and mix of calls say of the session so far; never falls.
    pub(crate) fn risk(&self) -> Risk {
        Risk::clamped(self.risk)
    }

    /// Highest surprise (nats), novelty rate, profile distance so far.
    pub(super) fn highest(&self) -> [f64; 3] {
        self.highest
    }

    /// How often `next` followed the last tool in this session.
    pub(super) fn own(&self, next: NameHash) -> Ratio {
        let Some(last) = self.recent.back() else { return Ratio::default() };
        let mut ratio = Ratio::default();
        for (tool, after) in self.recent.iter().zip(self.recent.iter().skip(1)) {
            ratio.of += u32::from(tool == last);
            ratio.hits += u32::from(tool == last && *after == next);
        }
        ratio
    }
}

/// Whether the mix is looked at after this many calls.
pub(super) fn is_looked_at(calls: u64) -> bool {
    calls <= EARLY || calls.is_multiple_of(EVERY)
}
