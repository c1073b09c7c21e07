//! A slice of text → words and entities, normalised so that the same thing written two ways is one fingerprint.

use super::words::Class;
use crate::fingerprint::SessionKey;
use crate::{Token, TokenKind};

/// One word or entity before it is fingerprinted.
pub(super) struct Piece<'a> {
    pub(super) kind: TokenKind,
    /// Normalised: stem, number, address without case...
    pub(super) text: &'a str,
    /// Closed classes of the word, none for entities.
    pub(super) class: Class,
    /// The word has the form of a plural, past or participle, which no imperative has.
    pub(super) inflected: bool,
    /// Written in capitals throughout, three letters or more.
    pub(super) shouted: bool,
    /// A comma, colon or the like stood before it.
    pub(super) opens_clause: bool,
}

/// Role of a fingerprint: tokens of texts, arguments and names share one, so that they can be found in each other.
pub(super) const SPACE_TOKEN: u8 = 1;
/// Role of a whole value that is more than one token.
pub(super) const SPACE_WHOLE: u8 = 2;

/// Calls `visit` for each piece of `slice`, in order. `scratch` is reused between calls.
pub(super) fn pieces(slice: &str, scratch: &mut String, visit: &mut dyn FnMut(Piece<'_>)) {
    let mut state = State { first: true, clause: true };
    for chunk in Chunks(Some(slice)) {
        if is_plain(chunk) {
            plain_word(chunk, scratch, &mut state, visit);
            continue;
        }
        let opens = chunk.trim_start_matches(is_edge);
        let body = opens.trim_end_matches(is_edge);
        if body.is_empty() {
            state.clause |= chunk.contains(is_clause);
            continue;
        }
        let tail = opens.get(body.len()..).unwrap_or_default();
        match is_plain(body) {
            true => plain_word(body, scratch, &mut state, visit),
            false => piece_of_chunk(body, scratch, &mut state, visit),
        }
        state.clause |= tail.contains(is_clause);
    }
}

/// What stands between the [`is_break`]s, as `split` gives it.
struct Chunks<'a>(Option<&'a str>);

impl<'a> Iterator for Chunks<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0?;
        let mut at = 0;
        while let Some(byte) = rest.as_bytes().get(at) {
            let bytes = match ASCII.get(usize::from(*byte)) {
                Some(bits) if bits & BREAK == 0 => {
                    at += 1;
                    continue;
                }
                Some(_) => 1,
                None => match rest.get(at..).and_then(|rest| rest.chars().next()) {
                    Some(c) if is_break(c) => c.len_utf8(),
                    c => {
                        at += c.map_or(1, char::len_utf8);
                        continue;
                    }
                },
            };
            self.0 = rest.get(at + bytes..);
            return rest.get(..at);
        }
        self.0 = None;
        Some(rest)
    }
}

/// Letters of ASCII only: a word, whatever else a chunk may be.
fn is_plain(chunk: &str) -> bool {
    !chunk.is_empty() && chunk.bytes().all(|b| b.is_ascii_alphabetic())
}

/// Tokens of a phrase.
pub(super) fn of_phrase(text: &str, key: &SessionKey) -> Vec<Token> {
    let (mut out, mut scratch) = (Vec::new(), String::new());
    pieces(text, &mut scratch, &mut |piece| {
        if out.len() < crate::limits::LEAF_TOKENS_MAX {
            out.push(Token { fp: key.fingerprint(SPACE_TOKEN, piece.text.as_bytes()), kind: piece.kind });
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

struct State {
    first: bool,
    clause: bool,
}

fn piece_of_chunk(chunk: &str, scratch: &mut String, state: &mut State, visit: &mut dyn FnMut(Piece<'_>)) {
    let look = Look::at(chunk);
    let entity = |kind: TokenKind, text: &str, state: &mut State, visit: &mut dyn FnMut(Piece<'_>)| {
        visit(Piece {
            kind,
            text,
            class: Class::default(),
            inflected: false,
            shouted: false,
            opens_clause: state.clause,
        });
        (state.first, state.clause) = (false, false);
    };
    if look.equals
        && let Some((name, value)) = chunk.split_once('=').filter(|(name, _)| !name.contains(['/', '?', '.', '@']))
    {
        // An attribute or assignment: `href=https://…`.
        for part in [name, value] {
            let part = part.trim_matches(is_edge);
            if !part.is_empty() {
                piece_of_chunk(part, scratch, state, visit);
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
        if let Some(number) = number(chunk) {
            scratch.clear();
            scratch.push_str(&number);
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

fn word_piece(word: &str, scratch: &mut String, state: &mut State, visit: &mut dyn FnMut(Piece<'_>)) {
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
    if word.is_empty() {
        return;
    }
    if let Some(number) = word.bytes().any(|b| b.is_ascii_digit()).then(|| number(word)).flatten() {
        visit(Piece {
            kind: TokenKind::Number,
            text: &number,
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
    let quoted = !scratch.is_ascii() && scratch.contains('’');
    let class = if quoted { Class::of(&scratch.replace('’', "'")) } else { Class::of(scratch) };
    lower_word(class, (capital, shouted), scratch, state, visit);
}

/// [`word_piece`] of a word that [`is_plain`], as most are.
fn plain_word(word: &str, scratch: &mut String, state: &mut State, visit: &mut dyn FnMut(Piece<'_>)) {
    let capital = word.as_bytes().first().is_some_and(u8::is_ascii_uppercase);
    let shouted = capital && word.len() >= 3 && word.bytes().all(|b| b.is_ascii_uppercase());
    scratch.clear();
    scratch.push_str(word);
    scratch.make_ascii_lowercase();
    lower_word(Class::of(scratch), (capital, shouted), scratch, state, visit);
}

/// A word that stands in `scratch` in lower case; `written`: with a capital, in capitals throughout.
fn lower_word(
    class: Class,
    written: (bool, bool),
    scratch: &mut String,
    state: &mut State,
    visit: &mut dyn FnMut(Piece<'_>),
) {
    let (capital, shouted) = written;
    let inflected =
        (scratch.ends_with('s') && !scratch.ends_with("ss")) || scratch.ends_with("ed") || scratch.ends_with("ing");
    let kind = match (class.any(), scratch.len()) {
        (true, _) | (_, 0..=1) => TokenKind::Function,
        _ if capital && !state.first => TokenKind::Name,
        _ => TokenKind::Word,
    };
    if kind != TokenKind::Function {
        stem(scratch);
    }
    visit(Piece { kind, text: scratch, class, inflected, shouted, opens_clause: state.clause });
    // After a modal or a step word a verb may open again: "please send", "must pay", "then delete".
    state.clause = class.has(Class::MODAL) || class.has(Class::STEP);
    state.first = false;
}

/// Stem by truncation, which needs no language: no plural `s`, then the first five letters.
/// Source: McNamee and Mayfield, "Character n-gram tokenization for European language text retrieval", 2004 (prefixes do as well as stemmers).
fn stem(word: &mut String) {
    if word.len() >= 4 && word.ends_with('s') && !word.ends_with("ss") {
        word.pop();
    }
    if word.is_ascii() {
        word.truncate(5);
    } else if let Some((at, _)) = word.char_indices().nth(5) {
        word.truncate(at);
    }
}

/// A number in one writing: `1,000.00`, `$1000` and `1000` are equal.
fn number(text: &str) -> Option<String> {
    let bare = text.trim_start_matches(['$', '€', '£', '¥', '+', '#']).trim_end_matches(['%', '€', '$', '£']);
    if !bare.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b',')) {
        return None;
    }
    let plain: String = bare.chars().filter(|c| *c != ',').collect();
    if plain.is_empty() || plain.len() > 24 {
        return None;
    }
    if plain.len() <= 15 && plain.bytes().all(|b| b.is_ascii_digit()) && !plain.starts_with('0') {
        return Some(plain); // a whole number that is exact: what the way round by a float gives
    }
    plain.parse::<f64>().ok().filter(|n| n.is_finite()).map(|n| format!("{n}"))
}

fn lower_into(text: &str, scratch: &mut String) {
    scratch.clear();
    if text.is_ascii() {
        scratch.push_str(text);
        scratch.make_ascii_lowercase();
    } else {
        scratch.extend(text.chars().flat_map(char::to_lowercase));
    }
}

fn is_break(c: char) -> bool {
    match bits(c) {
        Some(bits) => bits & BREAK != 0,
        None => c.is_whitespace() || matches!(c, '“' | '”' | '„' | '«' | '»' | '—' | '–' | '…'),
    }
}

/// Punctuation around a word that is no part of it.
fn is_edge(c: char) -> bool {
    match bits(c) {
        Some(bits) => bits & EDGE != 0,
        None => matches!(c, '’' | '‘' | '。' | '，' | '！' | '？' | '：'),
    }
}

fn is_clause(c: char) -> bool {
    match bits(c) {
        Some(bits) => bits & CLAUSE != 0,
        None => matches!(c, '。' | '，' | '：'),
    }
}

const BREAK: u8 = 1;
const EDGE: u8 = 2;
const CLAUSE: u8 = 4;

/// What an ASCII character is; none for others.
fn bits(c: char) -> Option<u8> {
    ASCII.get(c as usize).copied()
}

/// Most text is ASCII: one look at a table for a dozen comparisons.
#[expect(clippy::indexing_slicing, reason = "below the table's length")]
static ASCII: [u8; 128] = {
    let mut table = [0; 128];
    let mut at = 0;
    while at < 128 {
        let c = at as u8;
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

/// What a chunk is made of, in one pass.
#[derive(Default)]
struct Look {
    digit: bool,
    alpha: bool,
    at: bool,
    equals: bool,
    slash: bool,
    slashes: u32,
    scheme: bool,
    /// Digits joined by date punctuation only.
    date: bool,
    /// Labels joined by dots, the last one of letters: a host or a file name.
    host: bool,
    /// The part before the first slash is such a name.
    host_first: bool,
}

impl Look {
    fn at(chunk: &str) -> Look {
        let mut look = Look { date: true, ..Look::default() };
        let (mut joins, mut dots) = (0, false);
        for c in chunk.chars() {
            match c {
                '0'..='9' => look.digit = true,
                '@' => look.at = true,
                '=' => {
                    look.equals = true;
                    look.date = false;
                }
                '/' => {
                    look.slash = true;
                    look.slashes += 1;
                    joins += 1;
                }
                '-' | ':' => joins += 1,
                'T' | 'Z' | '.' | '+' => {
                    dots |= c == '.';
                    look.alpha |= c.is_alphabetic();
                }
                c if c.is_alphabetic() => {
                    look.alpha = true;
                    look.date = false;
                }
                _ => look.date = false,
            }
        }
        look.date &= look.digit && joins > 0 && chunk.starts_with(|c: char| c.is_ascii_digit());
        look.scheme = look.slash && chunk.contains("://");
        look.host = dots && is_host(chunk);
        look.host_first = if look.slash { dots && chunk.split('/').next().is_some_and(is_host) } else { look.host };
        look
    }
}

fn is_host(text: &str) -> bool {
    let Some((rest, last)) = text.rsplit_once('.') else { return false };
    let label = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.len() >= 5
        && (2..=10).contains(&last.len())
        && last.chars().all(|c| c.is_ascii_alphanumeric())
        && last.chars().any(|c| c.is_ascii_alphabetic())
        && !rest.is_empty()
        && rest.chars().all(label)
        && rest.chars().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(TokenKind, String)> {
        let mut out = Vec::new();
        pieces(text, &mut String::new(), &mut |p| out.push((p.kind, p.text.to_owned())));
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
    fn names_of_tools_fall_into_the_words_of_sentences() {
        let key = crate::TenantKey::new([0; 32]).session("t", "s");
        assert_eq!(of_name("sendMoney", &key), of_name("send_money", &key));
        assert_eq!(of_name("send_money", &key)[0].fp, of_phrase("Send", &key)[0].fp);
    }
}
