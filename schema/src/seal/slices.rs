//! A text → the slices that are read as sentences: lines that a serialiser folded are joined, fields, cells and list items
//! stand apart.

use crate::Cues;

/// Slices of a text that are read as sentences.
pub(super) struct Slices<'t> {
    rest: &'t str,
    /// Cues that the break before the next slice gives it.
    next: Cues,
}

pub(super) struct Slice<'t> {
    pub(super) text: &'t str,
    pub(super) cues: Cues,
}

impl<'t> Slices<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { rest: text, next: Cues::default() }
    }
}

impl<'t> Iterator for Slices<'t> {
    type Item = Slice<'t>;

    fn next(&mut self) -> Option<Slice<'t>> {
        loop {
            if self.rest.is_empty() {
                return None;
            }
            let (end, skip, after) = find_break(self.rest);
            let text = self.rest.get(..end).unwrap_or_default();
            let cues = std::mem::replace(&mut self.next, after);
            self.rest = self.rest.get(end + skip..).unwrap_or_default();
            if text.contains(char::is_alphanumeric) {
                let field = if key_length(text.trim_start_matches(is_bullet)).is_some() {
                    Cues::FIELD
                } else {
                    Cues::default()
                };
                return Some(Slice { text, cues: cues.with(field) });
            }
        }
    }
}

/// Where the slice at the start of `text` ends, how many bytes separate it from the next, and what the next one is.
fn find_break(text: &str) -> (usize, usize, Cues) {
    let bytes = text.as_bytes();
    let mut line = 0; // start of the current line
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|b| may_break(*b))) {
        at += found;
        let rest = || text.get(at + 1..).unwrap_or_default();
        match bytes.get(at) {
            Some(b'\n') => {
                if breaks_line(text.get(line..at).unwrap_or_default(), rest()) {
                    return (at, 1, Cues::default());
                }
                line = at + 1;
            }
            Some(b'|' | b'\t') => return (at, 1, Cues::default()),
            Some(mark @ (b'.' | b'!' | b'?')) => {
                let ends =
                    starts_with(rest(), |c| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | '<' | '”' | '\\'));
                let numbered = |line: &str| line.ends_with(|c: char| c.is_ascii_digit()) && line.trim().len() <= 2;
                if at > 0 && ends.unwrap_or(true) && !(*mark == b'.' && text.get(line..at).is_some_and(numbered)) {
                    let quote = usize::from(rest().starts_with(['"', '\'', ')']));
                    return (at + 1 + quote, 0, Cues::CONTINUES);
                }
            }
            Some(b'<') if starts_with(rest(), |n| n.is_ascii_alphabetic() || n == '/' || n == '!') == Some(true) => {
                if at > 0 {
                    return (at, 0, Cues::MARKUP);
                }
                // At a tag: it ends at `>` and is a sentence of its own (its attributes may hold links).
                let end = rest().find('>').map_or(text.len(), |end| at + 1 + end + 1);
                return (end, 0, Cues::default());
            }
            Some(first) if !first.is_ascii() => {
                let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else { break };
                at += c.len_utf8();
                if matches!(c, '。' | '！' | '？') {
                    return (at, 0, Cues::CONTINUES);
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    (text.len(), 0, Cues::default())
}

/// Whether the first character of `text` is so; none of an empty one.
fn starts_with(text: &str, is: impl Fn(char) -> bool) -> Option<bool> {
    match text.as_bytes().first() {
        Some(byte) if byte.is_ascii() => Some(is(char::from(*byte))),
        _ => text.chars().next().map(is),
    }
}

/// Whether a character that begins with this byte may end a slice.
#[expect(clippy::indexing_slicing, reason = "a byte is below the table's length")]
fn may_break(first: u8) -> bool {
    // The last two begin `。` and `！`, `？`.
    const BREAKS: [u8; 9] = [b'\n', b'.', b'!', b'?', b'|', b'\t', b'<', 0xe3, 0xef];
    static TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let mut at = 0;
        while at < BREAKS.len() {
            table[BREAKS[at] as usize] = true;
            at += 1;
        }
        table
    };
    TABLE[usize::from(first)]
}

/// Whether a line feed before `rest` ends the sentence that `line` is of: not where a serialiser folded a long line.
fn breaks_line(line: &str, rest: &str) -> bool {
    // Blanks by the byte: most lines are decided by their first characters.
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | 0x0b..=b'\r');
    let blanks = rest.bytes().take_while(blank).count();
    let mut next = rest.get(blanks..).unwrap_or_default();
    if !next.as_bytes().first().is_some_and(u8::is_ascii) {
        next = next.split('\n').next().unwrap_or_default().trim_start();
    }
    let Some(first) = next.chars().next() else { return true };
    if first == '\n' || is_bullet_start(first) || key_length(next).is_some() {
        return true;
    }
    let folded = line.len() >= FOLDED_BYTES_MIN || first.is_lowercase();
    !folded || line.trim_end().ends_with(':')
}

/// A line at least this long was folded rather than ended.
const FOLDED_BYTES_MIN: usize = 48;

fn is_bullet(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '*' | '•')
}

fn is_bullet_start(c: char) -> bool {
    matches!(c, '-' | '*' | '•' | '#')
}

/// Length of a `key:` at the start of a line, where there is one. More lines may follow.
fn key_length(text: &str) -> Option<usize> {
    // Most lines are decided by their first space.
    let end = text.bytes().position(|byte| !is_of_key(byte))?;
    let end = match text.as_bytes().get(end)? {
        b':' => end,
        byte if byte.is_ascii() => return None,
        _ => text.split('\n').next()?.find(':')?,
    };
    if !starts_with(text.get(end + 1..)?, char::is_whitespace).unwrap_or(true) {
        return None;
    }
    let key = text.get(..end)?.trim_matches(['"', '\'']);
    let named = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    (!key.is_empty() && key.len() <= 40 && key.chars().all(named)).then_some(end + 1)
}

/// Whether a byte may stand in a key, quotes around it included.
#[expect(clippy::indexing_slicing, reason = "a byte is below the table's length")]
fn is_of_key(byte: u8) -> bool {
    static TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let mut at = 0;
        while at < 256 {
            let byte = at as u8;
            table[at] = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'"' | b'\'');
            at += 1;
        }
        table
    };
    TABLE[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slices(text: &str) -> Vec<&str> {
        Slices::new(text).map(|s| s.text.trim()).collect()
    }

    #[test]
    fn sentences_fields_and_items_stand_apart_and_folded_lines_do_not() {
        assert_eq!(slices("One is here. Two is v1.2 there! Three"), ["One is here.", "Two is v1.2 there!", "Three"]);
        assert_eq!(slices("- id: 1\n  name: A\n- id: 2"), ["- id: 1", "name: A", "- id: 2"]);
        let folded = "body: we met last week and talked about the new plan for the\n    summer house at length";
        assert_eq!(slices(folded).len(), 1);
        assert_eq!(slices("<p>Hi there</p>\n<a href=\"http://x.example\">go</a>").len(), 6);
    }
}
