//! One call, in the light of its session, as a row of numbers. Every feature is a relation (found, covered, usual);
//! none is a word, a name or a value.

use crate::markov::Markov;
use crate::provenance::{self, Origin, Provenance, Traced};
use crate::state::{Place, SessionState, is_content, tool_hash, weight};
use schema::{Call, Cues, Path, Shape, Status, Token};

macro_rules! features {
    ($($name:ident $sign:literal $doc:literal,)*) => {
        /// Names of the features, in row order.
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];
        /// What each feature says, in row order.
        pub(crate) const MEANINGS: &[&str] = &[$($doc),*];
        /// Which way a feature may speak in the fusion: 1 towards a hijack, -1 against, 0 not at all (it serves the forest).
        pub(crate) const SIGNS: &[i8] = &[$($sign),*];
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
    first 0 "the session's first call",
    position 0 "ln(1 + calls before)",
    mass 0 "ln(1 + weight of the arguments' content)",
    asked -1 "share of that weight found in what the user asked",
    unasked 1 "ln(1 + weight not found there), at most 2",
    nowhere 0 "share found nowhere",
    prior -1 "share found in earlier arguments only",
    from_results 1 "share found in results and not in what the user asked",
    handles_unasked 1 "addresses, URLs, paths and codes not asked for, at most 2",
    handles_from_results 1 "of these, found in results",
    handles_nowhere 1 "of these, found nowhere",
    window_cover 1 "share of the unasked weight that one passage of a result covers",
    window_mass 1 "ln(1 + that weight), at most 2",
    window_tool 1 "share of the tool's name found in that passage",
    window_tool_new 1 "the same, of the words the user did not use",
    window_strength 1 "how instruction-like that passage is",
    window_restated 1 "share of the passage's own content that the call uses",
    window_asked -1 "share of the passage's content that the user asked for",
    window_last 0 "the passage is in the last result",
    window_named -1 "how far the user named the source of that result",
    window_handles 1 "handles taken from that passage, at most 2",
    window_imperative 1 "the passage has the form of an order",
    window_addresses 1 "the passage addresses a reader",
    window_prose 1 "the passage is running text",
    window_field 0 "the passage is a field's value",
    window_hidden 1 "the passage hides or encodes something",
    value_strength 1 "strength of the most instruction-bound value: its weakest place",
    value_handle 1 "the same, of addresses, URLs, paths and codes",
    value_unnamed 1 "value_strength where the user did not name the source",
    strength_cover 1 "strength x cover",
    strength_tool 1 "strength x tool found there and not asked",
    cover_tool 1 "cover x tool found there and not asked",
    strength_restated 1 "strength x restated",
    all_three 1 "strength x cover x tool found there",
    order 1 "strength x cover x tool found there, where neither arguments nor tool were asked for",
    order_restated 1 "strength x cover x restated, where neither arguments nor tool were asked for",
    foreign 1 "strength x cover, where neither the tool nor the passage was asked for",
    tool_asked -1 "share of the tool's name found in what the user asked",
    origin_most 1 "most surprising origin of an argument, in nats, at most 5",
    origin_sum 0 "sum of these",
    edge_most 1 "least usual source tool of an argument, in nats, at most 5",
    sequence 1 "surprise of the tool after the tools before, in nats, at most 5",
    tool_unknown 0 "the tool was never seen",
    tool_seldom 0 "1 / (1 + calls of this tool learned from)",
    argument_unknown 0 "arguments the tool was never seen with",
    exposure 0 "strongest instruction-like text met so far",
    exposure_last 0 "strongest in the last result",
    prose_unasked -1 "unasked weight in running text",
    repeats -1 "how often exactly this call was made before",
    failed_before 0 "the call before failed",
    asked_left 0 "share of what the user asked that no call has used yet",
    asked_none 0 "nothing is known of what the user asked",
    results_none 0 "no result is known",
    unsure 1 "values cannot be traced: two keys in one session",
    cut 0 "arguments were cut",
    window_continues 0 "the passage stands amid others",
}

/// One call's features as numbers.
pub(crate) type Row = [f64; COUNT];

/// Number of features.
pub(crate) const COUNT: usize = 56;

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
    let count = |is: &dyn Fn(&Traced) -> bool| traced.iter().filter(|t| is(t)).count().min(2) as f64;
    let unasked = sum(&|t| !t.mission);

    f.first = f64::from(state.calls == 0);
    f.position = libm::log1p(f64::from(state.calls));
    f.mass = libm::log1p(total);
    f.asked = share(total - unasked, total);
    f.unasked = libm::log1p(unasked).min(2.0);
    f.nowhere = share(sum(&|t| t.is_nowhere()), total);
    f.prior = share(sum(&|t| !t.mission && t.count == 0 && t.prior), total);
    f.from_results = share(sum(&|t| t.is_from_result()), total);
    f.handles_unasked = count(&|t| t.token.kind.is_handle() && !t.mission);
    f.handles_from_results = count(&|t| t.token.kind.is_handle() && t.is_from_result());
    f.handles_nowhere = count(&|t| t.token.kind.is_handle() && t.is_nowhere());
    let bound = |is: &dyn Fn(&Traced) -> f64| {
        traced.iter().filter(|t| t.is_from_result() && t.token.kind.is_entity()).map(is).fold(0.0, f64::max)
    };
    f.value_strength = bound(&|t| t.weakest);
    f.value_handle = bound(&|t| if t.token.kind.is_handle() { t.weakest } else { 0.0 });
    f.value_unnamed = bound(&|t| t.weakest * (1.0 - t.named));

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
        f.window_mass = libm::log1p(mass).min(2.0);
        f.window_tool = stem_share(&in_window);
        f.window_tool_new = stem_share(&|t| in_window(t) && !state.mission.contains_key(&t.fp.0));
        f.window_strength = best.strength;
        f.window_restated = best.restated;
        f.window_asked = best.asked;
        f.window_last = f64::from(state.results.last().is_some_and(|last| last.call == best.place.call));
        f.window_named = best.named;
        f.window_handles = covered.clone().filter(|(t, _)| t.token.kind.is_handle()).count().min(2) as f64;
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
        let unasked = (1.0 - f.asked) * (1.0 - f.tool_asked);
        f.order = f.all_three * unasked;
        f.order_restated = best.strength * f.window_cover * best.restated * unasked;
        f.foreign =
            best.strength * f.window_cover * (1.0 - f.tool_asked) * (1.0 - best.asked) * (1.0 - 0.5 * best.named);
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
    f.origin_most = f.origin_most.min(5.0);
    f.edge_most = f.edge_most.min(5.0);
    f.argument_unknown = f.argument_unknown.min(4.0);
    f.prose_unasked = libm::log1p(f.prose_unasked);

    let tool = tool_hash(call);
    let edge = markov.probability(&state.sequence, call);
    f.sequence = (-libm::log(edge)).min(5.0);
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
    let named = named(state, call, &traced);
    Found {
        features: f,
        window: window.map(|w| Window { place: w.place, number: w.number, strength: w.strength }),
        leaf,
        edge,
        named,
    }
}

fn share(part: f64, whole: f64) -> f64 {
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

struct Best {
    place: Place,
    number: u32,
    mask: u128,
    strength: f64,
    restated: f64,
    asked: f64,
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
            let whole: f64 = kept.tokens.iter().map(|t| weight(t.kind)).sum();
            let content = kept.tokens.iter().filter(|t| !state.mission.contains_key(&t.fp.0));
            let (mut used, mut all) = (0.0, 0.0);
            for token in content {
                let w = weight(token.kind);
                all += w;
                let in_call = traced.iter().any(|t| t.token.fp == token.fp) || stems.iter().any(|s| s.fp == token.fp);
                used += if in_call { w } else { 0.0 };
            }
            let restated = share(used, all);
            let asked = share(whole - all, whole);
            best = Some(Best {
                place: *place,
                number: kept.number,
                mask,
                strength,
                restated,
                asked,
                named: f64::from(seen.named),
                cues: kept.cues,
                value,
            });
        }
    }
    best.filter(|b| b.value > 0.0)
}
