//! What a chunk looks like: an address, a date, a host, a number.

use std::fmt::Write as _;

/// What a chunk is made of, in one pass.
pub(super) struct Look {
    pub(super) digit: bool,
    pub(super) alpha: bool,
    pub(super) at: bool,
    pub(super) equals: bool,
    pub(super) slash: bool,
    pub(super) slashes: u32,
    pub(super) scheme: bool,
    /// Digits joined by date punctuation only.
    pub(super) date: bool,
    /// Labels joined by dots, the last one of letters: a host or a file name.
    pub(super) host: bool,
    /// The part before the first slash is such a name.
    pub(super) host_first: bool,
}

impl Look {
    pub(super) fn at(chunk: &str) -> Look {
        let (mut seen, mut slashes) = (0, 0);
        if chunk.is_ascii() {
            for byte in chunk.bytes() {
                seen |= marks(byte);
                slashes += u32::from(byte == b'/');
            }
        } else {
            for c in chunk.chars() {
                seen |= match u8::try_from(c).ok().filter(u8::is_ascii) {
                    Some(byte) => marks(byte),
                    None if c.is_alphabetic() => ALPHA | NO_DATE,
                    None => NO_DATE,
                };
                slashes += u32::from(c == '/');
            }
        }
        let has = |mark: u8| seen & mark != 0;
        let slash = slashes > 0;
        let host = has(DOT) && is_host(chunk);
        Look {
            digit: has(DIGIT),
            alpha: has(ALPHA),
            at: has(AT),
            equals: has(EQUALS),
            slash,
            slashes,
            scheme: slash && chunk.contains("://"),
            date: !has(NO_DATE) && has(DIGIT) && has(JOIN) && chunk.starts_with(|c: char| c.is_ascii_digit()),
            host,
            host_first: if slash { has(DOT) && chunk.split('/').next().is_some_and(is_host) } else { host },
        }
    }
}

const DIGIT: u8 = 1;
const ALPHA: u8 = 2;
const AT: u8 = 4;
const EQUALS: u8 = 8;
/// What joins the parts of a date.
const JOIN: u8 = 16;
const DOT: u8 = 32;
/// Stands in no date.
const NO_DATE: u8 = 64;

/// What a byte of ASCII may make of its chunk.
#[inline]
#[expect(clippy::indexing_slicing, reason = "a byte is below the table's length")]
fn marks(byte: u8) -> u8 {
    static MARKS: [u8; 256] = {
        let mut table = [NO_DATE; 256];
        let mut at = 0;
        while at < 128 {
            table[at] = match at as u8 {
                b'0'..=b'9' => DIGIT,
                b'@' => AT,
                b'=' => EQUALS | NO_DATE,
                b'/' | b'-' | b':' => JOIN,
                b'T' | b'Z' => ALPHA,
                b'.' => DOT,
                b'+' => 0,
                b'A'..=b'Z' | b'a'..=b'z' => ALPHA | NO_DATE,
                _ => NO_DATE,
            };
            at += 1;
        }
        table
    };
    MARKS[usize::from(byte)]
}

fn is_host(text: &str) -> bool {
    let Some((rest, last)) = text.rsplit_once('.') else { return false };
    let label = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.len() >= 5
        && (2..=10).contains(&last.len())
        && last.bytes().all(|b| b.is_ascii_alphanumeric())
        && last.bytes().any(|b| b.is_ascii_alphabetic())
        && !rest.is_empty()
        && rest.chars().all(label)
        && rest.chars().any(char::is_alphanumeric)
}

/// Writes a number in one way: `1,000.00`, `$1000` and `1000` are equal. False for what is none.
pub(super) fn number(text: &str, out: &mut String) -> bool {
    let bare = text.trim_start_matches(['$', '€', '£', '¥', '+', '#']).trim_end_matches(['%', '€', '$', '£']);
    if !bare.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b',')) {
        return false;
    }
    out.clear();
    out.extend(bare.split(','));
    if out.is_empty() || out.len() > 24 {
        return false;
    }
    if out.len() <= 15 && out.bytes().all(|b| b.is_ascii_digit()) && !out.starts_with('0') {
        return true; // a whole number that is exact: what the way round by a float gives
    }
    let Some(n) = out.parse::<f64>().ok().filter(|n| n.is_finite()) else { return false };
    out.clear();
    write!(out, "{n}").is_ok()
}
