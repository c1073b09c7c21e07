//! How a sentence reads: its structural cues, piece by piece.

use super::tokens::Piece;
use super::words::{Class, hands_over, is_deed};
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
    /// The last two words, the last one first; none where something else stood.
    before: [Option<Short>; 2],
}

impl CueState {
    pub(super) fn new(slice: &str, given: Cues) -> Self {
        let (mut cues, end) = (given, ends(slice));
        for (is, cue) in
            [(end == Some('?'), Cues::QUESTION), (end == Some('!'), Cues::EXCLAMATION), (quotes(slice), Cues::QUOTES)]
        {
            if is {
                cues = cues.with(cue);
            }
        }
        Self { cues, words: 0, functions: 0, shouted: 0, verb: 0, following: false, before: [None; 2] }
    }

    #[inline]
    pub(super) fn piece(&mut self, piece: &Piece<'_>) {
        let kind = piece.kind;
        // A short word is one of grammar's in most languages, known here or not.
        let short = kind == TokenKind::Word && piece.text.len() <= SHORT;
        let name = self.verb == 1 && kind == TokenKind::Name;
        let governed = piece.class.has(Class::GOVERNED) || kind.is_entity() || name || short;
        if self.verb > 0 && governed && !piece.opens_clause {
            self.cues = self.cues.with(Cues::IMPERATIVE);
        }
        // "Delete it", but also "delete old files in" and "send money to": bare words may stand between.
        let bare = kind <= TokenKind::Name && !piece.class.any() && !piece.inflected;
        self.verb = match self.verb {
            _ if piece.opens_clause => u8::from(bare),
            1 | 2 if bare && kind == TokenKind::Word => self.verb + 1,
            _ => 0,
        };
        self.words += u32::from(!kind.is_entity());
        self.functions += u32::from(kind == TokenKind::Function || short);
        self.shouted += u32::from(piece.shouted);
        let following = std::mem::take(&mut self.following);
        let word = if kind.is_entity() { None } else { piece.text.short() };
        if word.is_some_and(|word| hands_over(word, self.before)) {
            self.cues = self.cues.with(Cues::DELEGATES);
        }
        match kind {
            TokenKind::Word | TokenKind::Name => {
                // "Request a third" is an order of its own.
                let spelled_out = following || (piece.opens_clause && !piece.inflected);
                if !spelled_out && word.is_some_and(|word| is_deed(word, self.before[0])) {
                    self.cues = self.cues.with(Cues::DELEGATES);
                }
                self.following = piece.inflected && word == Short::new(b"follo");
            }
            TokenKind::Function => self.cues = self.cues.with(of_class(piece.class)),
            _ if kind.is_handle() => self.cues = self.cues.with(Cues::HANDLE),
            _ => {}
        }
        self.before = [word, self.before[0]];
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

/// What a word of grammar says.
fn of_class(class: Class) -> Cues {
    let pairs = [
        (Class::SECOND, Cues::ADDRESSES),
        (Class::FIRST, Cues::AUTHOR),
        (Class::MODAL, Cues::MODAL),
        (Class::STEP, Cues::STEPS),
    ];
    let cue = |(of, cue)| if class.has(of) { cue } else { Cues::default() };
    pairs.into_iter().map(cue).fold(Cues::default(), Cues::with)
}

/// Longest short word, in bytes.
const SHORT: usize = 3;

/// The last mark of a slice, before blanks and what closes a quotation: `?` or `!`, of whatever width.
fn ends(slice: &str) -> Option<char> {
    if slice.as_bytes().last().is_some_and(u8::is_ascii_alphanumeric) {
        return None; // as most end
    }
    let closes = |c: &char| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | '”');
    match slice.chars().rev().find(|c| !closes(c))? {
        '?' | '？' => Some('?'),
        '!' | '！' => Some('!'),
        _ => None,
    }
}

/// Whether a slice quotes something.
fn quotes(slice: &str) -> bool {
    let bytes = slice.as_bytes();
    bytes.contains(&b'"')
        || (bytes.contains(&b'\'') && bytes.windows(2).any(|pair| pair == b" '"))
        || (!slice.is_ascii() && slice.contains(['“', '«']))
}
