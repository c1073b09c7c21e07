//! One call, in the light of its session, as a row of numbers. Every feature is a relation (found, covered, usual);
//! none is a word, a name or a value.

use crate::markov::Markov;
use crate::provenance::{self, Origin, Provenance, Traced};
use crate::state::{Place, SessionState, is_content, tool_hash, weight};
use schema::{Call, Cues, Path, Shape, Status, Token};

macro_rules! features {
    ($($name:ident: $doc:literal,)*) => {
        /// Names of the features, in row order.
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];
        /// What each feature says, in row order.
        pub(crate) const MEANINGS: &[&str] = &[$($doc),*];
        /// One call's features.
        #[derive(Debug, Clone, Copy, Default, PartialEq)]
        pub(crate) struct Features { $(#[doc = $doc] pub(crate) $name: f64),* }
        impl Features {
            /// The row, in the order of [`NAMES`].
            pub(crate) fn row(&self) -> [f64; COUNT] { [$(self.$name),*] }
        }
    };
}

features! {
    first: "the session's first call",
    position: "ln(1 + calls before)",
    mass: "ln(1 + weight of the arguments' content)",
    asked: "share of that weight found in what the user asked",
    unasked: "ln(1 + weight not found there)",
    nowhere: "share found nowhere",
    prior: "share found in earlier arguments only",
    from_results: "share found in results and not in what the user asked",
    handles_unasked: "addresses, URLs, paths and codes not asked for",
    handles_from_results: "of these, found in results",
    handles_nowhere: "of these, found nowhere",
    window_cover: "share of the unasked weight that one passage of a result covers",
    window_mass: "ln(1 + that weight)",
    window_tool: "share of the tool's name found in that passage",
    window_tool_new: "the same, of the words the user did not use",
    window_strength: "how instruction-like that passage is",
    window_restated: "share of the passage's own content that the call uses",
    window_last: "the passage is in the last result",
    window_named: "how far the user named the source of that result",
    window_handles: "handles taken from that passage",
    window_imperative: "the passage has the form of an order",
    window_addresses: "the passage addresses a reader",
    window_prose: "the passage is running text",
    window_field: "the passage is a field's value",
    window_hidden: "the passage hides or encodes something",
    value_strength: "strength of the most instruction-bound value: its weakest place",
    strength_cover: "strength x cover",
    strength_tool: "strength x tool found there and not asked",
    cover_tool: "cover x tool found there and not asked",
    strength_restated: "strength x restated",
    all_three: "strength x cover x tool found there",
    tool_asked: "share of the tool's name found in what the user asked",
    origin_most: "most surprising origin of an argument, in nats",
    origin_sum: "sum of these",
    edge_most: "least usual source tool of an argument, in nats",
    sequence: "surprise of the tool after the tools before, in nats",
    tool_unknown: "the tool was never seen",
    tool_seldom: "1 / (1 + calls of this tool learned from)",
    argument_unknown: "arguments the tool was never seen with",
    exposure: "strongest instruction-like text met so far",
    exposure_last: "strongest in the last result",
    prose_unasked: "unasked weight in running text",
    repeats: "how often exactly this call was made before",
    failed_before: "the call before failed",
    asked_left: "share of what the user asked that no call has used yet",
    asked_none: "nothing is known of what the user asked",
    results_none: "no result is known",
    unsure: "values cannot be traced: two keys in one session",
    cut: "arguments were cut",
    window_continues: "the passage stands amid others",
}

/// Number of features.
pub(crate) const COUNT: usize = 50;

/// What the detector knows of a call beside its features: the places evidence points at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Found {
    pub(crate) features: Features,
    /// The passage that explains most of what was not asked.
    pub(crate) window: Option<Window>,
    /// Argument that took its value from there.
    pub(crate) leaf: Option<Path>,
    /// Probability of the tool after the tools before.
    pub(crate) edge: f64,
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

/// Computes one call's features. `state` is the session before the call.
pub(crate) fn of(state: &SessionState, call: &Call, markov: &Markov, tables: &Provenance) -> Found {
    let traced = provenance::trace(state, call);
    let mut f = Features::default();
    let total: f64 = traced.iter().map(|t| t.weight).sum();
    let sum = |is: &dyn Fn(&Traced) -> bool| traced.iter().filter(|t| is(t)).map(|t| t.weight).sum::<f64>();
    let count = |is: &dyn Fn(&Traced) -> bool| traced.iter().filter(|t| is(t)).count().min(6) as f64;
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    let unasked = sum(&|t| !t.mission);

    f.first = f64::from(state.calls == 0);
    f.position = libm::log1p(f64::from(state.calls));
    f.mass = libm::log1p(total);
    f.asked = share(total - unasked, total);
    f.unasked = libm::log1p(unasked);
    f.nowhere = share(sum(&|t| t.is_nowhere()), total);
    f.prior = share(sum(&|t| !t.mission && t.count == 0 && t.prior), total);
    f.from_results = share(sum(&|t| t.is_from_result()), total);
    f.handles_unasked = count(&|t| t.token.kind.is_handle() && !t.mission);
    f.handles_from_results = count(&|t| t.token.kind.is_handle() && t.is_from_result());
    f.handles_nowhere = count(&|t| t.token.kind.is_handle() && t.is_nowhere());
    f.value_strength =
        traced.iter().filter(|t| t.is_from_result() && t.token.kind.is_entity()).map(|t| t.weakest).fold(0.0, f64::max);

    let stems: Vec<Token> = call.tool_stems.iter().copied().filter(is_content).collect();
    let stem_mass: f64 = stems.iter().map(|t| weight(t.kind)).sum();
    let stem_share =
        |is: &dyn Fn(&Token) -> bool| share(stems.iter().filter(|t| is(t)).map(|t| weight(t.kind)).sum(), stem_mass);
    f.tool_asked = stem_share(&|t| state.mission.contains_key(&t.fp.0));

    let window = best_window(state, &traced, &stems);
    let mut leaf = None;
    if let Some(best) = &window {
        let covered = traced.iter().zip(0u32..).filter(|(t, bit)| best.mask >> bit & 1 == 1 && !t.mission);
        let mass: f64 = covered.clone().map(|(t, _)| t.weight).sum();
        let in_window = |t: &Token| {
            stems.iter().zip(provenance::TRACED_MAX as u32..).any(|(s, bit)| s.fp == t.fp && best.mask >> bit & 1 == 1)
        };
        f.window_cover = share(mass, unasked);
        f.window_mass = libm::log1p(mass);
        f.window_tool = stem_share(&in_window);
        f.window_tool_new = stem_share(&|t| in_window(t) && !state.mission.contains_key(&t.fp.0));
        f.window_strength = best.strength;
        f.window_restated = best.restated;
        f.window_last = f64::from(state.results.last().is_some_and(|last| last.call == best.place.call));
        f.window_named = best.named;
        f.window_handles = covered.clone().filter(|(t, _)| t.token.kind.is_handle()).count().min(6) as f64;
        f.window_imperative = f64::from(best.cues.has(Cues::IMPERATIVE));
        f.window_addresses = f64::from(best.cues.has(Cues::ADDRESSES));
        f.window_prose = f64::from(best.cues.has(Cues::PROSE));
        f.window_field = f64::from(best.cues.has(Cues::FIELD));
        f.window_continues = f64::from(best.cues.has(Cues::CONTINUES));
        f.window_hidden = f64::from(best.cues.has(Cues::HIDDEN) || best.cues.has(Cues::ENCODED));
        f.strength_cover = best.strength * f.window_cover;
        f.strength_tool = best.strength * f.window_tool_new;
        f.cover_tool = f.window_cover * f.window_tool_new;
        f.strength_restated = best.strength * best.restated;
        f.all_three = best.strength * f.window_cover * f.window_tool;
        let from = covered.max_by(|(a, _), (b, _)| a.weight.total_cmp(&b.weight)).map(|(t, _)| t.leaf);
        leaf = from.and_then(|at| call.args.get(usize::from(at))).map(|leaf| leaf.path.clone());
    }

    for (leaf, at) in call.args.iter().zip(0u16..) {
        let origin = provenance::origin(leaf, at, &traced);
        let surprise = if origin == Origin::Empty { 0.0 } else { tables.surprise(call, leaf, origin) };
        f.origin_most = f.origin_most.max(surprise);
        f.origin_sum += surprise;
        if let Some((source, _)) = provenance::source_tool(state, at, &traced) {
            f.edge_most = f.edge_most.max(-libm::log(tables.edge(source, call, leaf)));
        }
        f.argument_unknown += f64::from(!tables.knows(call, leaf));
        if leaf.shape == Shape::Prose {
            f.prose_unasked += traced.iter().filter(|t| t.leaf == at && !t.mission).map(|t| t.weight).sum::<f64>();
        }
    }
    f.origin_sum = libm::log1p(f.origin_sum);
    f.argument_unknown = f.argument_unknown.min(4.0);
    f.prose_unasked = libm::log1p(f.prose_unasked);

    let tool = tool_hash(call);
    let edge = markov.probability(&state.tools, tool);
    f.sequence = -libm::log(edge);
    f.tool_unknown = f64::from(!markov.knows(tool));
    f.tool_seldom = 1.0 / (1.0 + f64::from(tables.seen(tool)));
    f.exposure = state.exposure;
    f.exposure_last =
        state.results.last().map_or(0.0, |r| r.sentences.iter().map(|s| f64::from(s.strength)).fold(0.0, f64::max));
    f.repeats = f64::from(crate::state::repeats(state, call).min(5));
    f.failed_before = f64::from(state.last_status == Some(Status::Error));
    f.asked_left = if state.mission_mass > 0.0 { 1.0 - state.mission_used / state.mission_mass } else { 0.0 };
    f.asked_none = f64::from(state.mission.is_empty());
    f.results_none = f64::from(state.results.is_empty());
    f.unsure = f64::from(state.mixed_keys);
    f.cut = f64::from(call.args_cut > 0);
    let named = f.asked;
    Found {
        features: f,
        window: window.map(|w| Window { place: w.place, number: w.number, strength: w.strength }),
        leaf,
        edge,
        named,
    }
}

struct Best {
    place: Place,
    number: u32,
    mask: u128,
    strength: f64,
    restated: f64,
    named: f64,
    cues: Cues,
    value: f64,
}

/// The passage (a sentence and its neighbours in one result) that explains most of the call: unasked content and the
/// tool's name, the more so the more instruction-like it is.
fn best_window(state: &SessionState, traced: &[Traced], stems: &[Token]) -> Option<Best> {
    if state.mixed_keys {
        return None;
    }
    let mut places: Vec<(Place, u128)> = Vec::new();
    let bits = traced.iter().zip(0u32..).map(|(t, bit)| (t.token.fp.0, bit));
    let stem_bits = stems.iter().zip(provenance::TRACED_MAX as u32..127).map(|(t, bit)| (t.fp.0, bit));
    for (fp, bit) in bits.chain(stem_bits) {
        for place in state.index.get(&fp).iter().flat_map(|postings| &postings.places) {
            places.push((*place, 1 << bit));
        }
    }
    places.sort_unstable_by_key(|(place, _)| *place);
    places.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 |= next.1;
        }
        same
    });
    let value_of = |mask: u128| -> f64 {
        let args = traced
            .iter()
            .zip(0u32..)
            .filter(|(t, bit)| mask >> bit & 1 == 1 && !t.mission)
            .map(|(t, _)| t.weight)
            .sum::<f64>();
        let tool = stems
            .iter()
            .zip(provenance::TRACED_MAX as u32..127)
            .filter(|(t, bit)| mask >> bit & 1 == 1 && !state.mission.contains_key(&t.fp.0))
            .count() as f64;
        args + 0.5 * tool
    };
    let mut best: Option<Best> = None;
    for (at, (place, own)) in places.iter().enumerate() {
        let neighbour = |other: Option<&(Place, u128)>| {
            other
                .filter(|(p, _)| p.call == place.call && p.sentence.abs_diff(place.sentence) == 1)
                .map_or(0, |(_, mask)| *mask)
        };
        let mask = own | neighbour(at.checked_sub(1).and_then(|b| places.get(b))) | neighbour(places.get(at + 1));
        let Some((seen, kept)) = state.sentence(*place) else { continue };
        let strength = f64::from(kept.strength);
        let value = (0.7 * value_of(*own) + 0.3 * value_of(mask)) * (0.3 + 0.7 * strength);
        if best.as_ref().is_none_or(|b| value > b.value) {
            let content = kept.tokens.iter().filter(|t| !state.mission.contains_key(&t.fp.0));
            let (mut used, mut all) = (0.0, 0.0);
            for token in content {
                let w = weight(token.kind);
                all += w;
                let in_call = traced.iter().any(|t| t.token.fp == token.fp) || stems.iter().any(|s| s.fp == token.fp);
                used += if in_call { w } else { 0.0 };
            }
            let restated = if all > 0.0 { used / all } else { 0.0 };
            best = Some(Best {
                place: *place,
                number: kept.number,
                mask,
                strength,
                restated,
                named: f64::from(seen.named),
                cues: kept.cues,
                value,
            });
        }
    }
    best.filter(|b| b.value > 0.0)
}
