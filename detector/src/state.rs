//! What a session leaves behind, bounded: the mission's words, the last results as sentences of fingerprints, the
//! arguments used, the tools called.

mod encoding; // how it is written in a checkpoint
mod index; // where a token of the results stands
mod short; // what is kept of it where its owner is out of reach

use crate::fp::{FpMap, sorted};
use crate::limits::{MISSION_TOKENS_MAX, PRIOR_TOKENS_MAX, RESULT_TOKENS_MAX, RESULTS_MAX};
use crate::markov::SequenceState;
use crate::strength::Strengths;
use index::{Index, Postings};
use schema::{Call, Cues, KeyId, NameHash, Status, Text, Token, TokenKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// State of one session. `Default` is a session nothing is known of. In a checkpoint by names of fields; see
/// `encoding`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, remote = "Self")]
pub struct SessionState {
    /// Calls seen.
    pub(crate) calls: u32,
    /// Hashes of the last tools, newest last, at most [`TOOLS_KEPT`].
    pub(crate) tools: Vec<NameHash>,
    /// The last tool's name, for evidence.
    pub(crate) last_tool: Option<schema::Tool>,
    /// Words and entities of what the user asked.
    #[serde(with = "sorted")]
    pub(crate) mission: FpMap<Asked>,
    pub(crate) mission_mass: f64,
    pub(crate) mission_used: f64,
    /// The user asked for deeds that stand elsewhere.
    pub(crate) delegated: bool,
    /// Results, oldest first.
    pub(crate) results: Vec<Seen>,
    /// Where in `results` a token stands, by (result number, sentence index).
    pub(crate) index: Index,
    /// Tokens in `results`, for the bound.
    pub(crate) result_tokens: usize,
    /// Tokens of earlier arguments.
    #[serde(with = "sorted")]
    pub(crate) prior: FpMap<()>,
    /// Fingerprints of whole earlier calls.
    #[serde(with = "sorted")]
    pub(crate) repeats: FpMap<u32>,
    pub(crate) last_status: Option<Status>,
    pub(crate) errors: u32,
    pub(crate) key: Option<KeyId>,
    /// Two keys in one session: provenance is unknown from here on.
    pub(crate) mixed_keys: bool,
    /// Strongest instruction-like sentence met in a result, 0..1.
    pub(crate) exposure: f64,
    /// Order and mix of the calls.
    pub(crate) sequence: SequenceState,
}

/// A token of the mission.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    #[serde(rename = "w")]
    pub(crate) weight: f32,
    #[serde(rename = "u")]
    pub(crate) used: bool,
}

/// A sentence: result by its call's index, sentence by its index in `Seen::sentences`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Place {
    #[serde(rename = "c")]
    pub(crate) call: u32,
    #[serde(rename = "s")]
    pub(crate) sentence: u16,
}

/// One result as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Seen {
    #[serde(rename = "c")]
    pub(crate) call: u32,
    #[serde(rename = "t")]
    pub(crate) tool: NameHash,
    /// Part of the source call's arguments' mass that stood in the mission: how far the user named this source.
    #[serde(rename = "n")]
    pub(crate) named: f32,
    #[serde(rename = "s")]
    pub(crate) sentences: Vec<Kept>,
}

/// One sentence as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Kept {
    #[serde(rename = "n")]
    pub(crate) number: u32,
    #[serde(rename = "c")]
    pub(crate) cues: Cues,
    /// Instruction strength of the sentence by itself, with its direct neighbours, and of the passage around, 0..1.
    #[serde(rename = "s")]
    pub(crate) own: f32,
    #[serde(rename = "d")]
    pub(crate) near: f32,
    #[serde(rename = "p")]
    pub(crate) passage: f32,
    /// Strength of the sentences around, summed.
    #[serde(rename = "b")]
    pub(crate) block: f32,
    /// Content tokens.
    #[serde(rename = "t", with = "encoding::packed")]
    pub(crate) tokens: Vec<Token>,
}

impl Serialize for SessionState {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, out)
    }
}

impl<'de> Deserialize<'de> for SessionState {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let mut state = Self::deserialize(input)?;
        if state.index.len() == 0 {
            state.index = Index::of(&state.results);
        }
        Ok(state)
    }
}

impl SessionState {
    /// What the order and mix of calls alone say of the session so far; never falls.
    pub fn sequence_risk(&self) -> schema::Risk {
        self.sequence.risk()
    }

    /// Whether the session has met instruction-like text.
    pub fn exposed(&self) -> bool {
        self.exposure >= crate::strength::EXPOSED
    }

    /// Calls seen so far.
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// Takes in what the user asked.
    pub(crate) fn ask(&mut self, mission: &Text) {
        self.delegated |= mission.sentences.iter().any(|s| s.cues.has(Cues::DELEGATES));
        for token in mission.sentences.iter().flat_map(|s| &s.tokens).filter(|t| is_content(t)) {
            if self.mission.len() >= MISSION_TOKENS_MAX {
                break;
            }
            let weight = weight(token.kind);
            let asked = self.mission.entry(token.fp.0).or_default();
            if asked.weight == 0.0 {
                asked.weight = weight as f32;
                self.mission_mass += weight;
            }
        }
    }

    /// Takes in the call itself: its tool and arguments.
    pub(crate) fn push_call(&mut self, call: &Call) {
        if *self.key.get_or_insert(call.fpk) != call.fpk {
            self.mixed_keys = true;
        }
        for token in call.args.iter().flat_map(|leaf| &leaf.tokens).chain(&call.tool_stems).filter(|t| is_content(t)) {
            if let Some(asked) = self.mission.get_mut(&token.fp.0)
                && !asked.used
            {
                asked.used = true;
                self.mission_used += f64::from(asked.weight);
            }
        }
        for leaf in &call.args {
            for token in leaf.tokens.iter().filter(|t| is_content(t)) {
                if self.prior.len() < PRIOR_TOKENS_MAX {
                    self.prior.insert(token.fp.0, ());
                }
            }
        }
        if self.repeats.len() < PRIOR_TOKENS_MAX {
            *self.repeats.entry(call_fingerprint(call)).or_default() += 1;
        }
        if self.tools.len() >= TOOLS_KEPT {
            self.tools.remove(0);
        }
        self.tools.push(tool_hash(call));
        self.last_tool = Some(call.tool.clone());
        self.calls = self.calls.saturating_add(1);
        self.last_status = call.status;
        self.errors = self.errors.saturating_add(u32::from(call.status == Some(Status::Error)));
    }

    /// Takes in the result of call number `at`. `strengths`: one a sentence of `text`.
    pub(crate) fn push_result(&mut self, at: u32, call: &Call, named: f64, text: &Text, strengths: &[Strengths]) {
        let mut sentences = Vec::with_capacity(text.sentences.len());
        // A third of a text's tokens are new to the session, or thereabouts: one growth instead of several.
        let tokens: usize = text.sentences.iter().map(|sentence| sentence.tokens.len()).sum();
        self.index.reserve(tokens / 3);
        for (sentence, strength) in text.sentences.iter().zip(strengths) {
            self.exposure = self.exposure.max(strength.near);
            let content = sentence.tokens.iter().filter(|token| is_content(token));
            let mut tokens = Vec::with_capacity(content.clone().count());
            tokens.extend(content.copied());
            let place = Place { call: at, sentence: u16::try_from(sentences.len()).unwrap_or(u16::MAX) };
            for token in &tokens {
                self.index.add(token.fp.0, place);
            }
            self.result_tokens += tokens.len();
            sentences.push(Kept {
                number: sentence.number,
                cues: sentence.cues,
                own: strength.own as f32,
                near: strength.near as f32,
                passage: strength.passage as f32,
                block: strength.block as f32,
                tokens,
            });
        }
        self.results.push(Seen { call: at, tool: tool_hash(call), named: named as f32, sentences });
        while self.results.len() > RESULTS_MAX || (self.result_tokens > RESULT_TOKENS_MAX && self.results.len() > 1) {
            self.forget_oldest();
        }
    }

    /// The kept sentence at a place.
    pub(crate) fn sentence(&self, place: Place) -> Option<(&Seen, &Kept)> {
        let at = self.results.binary_search_by_key(&place.call, |seen| seen.call).ok()?;
        let seen = self.results.get(at)?;
        Some((seen, seen.sentences.get(usize::from(place.sentence))?))
    }

    /// Weakest strengths among a token's places: with direct neighbours, and of the passage.
    pub(crate) fn weakest(&self, postings: &Postings) -> (f64, f64) {
        let places = postings.places.iter().filter_map(|place| self.sentence(*place));
        let least = places.fold((f64::INFINITY, f64::INFINITY), |least, (_, kept)| {
            (least.0.min(f64::from(kept.near)), least.1.min(f64::from(kept.passage)))
        });
        if least.0.is_finite() { least } else { (0.0, 0.0) }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.results.remove(0);
        for token in oldest.sentences.iter().flat_map(|s| &s.tokens) {
            self.result_tokens -= 1;
            self.index.forget(token.fp.0, oldest.call);
        }
    }
}

/// Tools kept for the sequence model.
pub(crate) const TOOLS_KEPT: usize = 8;

/// Whether a token carries content.
pub(crate) fn is_content(token: &Token) -> bool {
    token.kind != TokenKind::Function
}

/// How much finding a token says: a handle is rarely shared by chance, a word often.
pub(crate) fn weight(kind: TokenKind) -> f64 {
    match kind {
        TokenKind::Function => 0.0,
        TokenKind::Word => 0.5,
        TokenKind::Name => 0.7,
        TokenKind::Number => 0.6,
        TokenKind::Date => 0.8,
        TokenKind::Host => 1.0,
        TokenKind::Address | TokenKind::Url | TokenKind::Path | TokenKind::Id => 1.5,
    }
}

/// The tool as a model knows it.
pub(crate) fn tool_hash(call: &Call) -> NameHash {
    call.tool.name_hash()
}

pub(crate) fn call_fingerprint(call: &Call) -> u64 {
    call.args.iter().fold(tool_hash(call).0, |hash, leaf| hash.rotate_left(7) ^ leaf.whole.0)
}

/// How often exactly this call was made before.
pub(crate) fn repeats(state: &SessionState, call: &Call) -> u32 {
    state.repeats.get(&call_fingerprint(call)).copied().unwrap_or(0)
}
