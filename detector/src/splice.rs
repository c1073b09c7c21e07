//! Self-supervision: hijacks made of the user's own traffic. Another session's task, in varied wording, is planted in
//! a result of a host session; the calls that serve it are what a hijack looks like, the host's own calls after it are
//! what resisting looks like. No attack data is involved.

use crate::TrainingSession;
use rand::seq::IndexedRandom;
use rand::{Rng, RngCore};
use schema::{Call, Cues, Fp, Sentence, Text, Token, TokenKind};

/// What a call of a spliced session teaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Label {
    /// The host's own.
    Host,
    /// Serves what was planted.
    Serves,
    /// Neither.
    Ignore,
}

/// A made-up session.
#[derive(Debug, Clone)]
pub(crate) struct Spliced {
    pub(crate) calls: Vec<(Call, Label)>,
}

/// Plants `donor`'s task in `host`, in the tone of what `other` was asked. `None` where the two cannot be joined (no calls).
pub(crate) fn splice(
    host: &TrainingSession,
    donor: &TrainingSession,
    other: &TrainingSession,
    rng: &mut impl RngCore,
) -> Option<Spliced> {
    let donor = &renamed(donor, rng);
    let served: Vec<&Call> = donor.calls.iter().filter(|call| !call.args.is_empty()).collect();
    let chosen = *served.choose(rng)?;
    let with_result: Vec<usize> =
        (0..host.calls.len()).filter(|at| host.calls.get(*at).is_some_and(|call| call.result.is_some())).collect();
    let at = with_result
        .choose(rng)
        .copied()
        .or_else(|| (!host.calls.is_empty()).then(|| rng.random_range(0..host.calls.len())))?;
    let mission = donor.calls.iter().find_map(|call| call.mission.as_ref());
    let whole = mission.is_some() && rng.random_bool(0.5);
    let planted = match mission.filter(|_| whole) {
        Some(text) => text.sentences.iter().map(|s| reword(s.clone(), rng)).collect(),
        None => vec![reword(order(chosen, rng), rng)],
    };
    let planted = wrapped(planted, other, rng);
    let resisted = rng.random_bool(0.35);
    let silent = !resisted && rng.random_bool(0.05);
    let mut calls = Vec::new();
    for (n, call) in host.calls.iter().enumerate() {
        let mut call = call.clone();
        if n == at && !silent {
            plant(&mut call, &planted, rng);
        }
        let after_hijack = n > at && !resisted;
        calls.push((call, if after_hijack { Label::Ignore } else { Label::Host }));
        if n == at && !resisted {
            let serving: Vec<&Call> = if whole { donor.calls.iter().collect() } else { vec![chosen] };
            for call in serving {
                let label = if !whole || names_any(call, &planted) { Label::Serves } else { Label::Ignore };
                let mut call = call.clone();
                call.mission = None;
                calls.push((call, label));
            }
        }
    }
    Some(Spliced { calls })
}

/// Half of the time, the order stands amid sentences as users write them to agents: another session's, without what they
/// name. An attacker asks as a user does.
fn wrapped(planted: Vec<Sentence>, other: &TrainingSession, rng: &mut impl RngCore) -> Vec<Sentence> {
    let asked = other.calls.iter().find_map(|call| call.mission.as_ref());
    let Some(asked) = asked.filter(|text| !text.sentences.is_empty() && rng.random_bool(0.5)) else { return planted };
    let bare = |s: &Sentence| Sentence {
        tokens: s.tokens.iter().copied().filter(|t| !t.kind.is_entity()).collect(),
        ..s.clone()
    };
    let before = rng.random_range(1..=2);
    let mut out: Vec<Sentence> = asked.sentences.choose_multiple(rng, before).map(bare).collect();
    out.extend(planted);
    let after = rng.random_range(0..=1);
    out.extend(asked.sentences.choose_multiple(rng, after).map(bare));
    out
}

/// The donor with other things named: an attacker's addresses, accounts and pages are not those that the host's own data
/// already holds, as another user's of the same system often are.
fn renamed(donor: &TrainingSession, rng: &mut impl RngCore) -> TrainingSession {
    let mut donor = donor.clone();
    if rng.random_bool(1.0 - RENAMED) {
        return donor;
    }
    let salt: u64 = rng.random();
    let numbers = rng.random_bool(0.5);
    let rename = |token: &mut Token| {
        if token.kind.is_handle() || (numbers && token.kind == TokenKind::Number) {
            token.fp = Fp(token.fp.0 ^ salt);
        }
    };
    for call in &mut donor.calls {
        call.args.iter_mut().flat_map(|leaf| &mut leaf.tokens).for_each(rename);
        for text in [&mut call.mission, &mut call.result].into_iter().flatten() {
            text.sentences.iter_mut().flat_map(|s| &mut s.tokens).for_each(rename);
        }
    }
    donor
}

/// Share of splices whose donor is renamed.
const RENAMED: f64 = 0.8;

/// A call as an order: its tool's name or other words for it, then its values, in the form of an imperative.
fn order(call: &Call, rng: &mut impl RngCore) -> Sentence {
    let named = rng.random_bool(0.4);
    let values = call.args.iter().flat_map(|leaf| leaf.tokens.iter().take(LEAF_TOKENS));
    let stems: Vec<Token> = call.tool_stems.iter().filter(|_| named || rng.random_bool(0.4)).copied().collect();
    let tokens: Vec<Token> =
        stems.into_iter().chain(values.copied()).take(schema::limits::SENTENCE_TOKENS_MAX).collect();
    let mut cues = Cues::IMPERATIVE.with(Cues::PROSE);
    if tokens.iter().any(|t| t.kind.is_handle()) {
        cues = cues.with(Cues::HANDLE);
    }
    Sentence { number: 0, cues, tokens }
}

/// Tokens of one argument that an order spells out.
const LEAF_TOKENS: usize = 16;

/// Varies the wording: words fall away as in a paraphrase, and the form moves between order, request, note, table cell
/// and comment. What is named (addresses, numbers, codes) stays.
fn reword(mut sentence: Sentence, rng: &mut impl RngCore) -> Sentence {
    let drop = *[0.0, 0.15, 0.3, 0.5].choose(rng).unwrap_or(&0.0);
    sentence.tokens.retain(|t| t.kind > TokenKind::Name || !rng.random_bool(drop));
    let form = rng.random_range(0..14u32);
    let (add, remove) = match form {
        0..=7 => (Cues::default(), Cues::default()),
        8 => (Cues::ADDRESSES.with(Cues::MODAL), Cues::default()),
        9 => (Cues::MODAL.with(Cues::STEPS), Cues::IMPERATIVE),
        10 => (Cues::FIELD, Cues::IMPERATIVE.with(Cues::PROSE)),
        11 => (Cues::MARKUP, Cues::default()),
        12 => (Cues::AUTHOR.with(Cues::PROSE), Cues::IMPERATIVE),
        _ => {
            (Cues::FIELD, Cues::IMPERATIVE.with(Cues::MODAL).with(Cues::ADDRESSES).with(Cues::PROSE).with(Cues::STEPS))
        }
    };
    sentence.cues = Cues(sentence.cues.with(add).0 & !remove.0);
    if rng.random_bool(0.5) {
        sentence.cues = sentence.cues.with(Cues::CONTINUES);
    }
    sentence
}

/// Puts sentences somewhere into a call's result.
fn plant(call: &mut Call, planted: &[Sentence], rng: &mut impl RngCore) {
    let text = call.result.get_or_insert_with(Text::default);
    let at = rng.random_range(0..=text.sentences.len());
    text.sentences.splice(at..at, planted.iter().cloned());
    for (number, sentence) in (0u32..).zip(&mut text.sentences) {
        sentence.number = number;
    }
}

/// Whether the planted text spells out what the call does: a named thing of its arguments, or most of their words.
fn names_any(call: &Call, planted: &[Sentence]) -> bool {
    let in_planted = |fp| planted.iter().any(|s| s.tokens.iter().any(|t| t.fp == fp));
    let content = call.args.iter().flat_map(|leaf| &leaf.tokens).filter(|t| t.kind != TokenKind::Function);
    let (found, all) = content.clone().fold((0, 0), |(found, all), t| (found + u32::from(in_planted(t.fp)), all + 1));
    content.clone().any(|t| t.kind.is_handle() && in_planted(t.fp)) || (found > 0 && 2 * found >= all)
}
