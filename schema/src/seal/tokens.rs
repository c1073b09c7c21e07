//! A slice of text → words and entities, normalised so that the same thing written two ways is one fingerprint.

mod chunk; // what stands between blanks
mod look; // addresses, dates, hosts, numbers
mod word; // words and their stems

use super::words::Class;
use crate::fingerprint::{SessionKey, Short};
use crate::{Token, TokenKind};
use chunk::{CLAUSE, Chunk, WIDE, bits, is_clause, is_edge, plain, within_edges, within_wide_edges};
use look::{Look, number};
use word::{State, plain_word, word_piece};

/// One word or entity before it is fingerprinted.
pub(super) struct Piece<'a> {
    pub(super) kind: TokenKind,
    /// Normalised: stem, number, address without case...
    pub(super) text: Normal<'a>,
    /// Closed classes of the word, none for entities.
    pub(super) class: Class,
    /// The word has the form of a plural, past or participle, which no imperative has.
    pub(super) inflected: bool,
    /// Written in capitals throughout, three letters or more.
    pub(super) shouted: bool,
    /// A comma, colon or the like stood before it.
    pub(super) opens_clause: bool,
}

/// What a piece comes to.
#[derive(Clone, Copy)]
pub(super) enum Normal<'a> {
    /// As most words do.
    Short(Short),
    Text(&'a str),
}

impl Normal<'_> {
    pub(super) fn len(self) -> usize {
        match self {
            Normal::Short(short) => short.len(),
            Normal::Text(text) => text.len(),
        }
    }

    /// In a register, where it fits.
    pub(super) fn short(self) -> Option<Short> {
        match self {
            Normal::Short(short) => Some(short),
            Normal::Text(text) => Short::new(text.as_bytes()),
        }
    }
}

impl Piece<'_> {
    /// As it is kept.
    pub(super) fn token(&self, key: &SessionKey) -> Token {
        let fp = match self.text {
            Normal::Short(short) => key.fingerprint_short(SPACE_TOKEN, short),
            Normal::Text(text) => key.fingerprint(SPACE_TOKEN, text.as_bytes()),
        };
        Token { fp, kind: self.kind }
    }
}

/// Role of a fingerprint: tokens of texts, arguments and names share one, so that they can be found in each other.
const SPACE_TOKEN: u8 = 1;
/// Role of a whole value that is more than one token.
pub(super) const SPACE_WHOLE: u8 = 2;

/// Calls `visit` for each piece of `slice`, in order. `scratch` is reused between calls.
pub(super) fn pieces(slice: &str, scratch: &mut String, visit: &mut impl FnMut(Piece<'_>)) {
    let mut state = State { first: true, clause: true };
    let mut next = Some(0);
    while let Some(from) = next {
        let chunk = Chunk::at(slice, from);
        next = chunk.next;
        if let Some(word) = chunk.plain(slice) {
            plain_word(word, &mut state, visit);
        } else if from < chunk.end {
            edged_chunk(slice.get(from..chunk.end).unwrap_or_default(), chunk.seen, scratch, &mut state, visit);
        }
    }
}

/// A chunk that may have punctuation around it, which holds characters as `seen` says.
fn edged_chunk(chunk: &str, seen: u8, scratch: &mut String, state: &mut State, visit: &mut dyn FnMut(Piece<'_>)) {
    let (body, tail) = if seen & WIDE == 0 { within_edges(chunk) } else { within_wide_edges(chunk) };
    let has_clause = |text: &str| match seen & WIDE {
        0 => text.bytes().any(|byte| bits(byte) & CLAUSE != 0),
        _ => text.contains(is_clause),
    };
    if body.is_empty() {
        state.clause |= has_clause(chunk);
        return;
    }
    match plain(body) {
        Some(word) => plain_word(word, state, &mut |piece| visit(piece)),
        None => piece_of_chunk(body, 0, scratch, state, visit),
    }
    state.clause |= has_clause(tail);
}

/// Tokens of a phrase.
pub(super) fn of_phrase(text: &str, key: &SessionKey) -> Vec<Token> {
    let (mut out, mut scratch) = (Vec::new(), String::new());
    pieces(text, &mut scratch, &mut |piece| {
        if out.len() < crate::limits::LEAF_TOKENS_MAX {
            out.push(piece.token(key));
        }
    });
    out
}

/// Tokens of an identifier such as `send_money`, `sendMoney` or `/hotels/{id}/reserve`.
pub(super) fn of_name(name: &str, key: &SessionKey) -> Vec<Token> {
    let mut spaced = String::with_capacity(name.len() + 8);
    let mut lower_before = false;
    for c in name.chars() {
        if lower_before && c.is_uppercase() {
            spaced.push(' ');
        }
        lower_before = c.is_lowercase();
        if c.is_ascii_alphanumeric() {
            spaced.push(c.to_ascii_lowercase());
        } else if c.is_alphanumeric() {
            spaced.extend(c.to_lowercase());
        } else {
            spaced.push(' ');
        }
    }
    of_phrase(&spaced, key)
}

fn piece_of_chunk(
    chunk: &str,
    assigned: usize,
    scratch: &mut String,
    state: &mut State,
    visit: &mut dyn FnMut(Piece<'_>),
) {
    let look = Look::at(chunk);
    let entity = |kind: TokenKind, text: &str, state: &mut State, visit: &mut dyn FnMut(Piece<'_>)| {
        visit(Piece {
            kind,
            text: Short::new(text.as_bytes()).map_or(Normal::Text(text), Normal::Short),
            class: Class::default(),
            inflected: false,
            shouted: false,
            opens_clause: state.clause,
        });
        (state.first, state.clause) = (false, false);
    };
    if look.equals
        && assigned < ASSIGNMENTS_MAX
        && let Some((name, value)) = chunk.split_once('=').filter(|(name, _)| !name.contains(['/', '?', '.', '@']))
    {
        // An attribute or assignment: `href=https://…`.
        for part in [name, value] {
            let part = part.trim_matches(is_edge);
            if !part.is_empty() {
                piece_of_chunk(part, assigned + 1, scratch, state, visit);
            }
        }
        return;
    }
    if look.at && chunk.len() > 2 {
        lower_into(chunk.trim_start_matches("mailto:"), scratch);
        let host = scratch.split_once('@').map(|(_, host)| host).filter(|host| host.contains('.')).map(str::to_owned);
        entity(TokenKind::Address, scratch, state, visit);
        if let Some(host) = host {
            entity(TokenKind::Host, &host, state, visit);
        }
        return;
    }
    if look.scheme || chunk.starts_with("www.") || (look.slash && look.host_first) {
        lower_into(chunk, scratch);
        let url = scratch.split_once("://").map_or(scratch.as_str(), |(_, rest)| rest);
        let url = url.strip_prefix("www.").unwrap_or(url).trim_end_matches('/');
        let host = url.split(['/', '?', '#', ':']).next().unwrap_or(url);
        entity(TokenKind::Url, url, state, visit);
        if host.len() < url.len() {
            entity(TokenKind::Host, host, state, visit);
        }
        return;
    }
    if look.digit && look.date {
        lower_into(chunk, scratch);
        return entity(TokenKind::Date, scratch, state, visit);
    }
    if look.slash && look.alpha && (look.slashes > 1 || chunk.starts_with(['/', '~', '.'])) {
        lower_into(chunk, scratch);
        let path = scratch.trim_end_matches('/');
        let last = path.rsplit('/').next().unwrap_or(path);
        entity(TokenKind::Path, path, state, visit);
        if last.len() >= 3 && last.len() < path.len() {
            entity(TokenKind::Path, last, state, visit);
        }
        return;
    }
    if look.host {
        lower_into(chunk, scratch);
        return entity(TokenKind::Host, scratch, state, visit);
    }
    if look.digit {
        if number(chunk, scratch) {
            return entity(TokenKind::Number, scratch, state, visit);
        }
        if look.alpha && !look.slash && !chunk.contains(',') {
            lower_into(chunk, scratch);
            return entity(TokenKind::Id, scratch, state, visit);
        }
    }
    for word in chunk.split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '’')) {
        word_piece(word.trim_matches(['\'', '’']), scratch, state, visit);
    }
}

/// Assignments within one another that are taken apart: of a chunk that is a chain of them, what is left is words.
const ASSIGNMENTS_MAX: usize = 8;

fn lower_into(text: &str, scratch: &mut String) {
    scratch.clear();
    if text.is_ascii() {
        scratch.push_str(text);
        scratch.make_ascii_lowercase();
    } else {
        scratch.extend(text.chars().flat_map(char::to_lowercase));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(TokenKind, String)> {
        let mut out = Vec::new();
        pieces(text, &mut String::new(), &mut |p| {
            let text = match p.text {
                Normal::Short(short) => String::from_utf8(short.word().to_le_bytes()[..short.len()].to_vec()).unwrap(),
                Normal::Text(text) => text.to_owned(),
            };
            out.push((p.kind, text));
        });
        out
    }

    fn one(text: &str, kind: TokenKind, normal: &str) {
        assert_eq!(kinds(text).first(), Some(&(kind, normal.to_owned())), "{text}");
    }

    #[test]
    fn a_thing_written_two_ways_is_one_thing() {
        for (text, kind, normal) in [
            ("https://www.Shop.example/a/", TokenKind::Url, "shop.example/a"),
            ("www.shop.example", TokenKind::Url, "shop.example"),
            ("shop.example.", TokenKind::Host, "shop.example"),
            ("'Bob@Example.com',", TokenKind::Address, "bob@example.com"),
            ("$1,000.00", TokenKind::Number, "1000"),
            ("-4.50", TokenKind::Number, "4.5"),
            ("2024-05-15", TokenKind::Date, "2024-05-15"),
            ("10:30", TokenKind::Date, "10:30"),
            ("/user/info/a.txt", TokenKind::Path, "/user/info/a.txt"),
            ("SE3550000000054910000003", TokenKind::Id, "se3550000000054910000003"),
            ("reservations", TokenKind::Word, "reser"),
            ("files", TokenKind::Word, "file"),
            ("Your", TokenKind::Function, "your"),
        ] {
            one(text, kind, normal);
        }
        assert_eq!(kinds("and/or")[0].0, TokenKind::Function);
    }

    #[test]
    fn a_chain_of_assignments_is_taken_apart_so_far_and_no_further() {
        for name in ["b", "id=b"] {
            assert_eq!(kinds(&format!("a={name}")).last(), Some(&(TokenKind::Function, "b".to_owned())));
        }
        // A frame of the stack each would end the process.
        assert_eq!(kinds(&"x=".repeat(100_000)).len(), 100_000);
        assert_eq!(kinds(&format!("{}y@example.org", "x=".repeat(100_000))).len(), 2 + ASSIGNMENTS_MAX);
    }

    #[test]
    fn names_of_tools_fall_into_the_words_of_sentences() {
        let key = crate::TenantKey::new([0; 32]).session("t", "s");
        assert_eq!(of_name("sendMoney", &key), of_name("send_money", &key));
        assert_eq!(of_name("send_money", &key)[0].fp, of_phrase("Send", &key)[0].fp);
    }
}
