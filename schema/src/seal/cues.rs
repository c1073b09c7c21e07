//! How a sentence reads: its structural cues, piece by piece.

use super::tokens::Piece;
use super::words::{Class, is_deed};
use crate::fingerprint::Short;
use crate::{Cues, TokenKind};

/// Collects the cues of one sentence, piece by piece.
pub(super) struct CueState {
    cues: Cues,
    words: u32,
    functions: u32,
    shouted: u32,
    /// Pieces since a word that could be an imperative verb, itself counted; 0: none is near.
    verb: u8,
    /// The piece before was *following*: what comes is spelled out here.
    following: bool,
    pieces: u32,
}

impl CueState {
    pub(super) fn new(slice: &str, given: Cues) -> Self {
        let trimmed = slice.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | '”'));
        let mut cues = given;
        for (is, cue) in [
            (trimmed.ends_with(['?', '？']), Cues::QUESTION),
            (trimmed.ends_with(['!', '！']), Cues::EXCLAMATION),
            (quotes(slice), Cues::QUOTES),
        ] {
            if is {
                cues = cues.with(cue);
            }
        }
        Self { cues, words: 0, functions: 0, shouted: 0, verb: 0, following: false, pieces: 0 }
    }

    pub(super) fn piece(&mut self, piece: &Piece<'_>) {
        if piece.class.any() {
            for (class, cue) in [
                (Class::SECOND, Cues::ADDRESSES),
                (Class::FIRST, Cues::AUTHOR),
                (Class::MODAL, Cues::MODAL),
                (Class::STEP, Cues::STEPS),
            ] {
                if piece.class.has(class) {
                    self.cues = self.cues.with(cue);
                }
            }
        }
        if piece.kind.is_handle() {
            self.cues = self.cues.with(Cues::HANDLE);
        }
        let word = matches!(piece.kind, TokenKind::Word | TokenKind::Name);
        if word && !self.following && piece.text.short().is_some_and(is_deed) {
            self.cues = self.cues.with(Cues::DELEGATES);
        }
        self.following = word && piece.inflected && piece.text.short() == Short::new(b"follo");
        let name = self.verb == 1 && piece.kind == TokenKind::Name;
        // A short word is one of grammar's in most languages, known here or not.
        let short = piece.kind == TokenKind::Word && piece.text.len() <= SHORT;
        let governed = piece.class.has(Class::GOVERNED) || piece.kind.is_entity() || name || short;
        if self.verb > 0 && governed && !piece.opens_clause {
            self.cues = self.cues.with(Cues::IMPERATIVE);
        }
        // "Delete it", but also "delete old files in" and "send money to": bare words may stand between.
        let bare = piece.kind <= TokenKind::Name && !piece.class.any() && !piece.inflected;
        self.verb = match self.verb {
            _ if piece.opens_clause => u8::from(bare),
            1 | 2 if bare && piece.kind == TokenKind::Word => self.verb + 1,
            _ => 0,
        };
        self.words += u32::from(!piece.kind.is_entity());
        self.functions += u32::from(piece.kind == TokenKind::Function || short);
        self.shouted += u32::from(piece.shouted);
        self.pieces += 1;
    }

    pub(super) fn finish(self) -> Cues {
        let mut cues = self.cues;
        if self.words >= 5 && self.functions * 4 >= self.words {
            cues = cues.with(Cues::PROSE);
        }
        if self.shouted >= 2 {
            cues = cues.with(Cues::CAPITALS);
        }
        cues
    }
}

/// Longest short word, in bytes.
const SHORT: usize = 3;

/// Whether a slice quotes something.
fn quotes(slice: &str) -> bool {
    let bytes = slice.as_bytes();
    bytes.contains(&b'"')
        || (bytes.contains(&b'\'') && bytes.windows(2).any(|pair| pair == b" '"))
        || (!slice.is_ascii() && slice.contains(['“', '«']))
}
