//! Where an argument's value comes from: what the user asked, an earlier result, an earlier argument, or nowhere.

use crate::fp::{FpMap, sorted};
use crate::state::{Place, SessionState, is_content, tool_hash, weight};
use schema::{Call, Fp, Leaf, NameHash, Shape, Token, TokenKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

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
    /// Strength of the weakest passage it stands in: a value also seen in plain data is cleared.
    pub(crate) bound: f64,
    /// The same of its sentences and their direct neighbours alone.
    pub(crate) alone: f64,
    /// How far the user stands behind the best of its sources, 0..1.
    pub(crate) named: f64,
    /// How far the user named what it belongs to: a page on a host that was asked for.
    pub(crate) familiar: f64,
    /// How freely the argument is chosen: 1 where every task has its own value, less where tasks share a few.
    pub(crate) free: f64,
    /// Stands in running text.
    pub(crate) prose: bool,
    /// The last part of the path before it, which counts for both.
    pub(crate) part: bool,
}

impl Traced {
    /// Found in a result and not in what the user asked.
    pub(crate) fn is_from_result(&self) -> bool {
        !self.mission && self.count > 0
    }

    pub(crate) fn is_nowhere(&self) -> bool {
        !self.mission && !self.prior && self.count == 0
    }

    /// A handle taken from a result that is a value of its own, not part of running text.
    pub(crate) fn is_target(&self) -> bool {
        self.is_from_result() && self.token.kind.is_handle() && !self.prose
    }
}

/// Traces every distinct content token of the call's arguments, at most [`TRACED_MAX`].
pub(crate) fn trace(state: &SessionState, call: &Call, tables: &Provenance) -> Vec<Traced> {
    let mut out: Vec<Traced> = Vec::new();
    for (leaf, at) in call.args.iter().zip(0u16..) {
        let (spread, lone) = tables.spread(call, leaf);
        let prose = leaf.shape == Shape::Prose;
        let parts = path_parts(&leaf.tokens);
        for ((token, next), part) in
            leaf.tokens.iter().zip(leaf.tokens.iter().skip(1).map(Some).chain([None])).zip(parts)
        {
            if !is_content(token) {
                continue;
            }
            if out.len() >= TRACED_MAX {
                return out;
            }
            if out.iter().any(|seen| seen.token.fp == token.fp) {
                continue;
            }
            let postings = state.index.get(token.fp.0).filter(|_| !state.mixed_keys);
            let (alone, bound) = postings.map_or((0.0, 0.0), |p| state.weakest(p));
            let sources = postings
                .iter()
                .flat_map(|p| &p.places)
                .filter_map(|place| state.sentence(*place))
                .map(|(seen, _)| f64::from(seen.named));
            let host = next.filter(|next| token.kind == TokenKind::Url && next.kind == TokenKind::Host);
            let on_asked_host = host.is_some_and(|host| state.mission.contains_key(&host.fp.0));
            out.push(Traced {
                token: *token,
                leaf: at,
                weight: if part { PART } else { 1.0 }
                    * weight(token.kind)
                    * telling(token.kind, prose)
                    * (0.1 + 0.9 * (1.5 * spread).min(1.0)),
                mission: state.mission.contains_key(&token.fp.0),
                prior: state.prior.contains_key(&token.fp.0),
                count: postings.map_or(0, |p| p.count),
                bound,
                alone,
                named: sources.fold(0.0, f64::max),
                familiar: if on_asked_host { 0.9 } else { 0.0 },
                free: 0.1 + 0.9 * lone,
                prose,
                part,
            });
        }
    }
    out
}

/// Weight of a path's last part beside the path's own.
const PART: f64 = 0.3;

/// Of each token: whether it is the last part of the path that stands before it.
pub(crate) fn path_parts(tokens: &[Token]) -> impl Iterator<Item = bool> {
    let mut whole = false; // the token before is a path, and no part
    tokens.iter().map(move |token| {
        let part = whole && token.kind == TokenKind::Path;
        whole = token.kind == TokenKind::Path && !part;
        part
    })
}

/// How much of a token's weight counts: the words of running text are written by the agent, often about what it read, and
/// name no target; what they name counts for more.
fn telling(kind: TokenKind, prose: bool) -> f64 {
    match (prose, kind.is_handle()) {
        (false, _) => 1.0,
        (true, true) => 0.5,
        (true, false) => 0.2,
    }
}

/// Tokens traced of one call.
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
            t if t.count > 0 && t.bound >= crate::strength::EXPOSED => Origin::Instruction,
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
    let place = *state.index.get(best.token.fp.0)?.places.last()?;
    Some((state.sentence(place)?.0.tool, place))
}

/// What is usual: per argument of a tool, where its values come from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Provenance {
    /// (tool, path) → counts by origin.
    #[serde(with = "sorted")]
    leaves: FpMap<[u32; ORIGINS]>,
    /// shape → counts by origin, for arguments never seen.
    shapes: BTreeMap<u8, [u32; ORIGINS]>,
    /// (source tool, tool, path) → count; under source 0 the total.
    #[serde(with = "sorted")]
    edges: FpMap<u32>,
    /// tool → calls.
    #[serde(with = "sorted")]
    tools: FpMap<u32>,
    /// (tool, path) → in how many ways tasks used it.
    #[serde(with = "sorted")]
    spreads: FpMap<Spread>,
}

/// How an argument's values are spread over tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Spread {
    values: u32,
    tasks: u32,
    /// Tasks that used no value of another.
    lone: u32,
}

/// Tasks by argument and value, while learning: they are counted, never kept.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spreads(BTreeMap<u64, BTreeMap<Fp, BTreeSet<u64>>>);

impl Spreads {
    /// Takes one call of a task.
    pub(crate) fn learn(&mut self, call: &Call, task: u64) {
        for leaf in &call.args {
            self.0.entry(leaf_key(call, leaf)).or_default().entry(leaf.whole).or_default().insert(task);
        }
    }

    fn count(by_value: &BTreeMap<Fp, BTreeSet<u64>>) -> Spread {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let tasks: BTreeSet<u64> = by_value.values().flatten().copied().collect();
        let shared: BTreeSet<u64> = by_value.values().filter(|tasks| tasks.len() > 1).flatten().copied().collect();
        Spread { values: count(by_value.len()), tasks: count(tasks.len()), lone: count(tasks.len() - shared.len()) }
    }
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

    /// Surprise, in nats, of a leaf's origin.
    pub(crate) fn surprise(&self, call: &Call, leaf: &Leaf, origin: Origin) -> f64 {
        -libm::log(self.probability(call, leaf, origin))
    }

    /// Probability of a leaf's origin: by its argument's own counts, backed by its shape's, backed by uniform.
    fn probability(&self, call: &Call, leaf: &Leaf, origin: Origin) -> f64 {
        let at = origin as usize;
        let part = |counts: Option<&[u32; ORIGINS]>, prior: f64| {
            let count = counts.and_then(|c| c.get(at)).copied().unwrap_or(0);
            let total: u32 = counts.map_or(0, |c| c.iter().sum());
            (f64::from(count) + PRIOR * prior) / (f64::from(total) + PRIOR)
        };
        let shape = part(self.shapes.get(&(leaf.shape as u8)), 1.0 / ORIGINS as f64);
        part(self.leaves.get(&leaf_key(call, leaf)), shape)
    }

    /// Probability that a value of this argument, where it comes from a result, comes from one of `source`.
    pub(crate) fn edge(&self, source: NameHash, call: &Call, leaf: &Leaf) -> f64 {
        let count = |source| f64::from(self.edges.get(&edge_key(source, call, leaf)).copied().unwrap_or(0));
        (count(source) + 0.2) / (count(NameHash(0)) + 1.0)
    }

    /// Takes over what was counted.
    pub(crate) fn spread_over(&mut self, spreads: &Spreads) {
        self.spreads = spreads.0.iter().map(|(key, by_value)| (*key, Spreads::count(by_value))).collect();
    }

    /// Of an argument, shrunk towards 1: distinct values per task, and the share of tasks that used no value of another. Low
    /// where tasks share a few values, as a folder to save to or a flag, whose value says little about who chose it.
    fn spread(&self, call: &Call, leaf: &Leaf) -> (f64, f64) {
        let Spread { values, tasks, lone } = self.spreads.get(&leaf_key(call, leaf)).copied().unwrap_or_default();
        let per_task = |n: u32| (f64::from(n) + SPREAD_PRIOR) / (f64::from(tasks) + SPREAD_PRIOR);
        (per_task(values), per_task(lone))
    }

    /// How surely a value of this argument that stands in a text was taken from it, 0.1 to 1: agents that make it up choose
    /// the same ones again and again, whoever wrote them down.
    pub(crate) fn told(&self, call: &Call, leaf: &Leaf) -> f64 {
        let (_, lone) = self.spread(call, leaf);
        1.0 - 0.9 * self.probability(call, leaf, Origin::Nowhere) * (1.0 - lone)
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
/// Tasks that a spread of 1 is taken from before any is seen.
const SPREAD_PRIOR: f64 = 1.0;

fn leaf_key(call: &Call, leaf: &Leaf) -> u64 {
    tool_hash(call).0.rotate_left(17) ^ leaf.path.name_hash().0
}

fn edge_key(source: NameHash, call: &Call, leaf: &Leaf) -> u64 {
    source.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ leaf_key(call, leaf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::decode::{Received, native};
    use schema::{Millis, TenantKey};

    fn call(args: &serde_json::Value) -> Call {
        let record = serde_json::json!({"session": "s", "at": 1, "tool": "save", "args": args});
        let received = Received { at: Millis(1), id: "0".to_owned() };
        schema::seal_for_fit(
            &native::decode(record.to_string().as_bytes(), &received).unwrap(),
            &TenantKey::new([7; 32]),
        )
    }

    #[test]
    fn what_agents_make_up_alike_was_hardly_taken_from_the_text_it_stands_in() {
        let state = SessionState::default();
        let (mut tables, mut spreads) = (Provenance::default(), Spreads::default());
        for task in 0..20 {
            let call = call(&serde_json::json!({"folder": "/downloads", "name": format!("/own/{task}")}));
            let traced = trace(&state, &call, &tables);
            tables.learn(&state, &call, &traced);
            spreads.learn(&call, task);
        }
        tables.spread_over(&spreads);
        let told = |args: serde_json::Value| {
            let call = call(&args);
            tables.told(&call, &call.args[0])
        };
        // Every task saves there of itself; each names its file anew; of the last one nothing is known.
        assert!(told(serde_json::json!({"folder": "/downloads"})) < 0.25);
        assert!(told(serde_json::json!({"name": "/own/3"})) > 0.95);
        assert!(told(serde_json::json!({"owner": "/downloads"})) > 0.95);
    }

    #[test]
    fn a_value_that_tasks_share_is_chosen_less_freely_than_one_of_its_own() {
        let tasks = |tasks: &[u64]| tasks.iter().copied().collect::<BTreeSet<u64>>();
        let count =
            |values: &[(u64, &[u64])]| Spreads::count(&values.iter().map(|(v, t)| (Fp(*v), tasks(t))).collect());
        assert_eq!(count(&[(1, &[1]), (2, &[2]), (3, &[3])]), Spread { values: 3, tasks: 3, lone: 3 });
        assert_eq!(count(&[(1, &[1, 2]), (2, &[3])]), Spread { values: 2, tasks: 3, lone: 1 });
        assert_eq!(count(&[(1, &[1, 2]), (2, &[1])]), Spread { values: 2, tasks: 2, lone: 0 });
    }

    #[test]
    fn the_last_part_of_a_path_counts_with_its_path() {
        let token = |kind| Token { fp: Fp(1), kind };
        let (path, word) = (token(TokenKind::Path), token(TokenKind::Word));
        // `/a/b /c/d word e/f`, each path with its last part.
        let parts: Vec<bool> = path_parts(&[path, path, path, path, word, path, path]).collect();
        assert_eq!(parts, [false, true, false, true, false, false, true]);
    }
}
