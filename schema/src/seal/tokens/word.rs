//! Words: their class, their stem, and what becomes of those that are numbers.

use super::chunk::plain;
use super::look::number;
use super::{Normal, Piece, lower_into};
use crate::TokenKind;
use crate::fingerprint::Short;
use crate::seal::words::Class;

/// Where a word stands.
pub(super) struct State {
    /// No word came before it.
    pub(super) first: bool,
    /// A clause may open with it.
    pub(super) clause: bool,
}

impl State {
    #[inline]
    fn after_word(&mut self, class: Class) {
        // After a modal or a step word a verb may open again: "please send", "must pay", "then delete".
        self.clause = class.has(Class::MODAL) || class.has(Class::STEP);
        self.first = false;
    }
}

/// The piece that a word is.
pub(super) fn word_piece(word: &str, scratch: &mut String, state: &mut State, visit: &mut dyn FnMut(Piece<'_>)) {
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
    if word.is_empty() {
        return;
    }
    if let Some(word) = plain(word) {
        return plain_word(word, state, &mut |piece| visit(piece));
    }
    if word.bytes().any(|b| b.is_ascii_digit()) && number(word, scratch) {
        visit(Piece {
            kind: TokenKind::Number,
            text: Normal::Text(scratch),
            class: Class::default(),
            inflected: false,
            shouted: false,
            opens_clause: state.clause,
        });
        (state.first, state.clause) = (false, false);
        return;
    }
    let capital = word.chars().next().is_some_and(char::is_uppercase);
    let shouted = word.len() >= 3 && capital && !word.chars().any(char::is_lowercase);
    lower_into(word, scratch);
    let of_text = |text: &str| Short::new(text.as_bytes()).map_or(Class::default(), Class::of);
    let quoted = !scratch.is_ascii() && scratch.contains('’');
    let class = if quoted { of_text(&scratch.replace('’', "'")) } else { of_text(scratch) };
    let inflected =
        (scratch.ends_with('s') && !scratch.ends_with("ss")) || scratch.ends_with("ed") || scratch.ends_with("ing");
    let kind = kind_of_word(class, scratch.len(), capital, state);
    if kind != TokenKind::Function {
        stem(scratch);
    }
    let text = Normal::Text(scratch);
    visit(Piece { kind, text, class, inflected, shouted, opens_clause: state.clause });
    state.after_word(class);
}

/// [`word_piece`] of a word as most are: few letters of ASCII. The stem as [`stem`] makes it.
#[inline]
pub(super) fn plain_word(word: Short, state: &mut State, visit: &mut impl FnMut(Piece<'_>)) {
    let capital = (word.word() as u8).is_ascii_uppercase();
    let shouted = word.is_upper() && word.len() >= 3;
    let word = word.lower();
    let class = Class::of(word);
    let plural = word.ends_with(b"s") && !word.ends_with(b"ss");
    let inflected = plural || word.ends_with(b"ed") || word.ends_with(b"ing");
    let kind = kind_of_word(class, word.len(), capital, state);
    let stem = match kind {
        TokenKind::Function => word,
        _ if plural && word.len() >= 4 => word.cut_to((word.len() - 1).min(STEM)),
        _ => word.cut_to(word.len().min(STEM)),
    };
    let text = Normal::Short(stem);
    visit(Piece { kind, text, class, inflected, shouted, opens_clause: state.clause });
    state.after_word(class);
}

#[inline]
fn kind_of_word(class: Class, bytes: usize, capital: bool, state: &State) -> TokenKind {
    match (class.any(), bytes) {
        (true, _) | (_, 0..=1) => TokenKind::Function,
        _ if capital && !state.first => TokenKind::Name,
        _ => TokenKind::Word,
    }
}

/// Letters of a stem.
const STEM: usize = 5;

/// Stem by truncation, which needs no language: no plural `s`, then the first five letters.
/// Source: McNamee and Mayfield, "Character n-gram tokenization for European language text retrieval", 2004 (prefixes do as well as stemmers).
fn stem(word: &mut String) {
    if word.len() >= 4 && word.ends_with('s') && !word.ends_with("ss") {
        word.pop();
    }
    if word.is_ascii() {
        word.truncate(STEM);
    } else if let Some((at, _)) = word.char_indices().nth(STEM) {
        word.truncate(at);
    }
}
