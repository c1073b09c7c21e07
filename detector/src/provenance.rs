//! Where an argument's value comes from: what the user asked, an earlier result, an earlier argument, or nowhere.

use crate::state::{Place, SessionState, is_content, tool_hash, weight};
use schema::{Call, Leaf, NameHash, Shape, Token};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where a value comes from, by most of its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Origin {
    /// No content: empty, true, false.
    Empty,
    /// What the user asked.
    Mission,
    /// An earlier result, in plain data at least once.
    Data,
    /// An earlier result, in instruction-like sentences only.
    Instruction,
    /// An earlier call's arguments only.
    Prior,
    /// Nowhere.
    Nowhere,
}

const ORIGINS: usize = 6;

/// One content token of the call, traced.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Traced {
    pub(crate) token: Token,
    /// Leaf it stands in.
    pub(crate) leaf: u16,
    pub(crate) weight: f64,
    pub(crate) mission: bool,
    pub(crate) prior: bool,
    /// Places in results, all told.
    pub(crate) count: u32,
    /// Weakest strength among its places: a value also seen in plain data is cleared.
    pub(crate) weakest: f64,
    /// How far the user stands behind the best of its sources, 0..1.
    pub(crate) named: f64,
}

impl Traced {
    /// Found in a result and not in what the user asked.
    pub(crate) fn is_from_result(&self) -> bool {
        !self.mission && self.count > 0
    }

    pub(crate) fn is_nowhere(&self) -> bool {
        !self.mission && !self.prior && self.count == 0
    }
}

/// Traces every distinct content token of the call's arguments, at most 120.
pub(crate) fn trace(state: &SessionState, call: &Call) -> Vec<Traced> {
    let mut out: Vec<Traced> = Vec::new();
    for (leaf, at) in call.args.iter().zip(0u16..) {
        for token in leaf.tokens.iter().filter(|t| is_content(t)) {
            if out.len() >= TRACED_MAX {
                return out;
            }
            if out.iter().any(|seen| seen.token.fp == token.fp) {
                continue;
            }
            let postings = state.index.get(&token.fp.0).filter(|_| !state.mixed_keys);
            let strengths = postings
                .iter()
                .flat_map(|p| &p.places)
                .filter_map(|place| state.sentence(*place))
                .map(|(_, kept)| f64::from(kept.strength));
            let weakest = strengths.fold(f64::INFINITY, f64::min);
            let sources = postings
                .iter()
                .flat_map(|p| &p.places)
                .filter_map(|place| state.sentence(*place))
                .map(|(seen, _)| f64::from(seen.named));
            let named = sources.fold(0.0, f64::max);
            let count = postings.map_or(0, |p| p.count);
            out.push(Traced {
                token: *token,
                leaf: at,
                // A token that many sentences hold says little about any one of them.
                weight: weight(token.kind) * telling(leaf, token) / (1.0 + 0.5 * libm::log(f64::from(count.max(1)))),
                mission: state.mission.contains_key(&token.fp.0),
                prior: state.prior.contains_key(&token.fp.0),
                count,
                weakest: if weakest.is_finite() { weakest } else { 0.0 },
                named,
            });
        }
    }
    out
}

/// How much of a token's weight counts: the words of running text are written by the agent, often about what it read, and
/// name no target; what they name counts in full.
fn telling(leaf: &Leaf, token: &Token) -> f64 {
    if leaf.shape == Shape::Prose && !token.kind.is_handle() { PROSE_WEIGHT } else { 1.0 }
}

const PROSE_WEIGHT: f64 = 0.2;

/// Tokens traced of one call: one bit each in a mask.
pub(crate) const TRACED_MAX: usize = 112;

/// Origin of one leaf: where most of its weight comes from.
pub(crate) fn origin(leaf: &Leaf, at: u16, traced: &[Traced]) -> Origin {
    if !leaf.tokens.iter().any(is_content) {
        return Origin::Empty;
    }
    let mut masses = [0.0; ORIGINS];
    for token in traced.iter().filter(|t| t.leaf == at) {
        let origin = match token {
            t if t.mission => Origin::Mission,
            t if t.count > 0 && t.weakest >= crate::strength::EXPOSED => Origin::Instruction,
            t if t.count > 0 => Origin::Data,
            t if t.prior => Origin::Prior,
            _ => Origin::Nowhere,
        };
        if let Some(mass) = masses.get_mut(origin as usize) {
            *mass += token.weight;
        }
    }
    let all = [Origin::Mission, Origin::Data, Origin::Instruction, Origin::Prior, Origin::Nowhere];
    let mass = |o: Origin| masses.get(o as usize).copied().unwrap_or(0.0);
    // Every token was traced at an earlier leaf: the value is one used already in this very call.
    let best = all.into_iter().max_by(|a, b| mass(*a).total_cmp(&mass(*b)));
    best.filter(|o| mass(*o) > 0.0).unwrap_or(Origin::Prior)
}

/// Source tool of a leaf's strongest token that stands in a result.
pub(crate) fn source_tool(state: &SessionState, at: u16, traced: &[Traced]) -> Option<(NameHash, Place)> {
    let best =
        traced.iter().filter(|t| t.leaf == at && t.is_from_result()).max_by(|a, b| a.weight.total_cmp(&b.weight))?;
    let place = *state.index.get(&best.token.fp.0)?.places.last()?;
    Some((state.sentence(place)?.0.tool, place))
}

/// What is usual: per argument of a tool, where its values come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Provenance {
    /// (tool, path) → counts by origin.
    leaves: BTreeMap<u64, [u32; ORIGINS]>,
    /// shape → counts by origin, for arguments never seen.
    shapes: BTreeMap<u8, [u32; ORIGINS]>,
    /// (source tool, tool, path) → count; under source 0 the total.
    edges: BTreeMap<u64, u32>,
    /// tool → calls.
    tools: BTreeMap<u64, u32>,
}

impl Provenance {
    /// Counts one benign call.
    pub(crate) fn learn(&mut self, state: &SessionState, call: &Call, traced: &[Traced]) {
        *self.tools.entry(tool_hash(call).0).or_default() += 1;
        for (leaf, at) in call.args.iter().zip(0u16..) {
            let origin = origin(leaf, at, traced) as usize;
            for counts in
                [self.leaves.entry(leaf_key(call, leaf)).or_default(), self.shapes.entry(leaf.shape as u8).or_default()]
            {
                if let Some(count) = counts.get_mut(origin) {
                    *count += 1;
                }
            }
            if let Some((source, _)) = source_tool(state, at, traced) {
                *self.edges.entry(edge_key(source, call, leaf)).or_default() += 1;
                *self.edges.entry(edge_key(NameHash(0), call, leaf)).or_default() += 1;
            }
        }
    }

    /// Surprise, in nats, of a leaf's origin: its argument's own counts, backed by its shape's, backed by uniform.
    pub(crate) fn surprise(&self, call: &Call, leaf: &Leaf, origin: Origin) -> f64 {
        let at = origin as usize;
        let part = |counts: Option<&[u32; ORIGINS]>, prior: f64| {
            let count = counts.and_then(|c| c.get(at)).copied().unwrap_or(0);
            let total: u32 = counts.map_or(0, |c| c.iter().sum());
            (f64::from(count) + PRIOR * prior) / (f64::from(total) + PRIOR)
        };
        let shape = part(self.shapes.get(&(leaf.shape as u8)), 1.0 / ORIGINS as f64);
        -libm::log(part(self.leaves.get(&leaf_key(call, leaf)), shape))
    }

    /// Probability that a value of this argument, where it comes from a result, comes from one of `source`.
    pub(crate) fn edge(&self, source: NameHash, call: &Call, leaf: &Leaf) -> f64 {
        let count = |source| f64::from(self.edges.get(&edge_key(source, call, leaf)).copied().unwrap_or(0));
        (count(source) + 0.2) / (count(NameHash(0)) + 1.0)
    }

    /// Calls of this tool that were learned from.
    pub(crate) fn seen(&self, tool: NameHash) -> u32 {
        self.tools.get(&tool.0).copied().unwrap_or(0)
    }

    /// Whether the tool was seen with this argument.
    pub(crate) fn knows(&self, call: &Call, leaf: &Leaf) -> bool {
        self.leaves.contains_key(&leaf_key(call, leaf))
    }
}

/// Weight of the back-off, in calls.
const PRIOR: f64 = 2.0;

fn leaf_key(call: &Call, leaf: &Leaf) -> u64 {
    tool_hash(call).0.rotate_left(17) ^ NameHash::of("path", leaf.path.as_str()).0
}

fn edge_key(source: NameHash, call: &Call, leaf: &Leaf) -> u64 {
    source.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ leaf_key(call, leaf)
}
