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
    let mut line = 0; // start of the current line
    let mut at = 0;
    while let Some(found) = text.as_bytes().get(at..).and_then(|rest| rest.iter().position(|b| may_break(*b))) {
        at += found;
        let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) else { break };
        let rest = || text.get(at + c.len_utf8()..).unwrap_or_default();
        match c {
            '\n' => {
                if breaks_line(text.get(line..at).unwrap_or_default(), rest()) {
                    return (at, 1, Cues::default());
                }
                line = at + 1;
            }
            '.' | '!' | '?' => {
                let ends = rest()
                    .chars()
                    .next()
                    .is_none_or(|n| n.is_whitespace() || matches!(n, '"' | '\'' | ')' | '<' | '”' | '\\'));
                let numbered = c == '.'
                    && text.get(..at).is_some_and(|t| t.ends_with(|c: char| c.is_ascii_digit()))
                    && text.get(line..at).is_some_and(|l| l.trim().len() <= 2);
                if ends && !numbered && at > 0 {
                    let quote = usize::from(rest().starts_with(['"', '\'', ')']));
                    return (at + 1 + quote, 0, Cues::CONTINUES);
                }
            }
            '。' | '！' | '？' => return (at + c.len_utf8(), 0, Cues::CONTINUES),
            '|' | '\t' => return (at, 1, Cues::default()),
            '<' if rest().starts_with(|n: char| n.is_ascii_alphabetic() || n == '/' || n == '!') => {
                if at > 0 {
                    return (at, 0, Cues::MARKUP);
                }
                // At a tag: it ends at `>` and is a sentence of its own (its attributes may hold links).
                let end = rest().find('>').map_or(text.len(), |end| at + 1 + end + 1);
                return (end, 0, Cues::default());
            }
            _ => {}
        }
        at += c.len_utf8();
    }
    (text.len(), 0, Cues::default())
}

/// Whether a character that begins with this byte may end a slice.
fn may_break(first: u8) -> bool {
    // The last two begin `。` and `！`, `？`.
    matches!(first, b'\n' | b'.' | b'!' | b'?' | b'|' | b'\t' | b'<' | 0xe3 | 0xef)
}

/// Whether a line feed ends a sentence: not where a serialiser folded a long line.
fn breaks_line(line: &str, rest: &str) -> bool {
    let next = rest.split('\n').next().unwrap_or_default();
    let bare = next.trim();
    if bare.is_empty() || next.trim_start().starts_with(is_bullet_start) || key_length(bare).is_some() {
        return true;
    }
    let folded = line.len() >= FOLDED_BYTES_MIN || bare.starts_with(char::is_lowercase);
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

/// Length of a `key:` at the start of a line, where there is one.
fn key_length(line: &str) -> Option<usize> {
    // Most lines are decided by their first space.
    let of_key = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'"' | b'\'');
    let end = match line.bytes().enumerate().find(|(_, b)| !of_key(*b))? {
        (at, b':') => at,
        (_, b) if b.is_ascii() => return None,
        _ => line.find(':')?,
    };
    let key = line.get(..end)?.trim_matches(['"', '\'']);
    let after = line.get(end + 1..)?;
    let named =
        !key.is_empty() && key.len() <= 40 && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    (named && after.chars().next().is_none_or(char::is_whitespace)).then_some(end + 1)
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
