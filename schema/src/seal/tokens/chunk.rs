//! A slice cut at blanks and brackets, and what its bytes are.

use crate::fingerprint::Short;

/// What stands between two [`is_break`]s.
pub(super) struct Chunk {
    pub(super) from: usize,
    pub(super) end: usize,
    /// Where the next one begins; none after the last.
    pub(super) next: Option<usize>,
    /// Which kinds of characters it holds.
    pub(super) seen: u8,
}

impl Chunk {
    /// The chunk of `text` that begins at `from`.
    #[inline]
    pub(super) fn at(text: &str, from: usize) -> Self {
        let bytes = text.as_bytes();
        let (mut at, mut seen) = (from, 0);
        while let Some(byte) = bytes.get(at) {
            let bits = bits(*byte);
            if bits & (BREAK | WIDE) == 0 {
                seen |= bits;
                at += 1;
                continue;
            }
            let wide = (bits & WIDE != 0).then(|| text.get(at..).and_then(|rest| rest.chars().next())).flatten();
            let length = wide.map_or(1, char::len_utf8);
            if wide.is_none_or(is_break) {
                return Self { from, end: at, next: Some(at + length), seen };
            }
            seen |= WIDE;
            at += length;
        }
        Self { from, end: at, next: None, seen }
    }

    /// Letters of ASCII only, and not too many: a word, whatever else a chunk may be.
    #[inline]
    pub(super) fn plain(&self, text: &str) -> Option<Short> {
        let is_plain = self.seen & !LETTER == 0 && self.from < self.end;
        is_plain.then(|| Short::within(text.as_bytes(), self.from, self.end - self.from)).flatten()
    }
}

/// What is between the punctuation around `chunk`, and what follows it; of ASCII alone.
pub(super) fn within_edges(chunk: &str) -> (&str, &str) {
    let bytes = chunk.as_bytes();
    let is_body = |byte: &u8| bits(*byte) & EDGE == 0;
    let from = bytes.iter().position(is_body).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(is_body).map_or(from, |last| last + 1);
    (chunk.get(from..end).unwrap_or_default(), chunk.get(end..).unwrap_or_default())
}

/// The same of any text.
pub(super) fn within_wide_edges(chunk: &str) -> (&str, &str) {
    let opens = chunk.trim_start_matches(is_edge);
    let body = opens.trim_end_matches(is_edge);
    (body, opens.get(body.len()..).unwrap_or_default())
}

/// A text of letters of ASCII, if it is short.
pub(super) fn plain(text: &str) -> Option<Short> {
    text.bytes().all(|byte| bits(byte) & LETTER != 0).then(|| Short::new(text.as_bytes())).flatten()
}

fn is_break(c: char) -> bool {
    match u8::try_from(c).ok().filter(u8::is_ascii) {
        Some(byte) => bits(byte) & BREAK != 0,
        None => c.is_whitespace() || matches!(c, '“' | '”' | '„' | '«' | '»' | '—' | '–' | '…'),
    }
}

/// Punctuation around a word that is no part of it.
pub(super) fn is_edge(c: char) -> bool {
    match u8::try_from(c).ok().filter(u8::is_ascii) {
        Some(byte) => bits(byte) & EDGE != 0,
        None => matches!(c, '’' | '‘' | '。' | '，' | '！' | '？' | '：'),
    }
}

pub(super) fn is_clause(c: char) -> bool {
    match u8::try_from(c).ok().filter(u8::is_ascii) {
        Some(byte) => bits(byte) & CLAUSE != 0,
        None => matches!(c, '。' | '，' | '：'),
    }
}

const BREAK: u8 = 1;
const EDGE: u8 = 2;
pub(super) const CLAUSE: u8 = 4;
const LETTER: u8 = 8;
/// Anything else of ASCII.
const OTHER: u8 = 32;
/// A byte of a character beyond ASCII.
pub(super) const WIDE: u8 = 64;

/// What a byte is: one look at a table for a dozen comparisons.
#[inline]
#[expect(clippy::indexing_slicing, reason = "a byte is below the table's length")]
pub(super) fn bits(byte: u8) -> u8 {
    BYTES[usize::from(byte)]
}

#[expect(clippy::indexing_slicing, reason = "below the table's length")]
static BYTES: [u8; 256] = {
    let mut table = [WIDE; 256];
    let mut at = 0;
    while at < 128 {
        let c = at as u8;
        table[at] = match c {
            b'A'..=b'Z' | b'a'..=b'z' => LETTER,
            _ => OTHER,
        };
        if matches!(
            c,
            b' ' | 9..=13 | b'"' | b'`' | b'<' | b'>' | b'{' | b'}' | b'[' | b']' | b'(' | b')' | b'|' | b';'
        ) {
            table[at] |= BREAK;
        }
        if matches!(c, b'\'' | b',' | b':' | b'.' | b'!' | b'?' | b'*' | b'#' | b'=' | b'-' | b'_' | b'\\') {
            table[at] |= EDGE;
        }
        if matches!(c, b',' | b':' | b'.' | b'!' | b'?') {
            table[at] |= CLAUSE;
        }
        at += 1;
    }
    table
};
