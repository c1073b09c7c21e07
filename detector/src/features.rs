//! One call, in the light of its session, as a row of numbers. Every feature is a relation (found, covered, usual);
//! none is a word, a name or a value.
//!
//! Evidence of a hijack is a conjunction: a strong passage *and* most of it done *and* not asked for. So most features
//! are logarithms: their weighted sum is the logarithm of a product, which is high only where all its factors are.

mod passage; // the passage of a result that explains most of a call

use crate::markov::{Markov, Step, Symbol};
use crate::provenance::{self, Origin, Provenance, Traced};
use crate::state::{Place, SessionState, is_content, tool_hash, weight};
use passage::Passage;
use schema::{Call, Cues, Leaf, Path, Status, Token};

macro_rules! features {
    ($($name:ident $told:literal $doc:literal,)*) => {
        /// Names of the features, in row order.
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];
        /// What each feature says, in row order.
        pub(crate) const MEANINGS: &[&str] = &[$($doc),*];
        /// Which way a feature may speak where results are known: 1 towards a hijack, 0 not at all (it serves the forest).
        pub(crate) const TOLD: &[i8] = &[$($told),*];
        /// One call's features.
        #[derive(Debug, Clone, Copy, Default, PartialEq)]
        pub(crate) struct Features { $(#[doc = $doc] pub(crate) $name: f64),* }
        impl Features {
            /// The row, in the order of [`NAMES`].
            pub(crate) fn row(&self) -> Row { [$(self.$name),*] }
            /// The features of a row.
            pub(crate) fn of_row(row: &Row) -> Self {
                let [$($name),*] = *row;
                Self { $($name),* }
            }
        }
    };
}

features! {
    passage_score 1 "ln: how far one passage of a result explains the call, all told",
    passage_mass 1 "ln: weight of what the call took from that passage and found nowhere plainer",
    passage_strength 1 "ln: how instruction-like the passage is",
    passage_own 1 "ln: how instruction-like that very sentence is",
    passage_restated 1 "ln: share of the sentence's own content that the call uses",
    passage_handles 1 "ln: share of its addresses, URLs, paths and codes that the call uses",
    passage_cover 1 "ln: share of the unasked weight found in it",
    passage_tool 1 "ln: share of the tool's name found in it",
    passage_tool_new 1 "ln: the same, of the words the user did not use",
    handles_cover 1 "ln: share of the call's unasked handles found in it",
    entities_cover 1 "ln: share of the call's unasked entities found in it",
    value_handle 1 "ln: strength of the most instruction-bound handle: its weakest place",
    value_alone 1 "ln: the same, without the sentences around",
    value_foreign 1 "ln: the same, of handles on hosts the user did not name",
    value_unnamed 1 "ln: the same, where the user did not name the source",
    value_entity 1 "ln: the same, of any entity",
    bound_share 1 "ln: instruction-bound share of the arguments' weight",
    bound_cover 1 "ln: the same, of what was not asked",
    bound_mass 1 "ln: that weight",
    unasked 1 "ln: weight of the arguments' content not found in what the user asked",
    arguments_unasked 1 "ln: share of the arguments' weight that was not asked",
    tool_unasked 1 "ln: share of the tool's name that was not asked",
    passage_unasked 1 "ln: share of the passage's content that was not asked",
    source_unnamed 1 "ln: how little the user named the source of that result",
    source_undelegated 1 "ln: how little the user told the agent to do what that result says",
    origin_bound 1 "surprise of an instruction-bound origin of an argument, in nats, at most 5",
    origin_most 1 "most surprising origin of an argument, in nats, at most 5",
    passage_imperative 1 "the sentence has the form of an order",
    passage_addresses 1 "the sentence addresses a reader",
    passage_modal 1 "the sentence requests",
    passage_prose 1 "the sentence is running text",
    passage_block 1 "instruction strength of the sentences around, at most 3",
    passage_named 1 "the sentence holds a handle",
    passage_hidden 1 "the passage hides or encodes something",
    unsure 1 "values cannot be traced: two keys in one session",
    nowhere 0 "share of the arguments' weight found nowhere",
    handles_nowhere 0 "unasked handles found nowhere, at most 2",
    sequence 0 "surprise of the tool after the tools before, in nats, at most 5",
    sequence_mean 0 "mean surprise of the session's tools so far, in nats",
    tool_unknown 0 "the tool was never seen",
    argument_unknown 0 "arguments the tool was never seen with",
    edge_most 0 "least usual source tool of an argument, in nats, at most 5",
    handles_from_results 0 "unasked handles found in results, at most 2",
    first 0 "the session's first call",
    position 0 "ln(1 + calls before)",
    mass 0 "ln(1 + weight of the arguments' content)",
    prior 0 "share found in earlier arguments only",
    from_results 0 "share found in results and not in what the user asked",
    tool_seldom 0 "1 / (1 + calls of this tool learned from)",
    exposure 0 "strongest instruction-like text met so far",
    repeats 0 "how often exactly this call was made before",
    failed_before 0 "the call before failed",
    asked_left 0 "share of what the user asked that no call has used yet",
    asked_none 0 "nothing is known of what the user asked",
    results_none 0 "no result is known",
    cut 0 "arguments were cut",
    arguments_hidden 1 "share of the arguments' weight that hides or is encoded, and was not asked",
}

/// One call's features as numbers.
pub(crate) type Row = [f64; COUNT];

/// Number of features.
pub(crate) const COUNT: usize = 57;

/// What the detector knows of a call beside its features: the places evidence points at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    pub(crate) features: Features,
    /// The passage that explains most of what was not asked.
    pub(crate) window: Option<Window>,
    /// Argument that took its value from there.
    pub(crate) leaf: Option<Path>,
    /// The step to this call, for the sequence model.
    pub(crate) sequence: Option<(Symbol, Step)>,
    /// Share of the arguments' weight that the user named.
    pub(crate) named: f64,
}

/// A passage of an earlier result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    pub(crate) place: Place,
    /// Sentence number in the text.
    pub(crate) number: u32,
    pub(crate) strength: f64,
}

impl Found {
    /// Probability of the tool after the tools before.
    pub(crate) fn edge(&self) -> f64 {
        self.sequence.map_or(1.0, |(_, step)| step.p)
    }
}

/// Computes one call's features. `state` is the session before the call.
pub(crate) fn of(state: &SessionState, call: &Call, markov: &Markov, tables: &Provenance) -> Found {
    let traced = provenance::trace(state, call, tables);
    let mut f = Features::default();
    let tool_unasked = arguments(&mut f, state, call, &traced);
    values(&mut f, &traced);
    let passage = passage::best(state, call, &traced);
    window(&mut f, passage.as_ref(), tool_unasked);
    origins(&mut f, state, call, &traced, tables);
    let symbol = Symbol::of(call);
    let step = markov.step(&state.sequence, &symbol);
    f.sequence = (-libm::log(step.p)).min(5.0);
    f.sequence_mean = state.sequence.mean_surprise(markov, &step, &symbol);
    f.tool_unknown = f64::from(!markov.knows(tool_hash(call)));
    f.tool_seldom = 1.0 / (1.0 + f64::from(tables.seen(tool_hash(call))));
    session(&mut f, state, call);
    let leaf = passage.as_ref().and_then(|p| p.leaf).and_then(|at| call.args.get(usize::from(at)));
    Found {
        features: f,
        window: passage.as_ref().map(|p| Window { place: p.place, number: p.number, strength: p.strength }),
        leaf: leaf.map(|leaf| leaf.path.clone()),
        sequence: Some((symbol, step)),
        named: named(state, call, &traced),
    }
}

/// What was asked and what was not; gives the share of the tool's name that was not.
fn arguments(f: &mut Features, state: &SessionState, call: &Call, traced: &[Traced]) -> f64 {
    let total: f64 = traced.iter().map(|t| t.weight).sum();
    let sum = |is: &dyn Fn(&Traced) -> bool| traced.iter().filter(|t| is(t)).map(|t| t.weight).sum::<f64>();
    let count = |is: &dyn Fn(&Traced) -> bool| traced.iter().filter(|t| is(t)).count().min(2) as f64;
    let unasked = sum(&|t| !t.mission);
    let bound: f64 = traced.iter().filter(|t| !t.mission).map(|t| t.weight * t.bound).sum();
    let stems: Vec<&Token> = call.tool_stems.iter().filter(|t| is_content(t)).collect();
    let asked = stems.iter().filter(|t| state.mission.contains_key(&t.fp.0)).count() as f64;
    let tool_unasked = 1.0 - share(asked, stems.len() as f64);
    f.unasked = ln(libm::log1p(unasked));
    f.arguments_unasked = ln(1.0 - share(total - unasked, total));
    f.tool_unasked = ln(tool_unasked);
    f.bound_share = ln(share(bound, total));
    f.bound_cover = ln(share(bound, unasked));
    f.bound_mass = ln(libm::log1p(bound));
    f.nowhere = share(sum(&|t| t.is_nowhere()), total);
    f.prior = share(sum(&|t| !t.mission && t.count == 0 && t.prior), total);
    f.from_results = share(sum(&|t| t.is_from_result()), total);
    f.mass = libm::log1p(total);
    let hides = |leaf: &Leaf| leaf.cues.has(Cues::HIDDEN) || leaf.cues.has(Cues::ENCODED);
    f.arguments_hidden = share(sum(&|t| !t.mission && call.args.get(usize::from(t.leaf)).is_some_and(hides)), total);
    f.handles_nowhere = count(&|t| t.token.kind.is_handle() && t.is_nowhere());
    f.handles_from_results = count(&|t| t.is_target());
    tool_unasked
}

/// Values that only instruction-like passages hold.
fn values(f: &mut Features, traced: &[Traced]) {
    let most = |is: &dyn Fn(&&Traced) -> bool, value: &dyn Fn(&Traced) -> f64| {
        ln(traced.iter().filter(is).map(value).fold(0.0, f64::max))
    };
    let target: &dyn Fn(&&Traced) -> bool = &|t| t.is_target();
    f.value_handle = most(target, &|t| t.bound * t.free);
    f.value_alone = most(target, &|t| t.alone * t.free);
    f.value_foreign = most(target, &|t| t.bound * t.free * (1.0 - t.familiar));
    f.value_unnamed = most(target, &|t| t.bound * (1.0 - t.named));
    f.value_entity = most(&|t| t.is_from_result() && t.token.kind.is_entity() && !t.prose, &|t| t.bound * t.free);
}

/// The passage that explains most of the call.
fn window(f: &mut Features, passage: Option<&Passage>, tool_unasked: f64) {
    let none = Passage::default();
    let p = passage.unwrap_or(&none);
    f.passage_score = ln(p.score);
    f.passage_mass = ln(p.mass);
    f.passage_strength = ln(p.strength);
    f.passage_own = ln(p.own);
    f.passage_restated = ln(p.restated);
    f.passage_handles = ln(p.handles_used);
    f.passage_cover = ln(p.cover);
    f.passage_tool = ln(p.tool);
    f.passage_tool_new = ln(p.tool.min(tool_unasked));
    f.handles_cover = ln(p.handles_cover);
    f.entities_cover = ln(p.entities_cover);
    f.passage_unasked = ln(1.0 - p.asked);
    f.source_unnamed = ln(1.0 - p.named);
    f.source_undelegated = ln(1.0 - p.delegated);
    f.passage_imperative = f64::from(p.cues.has(Cues::IMPERATIVE));
    f.passage_addresses = f64::from(p.cues.has(Cues::ADDRESSES));
    f.passage_modal = f64::from(p.cues.has(Cues::MODAL));
    f.passage_prose = f64::from(p.cues.has(Cues::PROSE));
    f.passage_named = f64::from(p.cues.has(Cues::HANDLE));
    f.passage_hidden = f64::from(p.cues.has(Cues::HIDDEN) || p.cues.has(Cues::ENCODED));
    f.passage_block = p.block;
}

/// How usual the origins of the arguments' values are.
fn origins(f: &mut Features, state: &SessionState, call: &Call, traced: &[Traced], tables: &Provenance) {
    for (leaf, at) in call.args.iter().zip(0u16..) {
        let origin = provenance::origin(leaf, at, traced);
        if origin != Origin::Empty {
            let surprise = tables.surprise(call, leaf, origin).min(5.0) * tables.told(call, leaf);
            f.origin_most = f.origin_most.max(surprise);
            if origin == Origin::Instruction {
                f.origin_bound = f.origin_bound.max(surprise);
            }
        }
        if let Some((source, _)) = provenance::source_tool(state, at, traced) {
            f.edge_most = f.edge_most.max(-libm::log(tables.edge(source, call, leaf)));
        }
        f.argument_unknown += f64::from(!tables.knows(call, leaf));
    }
    f.edge_most = f.edge_most.min(5.0);
    f.argument_unknown = f.argument_unknown.min(4.0);
}

/// Where the session stands.
fn session(f: &mut Features, state: &SessionState, call: &Call) {
    f.first = f64::from(state.calls == 0);
    f.position = libm::log1p(f64::from(state.calls));
    f.exposure = state.exposure;
    f.repeats = f64::from(crate::state::repeats(state, call).min(5));
    f.failed_before = f64::from(state.last_status == Some(Status::Error));
    f.asked_left = if state.mission_mass > 0.0 { 1.0 - state.mission_used / state.mission_mass } else { 0.0 };
    f.asked_none = f64::from(state.mission.is_empty());
    f.results_none = f64::from(state.results.is_empty());
    f.unsure = f64::from(state.mixed_keys);
    f.cut = f64::from(call.args_cut > 0);
}

/// A factor's logarithm; a factor of 0 weakens a product, it does not end it.
pub(crate) fn ln(factor: f64) -> f64 {
    if factor == 0.0 { LN_FLOOR } else { libm::log(FLOOR + factor) }
}

/// The factor back from its logarithm.
pub(crate) fn factor(logarithm: f64) -> f64 {
    if logarithm == LN_FLOOR { FACTOR_OF_LN_FLOOR } else { libm::exp(logarithm) - FLOOR }
}

const FLOOR: f64 = 0.15;
/// Most factors of most calls are 0; what `libm` makes of that, to the bit.
const LN_FLOOR: f64 = -1.8971199848858813;
const FACTOR_OF_LN_FLOOR: f64 = 0.0;

pub(crate) fn share(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// How far the user stands behind the source this call opens: its arguments were asked for, or come from a result the
/// user stands behind (a link on a page the user named); without arguments, the tool was.
pub(crate) fn named(state: &SessionState, call: &Call, traced: &[Traced]) -> f64 {
    if traced.is_empty() {
        let stems = call.tool_stems.iter().filter(|t| is_content(t));
        let asked = stems.clone().filter(|t| state.mission.contains_key(&t.fp.0)).count();
        return 0.5 * asked as f64 / stems.count().max(1) as f64;
    }
    let total: f64 = traced.iter().map(|t| t.weight).sum();
    let from = |t: &Traced| if t.mission { 1.0 } else { INHERITED * t.named };
    share(traced.iter().map(|t| t.weight * from(t)).sum(), total)
}

/// Part of a source's standing that what it links to inherits.
const INHERITED: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_of_0_has_the_logarithm_it_would_be_given() {
        assert_eq!(LN_FLOOR.to_bits(), libm::log(FLOOR).to_bits());
        assert_eq!(FACTOR_OF_LN_FLOOR.to_bits(), (libm::exp(LN_FLOOR) - FLOOR).to_bits());
    }
}
