//! The passage of an earlier result that explains most of a call: what the call took from there and found nowhere
//! plainer, how much of the passage it does, and how instruction-like the passage is.

use super::{share, weight};
use crate::provenance::{Traced, path_parts};
use crate::state::{Kept, Place, Seen, SessionState, is_content};
use schema::{Call, Cues, Token, TokenKind};

/// A sentence of an earlier result, with its neighbours.
#[derive(Debug, Clone, Default)]
pub(super) struct Passage {
    pub(super) place: Place,
    pub(super) number: u32,
    /// All told: strength x mass x restated x handles used.
    pub(super) score: f64,
    /// Weight of what the call took from it, each thing by the strength of its weakest place.
    pub(super) mass: f64,
    pub(super) strength: f64,
    pub(super) own: f64,
    pub(super) block: f64,
    /// Share of its unasked content that the call uses.
    pub(super) restated: f64,
    /// Share of its unasked handles that the call uses; 0.5 where it has none.
    pub(super) handles_used: f64,
    /// Share of the call's unasked weight, handles and entities found in it; 0.5 where the call has none.
    pub(super) cover: f64,
    pub(super) handles_cover: f64,
    pub(super) entities_cover: f64,
    /// Share of the tool's name found in it.
    pub(super) tool: f64,
    /// Share of its content that the user asked for.
    pub(super) asked: f64,
    /// How far the user named the source of that result.
    pub(super) named: f64,
    /// How far the user told the agent to do what that source says.
    pub(super) delegated: f64,
    pub(super) cues: Cues,
    /// Argument that took most from it.
    pub(super) leaf: Option<u16>,
}

/// The best passage. Ties: the earlier one.
pub(super) fn best(state: &SessionState, call: &Call, traced: &[Traced]) -> Option<Passage> {
    if state.mixed_keys {
        return None;
    }
    let stems: Vec<Token> = call.tool_stems.iter().copied().filter(is_content).collect();
    let places = places(state, traced, &stems);
    let mut best: Option<Passage> = None;
    for (at, (place, own)) in places.iter().enumerate() {
        let around = |other: Option<&(Place, f64)>| {
            other
                .filter(|(p, _)| p.call == place.call && p.sentence.abs_diff(place.sentence) == 1)
                .map_or(0.0, |(_, mass)| *mass)
        };
        let neighbour = around(at.checked_sub(1).and_then(|at| places.get(at))).max(around(places.get(at + 1)));
        let mass = own + NEIGHBOUR * neighbour;
        let Some((seen, kept)) = state.sentence(*place) else { continue };
        let most = f64::from(kept.passage) * mass;
        // The other factors are at most 1: where that is not enough, the sentence need not be read.
        if mass > 0.0 && best.as_ref().is_none_or(|b| most > b.score) {
            let passage = Passage { mass, ..read(state, *place, (seen, kept), traced, &stems) };
            let handles = if kept_handles(state, kept) == 0 { 1.0 } else { 0.35 + 0.65 * passage.handles_used };
            let score = most * (0.25 + 0.75 * passage.restated) * handles;
            if best.as_ref().is_none_or(|b| score > b.score) {
                best = Some(Passage { score, ..passage });
            }
        }
    }
    best.map(|passage| covered(state, passage, traced, &stems))
}

/// Part of a neighbour's mass that counts for a sentence.
const NEIGHBOUR: f64 = 0.4;

/// Every sentence that holds something of the call, in order, with the mass found there.
fn places(state: &SessionState, traced: &[Traced], stems: &[Token]) -> Vec<(Place, f64)> {
    let mut out: Vec<(Place, f64)> = Vec::new();
    for t in traced.iter().filter(|t| t.is_from_result()) {
        // A token that many sentences hold says little about any one of them.
        let mass = t.weight * t.bound * (1.0 - 0.5 * t.familiar) / (1.0 + 0.3 * libm::log(f64::from(t.count)));
        out.extend(state.index.get(t.token.fp.0).iter().flat_map(|p| &p.places).map(|place| (*place, mass)));
    }
    for stem in stems {
        let Some(postings) = state.index.get(stem.fp.0) else { continue };
        let asked = state.mission.contains_key(&stem.fp.0);
        let mass = if asked { 0.15 } else { 0.5 } * state.weakest(postings).1;
        out.extend(postings.places.iter().map(|place| (*place, mass)));
    }
    // A stable sort: equal places add up in the order of the call, which is the same everywhere.
    out.sort_by_key(|(place, _)| *place);
    out.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    out
}

/// Handles of a sentence that were not asked for; a path's last part counts with its path.
fn kept_handles(state: &SessionState, kept: &Kept) -> usize {
    let tokens = kept.tokens.iter().zip(path_parts(&kept.tokens));
    tokens.filter(|(t, part)| !part && is_target(t.kind) && !state.mission.contains_key(&t.fp.0)).count()
}

fn is_target(kind: TokenKind) -> bool {
    kind.is_handle() && kind != TokenKind::Host
}

/// Reads one sentence against the call.
fn read(
    state: &SessionState,
    place: Place,
    (seen, kept): (&Seen, &Kept),
    traced: &[Traced],
    stems: &[Token],
) -> Passage {
    let in_call = |t: &Token| traced.iter().any(|x| x.token.fp == t.fp) || stems.iter().any(|stem| stem.fp == t.fp);
    let (mut whole, mut new, mut used, mut handles, mut handles_used) = (0.0, 0.0, 0.0, 0u32, 0u32);
    for (token, part) in kept.tokens.iter().zip(path_parts(&kept.tokens)) {
        let w = if part { 0.0 } else { weight(token.kind) };
        whole += w;
        if !state.mission.contains_key(&token.fp.0) {
            let is_used = in_call(token);
            new += w;
            used += if is_used { w } else { 0.0 };
            if is_target(token.kind) && !part {
                handles += 1;
                handles_used += u32::from(is_used);
            }
        }
    }
    Passage {
        place,
        number: kept.number,
        strength: f64::from(kept.passage),
        own: f64::from(kept.own),
        block: f64::from(kept.block).min(3.0),
        restated: share(used, new),
        handles_used: if handles == 0 { 0.5 } else { f64::from(handles_used) / f64::from(handles) },
        asked: share(whole - new, whole),
        named: f64::from(seen.named),
        delegated: if state.delegated { f64::from(seen.named) } else { 0.0 },
        cues: kept.cues,
        ..Passage::default()
    }
}

/// Adds how much of the call the passage covers.
fn covered(state: &SessionState, passage: Passage, traced: &[Traced], stems: &[Token]) -> Passage {
    let Some((_, kept)) = state.sentence(passage.place) else { return passage };
    let holds = |fp| kept.tokens.iter().any(|t| t.fp == fp);
    let unasked = || traced.iter().filter(|t| !t.mission);
    let covered = || unasked().filter(|t| holds(t.token.fp));
    let part = |is: &dyn Fn(&&Traced) -> bool| {
        let all = unasked().filter(is).count();
        if all == 0 { 0.5 } else { covered().filter(is).count() as f64 / all as f64 }
    };
    Passage {
        cover: share(covered().map(|t| t.weight).sum(), unasked().map(|t| t.weight).sum()),
        handles_cover: part(&|t| is_target(t.token.kind) && !t.prose && !t.part),
        entities_cover: part(&|t| t.token.kind.is_entity() && t.token.kind != TokenKind::Host && !t.prose && !t.part),
        tool: share(stems.iter().filter(|t| holds(t.fp)).count() as f64, stems.len() as f64),
        leaf: covered().max_by(|a, b| a.weight.total_cmp(&b.weight)).map(|t| t.leaf),
        ..passage
    }
}
