//! Back-off by scope: tenant → class of agents → agent → this session, each narrowing the one before; and the shape of
//! arguments by tool. A scope is a Dirichlet prior for the next: with little seen the wider one speaks.
//! Source: MacKay and Bauman Peto, "A hierarchical Dirichlet language model", Nat. Lang. Eng. 1(3), 1995.

use super::{SequenceState, Symbol, mix};
use crate::fp::FpMap;
use serde::{Deserialize, Serialize};

/// How often things were seen, by hash; mergeable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Flat", into = "Flat")]
pub(super) struct Tally(FpMap<u32>);

/// The same as the file has it: keys, ascending, and their counts.
#[derive(Serialize, Deserialize)]
struct Flat {
    keys: Vec<u64>,
    counts: Vec<u32>,
}

impl From<Flat> for Tally {
    fn from(flat: Flat) -> Self {
        Self(flat.keys.into_iter().zip(flat.counts).collect())
    }
}

impl From<Tally> for Flat {
    fn from(tally: Tally) -> Self {
        let mut entries: Vec<(u64, u32)> = tally.0.into_iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        let (keys, counts) = entries.into_iter().unzip();
        Self { keys, counts }
    }
}

/// How often the tool followed the one before, out of how often anything did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Ratio {
    pub(super) hits: u32,
    pub(super) of: u32,
}

/// By class, by agent, in this session.
pub(super) type Scopes = [Ratio; 3];
/// Of the arguments' shape: by tool, by tool after the tool before.
pub(super) type Shapes = [Ratio; 2];

/// Weight of each wider scope in calls, chosen on held-out sessions by their likelihood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Strengths {
    pub(super) scopes: [f64; 3],
    pub(super) shapes: [f64; 2],
}

/// What a strength is chosen from; the last one lets the narrower scope say nothing.
pub(super) const GRID: [f64; 7] = [0.5, 2.0, 8.0, 32.0, 128.0, 512.0, 1e12];

impl Default for Strengths {
    fn default() -> Self {
        Self { scopes: [1e12; 3], shapes: [8.0; 2] }
    }
}

impl Strengths {
    /// The tool's probability, from the widest scope's down.
    pub(super) fn narrow(&self, of_tenant: f64, scopes: &Scopes) -> f64 {
        self.scopes.iter().zip(scopes).fold(of_tenant, |p, (strength, ratio)| ratio.narrow(p, *strength))
    }

    /// The shape's probability.
    pub(super) fn shape(&self, shapes: &Shapes) -> f64 {
        self.shapes.iter().zip(shapes).fold(ONE_SHAPE, |p, (strength, ratio)| ratio.narrow(p, *strength))
    }
}

impl Ratio {
    /// The posterior mean under a prior of `strength` calls at `p`.
    pub(super) fn narrow(&self, p: f64, strength: f64) -> f64 {
        (f64::from(self.hits) + strength * p) / (f64::from(self.of) + strength)
    }
}

impl Tally {
    /// Counts sessions.
    pub(super) fn of<'s>(sessions: impl Iterator<Item = &'s [Symbol]>) -> Self {
        let mut tally = Self::default();
        for session in sessions {
            let mut before = START;
            for call in session {
                let keys = [scope_keys(before, call), shape_keys(before, call)];
                keys.into_iter().flatten().flatten().for_each(|key| tally.count(key, 1));
                before = call.tool.0;
            }
        }
        tally
    }

    /// The counts of both.
    pub(super) fn merge(&self, other: &Self) -> Self {
        let mut merged = self.clone();
        other.0.iter().for_each(|(key, count)| merged.count(*key, *count));
        merged
    }

    /// What the scopes know of `next` after the session's last call.
    pub(super) fn counts_of(&self, state: &SequenceState, next: &Symbol) -> Scopes {
        let before = state.recent.back().map_or(START, |tool| tool.0);
        let [class, agent] = scope_keys(before, next).map(|[hit, all]| self.ratio(hit, all));
        [class, agent, state.own(next.tool)]
    }

    /// What is known of the shape of `next`'s arguments.
    pub(super) fn shapes_of(&self, state: &SequenceState, next: &Symbol) -> Shapes {
        let before = state.recent.back().map_or(START, |tool| tool.0);
        shape_keys(before, next).map(|[hit, all]| self.ratio(hit, all))
    }

    fn ratio(&self, hit: u64, all: u64) -> Ratio {
        Ratio { hits: self.get(hit), of: self.get(all) }
    }

    fn get(&self, key: u64) -> u32 {
        self.0.get(&key).copied().unwrap_or(0)
    }

    fn count(&mut self, key: u64, n: u32) {
        let count = self.0.entry(key).or_default();
        *count = count.saturating_add(n);
    }
}

/// Prior probability of any one shape of a tool's arguments.
const ONE_SHAPE: f64 = 1.0 / 16.0;
/// What stands before a session's first call.
pub(super) const START: u64 = 0x7374_6172_745f_5f5f;

/// Of class and agent: the keys of "this tool after that" and "anything after that".
fn scope_keys(before: u64, call: &Symbol) -> [[u64; 2]; 2] {
    [(1, call.class), (2, call.agent)].map(|(kind, scope)| {
        let all = mix(mix(kind, scope), before);
        [mix(all, call.tool.0), all]
    })
}

/// Of the tool, and of the tool after the one before: the keys of "this shape" and "any shape".
fn shape_keys(before: u64, call: &Symbol) -> [[u64; 2]; 2] {
    let of_tool = mix(3, call.tool.0);
    [of_tool, mix(of_tool, before)].map(|all| [mix(all, call.shape), all])
}
