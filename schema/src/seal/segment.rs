//! A text → sentences, each with its tokens and structural cues.

use super::cues::CueState;
use super::encoded;
use super::reveal::reveal;
use super::slices::Slices;
use super::tokens::pieces;
use crate::fingerprint::SessionKey;
use crate::limits::{
    DECODED_BYTES_MAX, DECODED_LEVELS_MAX, DEPTH_MAX, SENTENCE_TOKENS_MAX, SENTENCES_MAX, TEXT_BYTES_MAX,
};
use crate::{Cues, Sentence, Text, Token};
use serde_json::Value;
use std::borrow::Cow;

/// Seals a text. One that is JSON is read leaf by leaf.
pub(super) fn seal_text(text: &str, key: &SessionKey) -> Text {
    let trimmed = text.trim_start();
    if trimmed.starts_with(['{', '['])
        && text.len() <= TEXT_BYTES_MAX
        && let Ok(value @ (Value::Object(_) | Value::Array(_))) = serde_json::from_str(text)
    {
        return Text { bytes: length(text), ..seal_json(&value, key) };
    }
    let mut out = Collector::new(key);
    out.text(text, Cues::default());
    out.finish(length(text))
}

/// Seals any other JSON: each string leaf a field; the short scalars of one object make one sentence together.
pub(super) fn seal_json(value: &Value, key: &SessionKey) -> Text {
    let mut out = Collector::new(key);
    let mut bytes = 0;
    out.json(value, 0, &mut bytes);
    out.finish(u32::try_from(bytes).unwrap_or(u32::MAX))
}

/// Cues of one sentence of plain text, for tools that show how a text reads.
pub fn cues_of(sentence: &str) -> Cues {
    let mut state = CueState::new(sentence, Cues::default());
    pieces(sentence, &mut String::new(), &mut |piece| state.piece(&piece));
    state.finish()
}

struct Collector<'k> {
    key: &'k SessionKey,
    sentences: Vec<Sentence>,
    number: u32,
    bytes_left: usize,
    /// Of what is decoded, by how deep one encoding stands in another; and how deep this text does.
    decoded_left: [usize; DECODED_LEVELS_MAX],
    level: usize,
    scratch: String,
    /// Of one sentence.
    tokens: Vec<Token>,
}

impl<'k> Collector<'k> {
    fn new(key: &'k SessionKey) -> Self {
        Self {
            key,
            sentences: Vec::new(),
            number: 0,
            bytes_left: TEXT_BYTES_MAX,
            decoded_left: [DECODED_BYTES_MAX; DECODED_LEVELS_MAX],
            level: 0,
            scratch: String::new(),
            tokens: Vec::new(),
        }
    }

    fn text(&mut self, text: &str, given: Cues) {
        let end = floor_boundary(text, self.bytes_left.min(text.len()));
        self.bytes_left -= end;
        self.read(text.get(..end).unwrap_or_default(), given);
    }

    fn read(&mut self, text: &str, given: Cues) {
        let (clean, hidden) = clean(text);
        let encoded = encoded::places(&clean);
        let mut given = given;
        for slice in Slices::new(&clean) {
            let at = slice.text.as_ptr() as usize - clean.as_ptr() as usize;
            let mut cues = given.with(slice.cues);
            let next = hidden.partition_point(|hidden| *hidden < at);
            if hidden.get(next).is_some_and(|hidden| *hidden <= at + slice.text.len()) {
                cues = cues.with(Cues::HIDDEN);
            }
            self.sentence(slice.text, cues);
            let of_slice = at..at + slice.text.len();
            if encoded.iter().any(|place| place.start < of_slice.end && of_slice.start < place.end) {
                self.decoded(slice.text);
            }
            given = Cues(given.0 & !Cues::FIELD.0);
        }
    }

    /// What a slice holds in another writing, as sentences after it.
    fn decoded(&mut self, slice: &str) {
        let Some(left) = self.decoded_left.get(self.level).copied().filter(|_| encoded::may_hold(slice)) else {
            return;
        };
        let mut left = left;
        let level = self.level;
        self.level += 1;
        for part in encoded::decoded(slice) {
            let end = floor_boundary(&part.text, left.min(part.text.len()));
            left -= end;
            let cues = if part.obscured { Cues::ENCODED } else { Cues::default() };
            self.read(part.text.get(..end).unwrap_or_default(), cues);
        }
        self.level = level;
        self.decoded_left.iter_mut().skip(level).take(1).for_each(|slot| *slot = left);
    }

    fn sentence(&mut self, slice: &str, given: Cues) {
        let mut cues = CueState::new(slice, given);
        let (mut scratch, mut tokens) = (std::mem::take(&mut self.scratch), std::mem::take(&mut self.tokens));
        tokens.clear();
        pieces(slice, &mut scratch, &mut |piece| {
            cues.piece(&piece);
            tokens.push(piece.token(self.key));
        });
        self.scratch = scratch;
        let cues = cues.finish();
        for (part, tokens) in tokens.chunks(SENTENCE_TOKENS_MAX).enumerate() {
            let cues = if part == 0 { cues } else { cues.with(Cues::CONTINUES) };
            self.sentences.push(Sentence { number: self.number, cues, tokens: tokens.to_vec() });
            self.number = self.number.saturating_add(1);
        }
        self.tokens = tokens;
        if self.sentences.len() > 2 * SENTENCES_MAX {
            keep_best(&mut self.sentences);
        }
    }

    fn json(&mut self, value: &Value, depth: usize, bytes: &mut usize) {
        if depth > DEPTH_MAX || self.bytes_left == 0 {
            return;
        }
        match value {
            Value::Object(map) => {
                let mut row = String::new();
                for (name, value) in map {
                    *bytes += name.len();
                    match value {
                        Value::String(text) if text.len() > SCALAR_BYTES_MAX || text.contains(char::is_whitespace) => {
                            *bytes += text.len();
                            self.text(text, Cues::FIELD);
                        }
                        Value::Object(_) | Value::Array(_) => self.json(value, depth + 1, bytes),
                        scalar => {
                            row.push_str(name);
                            row.push(' ');
                            push_scalar(scalar, &mut row);
                            row.push_str(" | ");
                        }
                    }
                }
                self.row(&row, bytes);
            }
            Value::Array(items) => {
                let mut row = String::new();
                for item in items {
                    match item {
                        Value::Object(_) | Value::Array(_) => self.json(item, depth + 1, bytes),
                        Value::String(text) if text.len() > SCALAR_BYTES_MAX || text.contains(char::is_whitespace) => {
                            *bytes += text.len();
                            self.text(text, Cues::FIELD);
                        }
                        scalar => {
                            push_scalar(scalar, &mut row);
                            row.push_str(" | ");
                        }
                    }
                }
                self.row(&row, bytes);
            }
            Value::String(text) => {
                *bytes += text.len();
                self.text(text, Cues::FIELD);
            }
            scalar => {
                let mut row = String::new();
                push_scalar(scalar, &mut row);
                self.row(&row, bytes);
            }
        }
    }

    fn row(&mut self, row: &str, bytes: &mut usize) {
        if row.is_empty() {
            return;
        }
        *bytes += row.len();
        let end = floor_boundary(row, self.bytes_left.min(row.len()));
        self.bytes_left -= end;
        let row = row.get(..end).unwrap_or_default();
        self.sentence(row, Cues::FIELD);
        self.decoded(row);
    }

    fn finish(mut self, bytes: u32) -> Text {
        keep_best(&mut self.sentences);
        let kept = u32::try_from(self.sentences.len()).unwrap_or(u32::MAX);
        Text { bytes, cut: self.number.saturating_sub(kept), sentences: self.sentences }
    }
}

/// Scalars up to this length share a sentence with their neighbours.
const SCALAR_BYTES_MAX: usize = 48;

fn push_scalar(value: &Value, row: &mut String) {
    match value {
        Value::String(text) => row.push_str(text),
        Value::Null => {}
        other => row.push_str(&other.to_string()),
    }
}

/// Keeps the [`SENTENCES_MAX`] sentences with most cues, in reading order; the earlier of two equals stays.
fn keep_best(sentences: &mut Vec<Sentence>) {
    if sentences.len() <= SENTENCES_MAX {
        return;
    }
    let mut order: Vec<(u32, u32)> = sentences.iter().map(|s| (u32::MAX - weight(s), s.number)).collect();
    order.select_nth_unstable(SENTENCES_MAX);
    let mut kept: Vec<u32> = order.iter().take(SENTENCES_MAX).map(|(_, number)| *number).collect();
    kept.sort_unstable();
    sentences.retain(|s| kept.binary_search(&s.number).is_ok());
}

fn weight(sentence: &Sentence) -> u32 {
    sentence.cues.0.count_ones()
        + 2 * u32::from(sentence.cues.has(Cues::HANDLE))
        + 2 * u32::from(sentence.cues.has(Cues::IMPERATIVE))
}

/// A text as it reads, and where something was hidden in it. Line feeds that a serialiser wrote as `\\n` are line feeds again.
fn clean(text: &str) -> (Cow<'_, str>, Vec<usize>) {
    if text.as_bytes().contains(&b'\\') && text.contains("\\n") {
        let unfolded = unfold(text);
        let (clean, hidden) = reveal(&unfolded);
        return (clean.into_owned().into(), hidden);
    }
    reveal(text)
}

/// Undoes the escapes of a double-quoted YAML or JSON string inside a text: `\\n`, `\\"`, and a line folded by `\\`.
fn unfold(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(rest.get(..at).unwrap_or_default());
        let tail = rest.get(at + 1..).unwrap_or_default();
        let (write, skip) = match tail.bytes().next() {
            Some(b'n') => ("\n", 1),
            Some(b'"') => ("\"", 1),
            Some(b'\n') => {
                (" ", 1 + tail.len() - 1 - tail.get(1..).unwrap_or_default().trim_start_matches([' ', '\\']).len())
            }
            _ => ("\\", 0),
        };
        out.push_str(write);
        rest = tail.get(skip..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn length(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
