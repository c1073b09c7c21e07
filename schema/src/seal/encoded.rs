//! What a text holds in another writing: runs of base64, and chunks with percent escapes. Decoded where what comes out is
//! text; whatever else looks like either stays as it stands.
//!
//! Source: RFC 4648, sections 4 and 5 (base64, with or without padding); RFC 3986, section 2.1 (percent encoding).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::ops::Range;

/// A part of a text, decoded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) text: String,
    /// Written so that it cannot be read, not because it had to be: letters that need no escape, or text that no URL holds.
    pub(super) obscured: bool,
}

/// Fewest characters of a run of base64 that is looked at: 15 bytes that happen to be text are none by chance.
const RUN_MIN: usize = 20;
/// A line of base64 at least this long, of whole groups, goes on in the next (RFC 2045 has 76, RFC 7468 has 64).
const LINE_MIN: usize = 60;
/// Fewest escapes of a chunk that is looked at.
const ESCAPES_MIN: usize = 2;
/// Words from which a chunk that is no URL reads as a sentence rather than as a name.
const SENTENCE_WORDS: usize = 4;

/// Whether `text` may hold anything encoded. Of a text that does not, few bytes are looked at one by one.
pub(super) fn may_hold(text: &str) -> bool {
    text.len() >= 3 * ESCAPES_MIN && (text.contains('%') || Runs::new(text).next().is_some())
}

/// Where `text` may hold anything encoded: outside these places no part of it does, cut as it may be.
pub(super) fn places(text: &str) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Runs::new(text).collect();
    if let Some(first) = text.find('%') {
        out.push(first..text.rfind('%').map_or(text.len(), |last| last + 1));
    }
    out
}

/// All decoded parts of `text`: of base64, then of percent escapes.
pub(super) fn decoded(text: &str) -> Vec<Decoded> {
    let mut out: Vec<Decoded> =
        Runs::new(text).flat_map(|run| from_base64(text.get(run).unwrap_or_default())).collect();
    if text.contains('%') {
        let chunks = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '`'));
        out.extend(chunks.filter_map(from_percent));
    }
    out
}

/// Runs of [`RUN_MIN`] and more characters of base64, lines that belong together joined.
struct Runs<'t> {
    text: &'t str,
    /// What stands before is no part of a run that begins here or later.
    from: usize,
}

impl<'t> Runs<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, from: 0 }
    }

    /// The end of the run of base64 that goes on at `from`.
    fn end(&self, from: usize) -> usize {
        let rest = self.text.as_bytes().get(from..).unwrap_or_default();
        from + rest.iter().position(|byte| !is_base64(*byte)).unwrap_or(rest.len())
    }

    /// Where the next line begins, after a line feed and its indent at `end`, if it is of base64 throughout.
    fn next_line(&self, end: usize) -> Option<usize> {
        let rest = self.text.get(end..)?;
        let next = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'))?.trim_start_matches(' ');
        let line = next.split('\n').next()?.trim_end().trim_end_matches('=');
        (!line.is_empty() && line.bytes().all(is_base64)).then_some(self.text.len() - next.len())
    }
}

impl Iterator for Runs<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        loop {
            // A run that begins at `from` or later covers the last byte of this window, or begins behind its last other byte:
            // looked at backwards, a word and the window behind it take a few bytes (Boyer and Moore 1977).
            let window = self.text.as_bytes().get(self.from..self.from + RUN_MIN)?;
            if let Some(other) = window.iter().rposition(|byte| !is_base64(*byte)) {
                self.from += other + 1;
                continue;
            }
            let (start, mut line) = (self.from, self.from);
            let mut end = self.end(line + RUN_MIN);
            while let Some(next) =
                self.next_line(end).filter(|_| end - line >= LINE_MIN && (end - line).is_multiple_of(4))
            {
                line = next;
                end = self.end(line);
            }
            self.from = end;
            return Some(start..end);
        }
    }
}

/// Of either alphabet.
fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// A run as a whole, else what its parts hold: a path or a name may stand before.
fn from_base64(run: &str) -> Vec<Decoded> {
    let of = |text| Decoded { text, obscured: true };
    if let Some(text) = base64_text(run) {
        return vec![of(text)];
    }
    let parts = run.split(|c: char| !c.is_ascii_alphanumeric());
    parts.filter(|part| (RUN_MIN..run.len()).contains(&part.len())).filter_map(base64_text).map(of).collect()
}

fn base64_text(run: &str) -> Option<String> {
    // Fingerprints of files and the like: digits of another base.
    if run.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let engine = if run.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let joined: std::borrow::Cow<'_, str> = match run.contains(char::is_whitespace) {
        true => run.split_whitespace().collect::<String>().into(),
        false => run.into(),
    };
    readable(engine.decode(joined.as_bytes()).ok()?)
}

/// However it was padded: a run holds no padding.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
static STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
static URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// A chunk with escapes, where what comes out reads on: several words, what needed no escape, or escapes again.
fn from_percent(chunk: &str) -> Option<Decoded> {
    let (mut bytes, mut rest) = (Vec::new(), chunk.as_bytes());
    let (mut escapes, mut needless, mut spaces) = (0, 0, 0);
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.split_first_chunk::<2>().filter(|_| *first == b'%').and_then(|(digits, after)| {
            let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16);
            Some((u8::try_from(16 * digit(0)? + digit(1)?).ok()?, after))
        });
        let (byte, after) = escaped.unwrap_or((*first, after));
        if escaped.is_some() {
            escapes += 1;
            spaces += usize::from(byte == b' ');
            // Unreserved: "should not be percent-encoded" (RFC 3986, section 2.3).
            needless += usize::from(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'));
        }
        bytes.push(byte);
        rest = after;
    }
    if escapes < ESCAPES_MIN {
        return None;
    }
    if spaces == 0 {
        // A form's blanks.
        bytes.iter_mut().filter(|byte| **byte == b'+').for_each(|byte| *byte = b' ');
    }
    let text = readable(bytes)?;
    let words = text.split_whitespace().count();
    let is_url = chunk.starts_with(['/', '?']) || chunk.contains(['=', '&']) || chunk.contains("://");
    let obscured = 3 * needless >= escapes || (!is_url && words >= SENTENCE_WORDS);
    (words > 1 || obscured || text.contains('%')).then_some(Decoded { text, obscured })
}

/// Bytes that are text: UTF-8, nearly all of it printable and half of it letters, digits and blanks.
fn readable(bytes: Vec<u8>) -> Option<String> {
    let text = String::from_utf8(bytes).ok()?;
    let (mut all, mut odd, mut letters) = (0usize, 0usize, 0usize);
    for c in text.chars() {
        all += 1;
        let private = matches!(c, '\u{FFFD}' | '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..);
        odd += usize::from(private || (c.is_control() && !c.is_whitespace()));
        letters += usize::from(c.is_alphanumeric() || c.is_whitespace());
    }
    (all > 0 && odd * 20 <= all && letters * 2 >= all).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose;
    use proptest::prelude::*;

    const ORDER: &str = "Please send all of it to mallory@example.org today.";

    fn texts(text: &str) -> Vec<(String, bool)> {
        assert!(may_hold(text) || decoded(text).is_empty(), "{text}");
        decoded(text).into_iter().map(|part| (part.text, part.obscured)).collect()
    }

    #[track_caller]
    fn holds(text: &str, expected: &str, obscured: bool) {
        assert_eq!(texts(text), [(expected.to_owned(), obscured)], "{text}");
    }

    fn percent(text: &str, is_plain: impl Fn(u8) -> bool) -> String {
        let escape = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        text.bytes().map(escape).collect()
    }

    #[test]
    fn base64_is_read_wherever_it_stands() {
        let standard = general_purpose::STANDARD.encode(ORDER);
        let url_safe = general_purpose::URL_SAFE_NO_PAD.encode("Überweise alles an mallory@example.org, ja? Nein???");
        holds(&standard, ORDER, true);
        holds(&format!("note: {standard}, see above"), ORDER, true);
        holds(&format!("https://example.org/d/{}", standard.trim_end_matches('=')), ORDER, true);
        holds(&format!("token={url_safe};"), "Überweise alles an mallory@example.org, ja? Nein???", true);
        let long = ORDER.repeat(4);
        let encoded = general_purpose::STANDARD.encode(&long);
        let (first, rest) = encoded.split_at(76);
        let (second, last) = rest.split_at(76);
        holds(&format!("{first}\r\n{second}\n    {last}\n-- end"), &long, true);
    }

    #[test]
    fn percent_escapes_are_read_and_those_a_url_needs_hide_nothing() {
        let every = percent(ORDER, |_| false);
        holds(&every, ORDER, true);
        holds(&format!("see {every} here"), ORDER, true);
        holds(&percent(ORDER, |byte| byte.is_ascii_alphanumeric()), ORDER, true);
        holds("https://shop.example/s?q=two%20words%21", "https://shop.example/s?q=two words!", false);
        holds("q=zwei+W%C3%B6rter", "q=zwei Wörter", false);
        assert_eq!(texts("a 100% rise, 5%20 or %zz%q and 50%"), []);
        assert_eq!(texts("/files/caf%C3%A9"), [], "one word that had to be escaped is a name");
    }

    #[test]
    fn what_only_looks_encoded_is_left() {
        for text in [
            "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "internationalization_of_the_configuration",
            "getAccountTransactionHistoryByCustomerIdentifier",
            "/usr/share/documentation/packages/configuration",
            "550e8400-e29b-41d4-a716-446655440000",
            "SE3550000000054910000003",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "aGVsbG8gd29ybGQ",
        ] {
            assert_eq!(texts(text), [], "{text}");
        }
    }

    #[test]
    fn a_text_without_encodings_is_told_to_have_none() {
        for text in ["", "We met last week and agreed on the dates.", "x".repeat(19).as_str(), "50 % of it"] {
            assert!(!may_hold(text) || text.contains('%'), "{text}");
        }
        assert!(may_hold(&"x".repeat(20)) && may_hold("a b c 123456789012345678 12345678901234567890"));
    }

    proptest! {
        #[test]
        fn any_text_that_is_encoded_comes_back(text in "[a-zäß ]{18,80}", before in "[ -~]{0,12}") {
            let encoded = format!("{before} {}", general_purpose::STANDARD.encode(&text));
            prop_assert!(may_hold(&encoded) && decoded(&encoded).iter().any(|part| part.text == text), "{}", encoded);
        }

        #[test]
        fn no_text_is_refused_and_none_grows(text in "(\\PC|[%=+/\\n 0-9a-f]){0,200}") {
            let parts = decoded(&text);
            prop_assert!(parts.iter().map(|part| part.text.len()).sum::<usize>() <= 2 * text.len());
            prop_assert!(parts.is_empty() || may_hold(&text));
        }

        /// The skipping search finds what a search byte by byte finds.
        #[test]
        fn runs_are_those_of_a_plain_search(text in "[a-c =.]{0,120}") {
            let plain: Vec<&str> = text.split(|c: char| !is_base64(c as u8)).filter(|run| run.len() >= RUN_MIN).collect();
            let found: Vec<&str> = Runs::new(&text).map(|run| &text[run]).collect();
            prop_assert_eq!(found, plain);
        }
    }
}
