//! A slice of text → words and entities, normalised so that the same thing written two ways is one fingerprint.

use super::words::Class;
use crate::fingerprint::{SessionKey, Short};
use crate::{Token, TokenKind};

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
            plain_word(word, chunk.seen, &mut state, visit);
        } else if from < chunk.end {
            edged_chunk(slice.get(from..chunk.end).unwrap_or_default(), scratch, &mut state, visit);
        }
    }
}

/// What stands between two [`is_break`]s.
struct Chunk {
    from: usize,
    end: usize,
    /// Where the next one begins; none after the last.
    next: Option<usize>,
    /// Which kinds of ASCII characters it holds; [`OTHER`] where there are any beside.
    seen: u8,
}

impl Chunk {
    /// The chunk of `text` that begins at `from`.
    #[inline]
    fn at(text: &str, from: usize) -> Self {
        let (mut at, mut seen) = (from, 0);
        while let Some(byte) = text.as_bytes().get(at) {
            let bytes = match ASCII.get(usize::from(*byte)) {
                Some(bits) if bits & BREAK == 0 => {
                    seen |= bits;
                    at += 1;
                    continue;
                }
                Some(_) => 1,
                None => match text.get(at..).and_then(|rest| rest.chars().next()) {
                    Some(c) if is_break(c) => c.len_utf8(),
                    c => {
                        seen |= OTHER;
                        at += c.map_or(1, char::len_utf8);
                        continue;
                    }
                },
            };
            return Self { from, end: at, next: Some(at + bytes), seen };
        }
        Self { from, end: at, next: None, seen }
    }

    /// Letters of ASCII only, and not too many: a word, whatever else a chunk may be.
    #[inline]
    fn plain(&self, text: &str) -> Option<Short> {
        let is_plain = self.seen & !LETTER == 0 && self.from < self.end;
        is_plain.then(|| Short::within(text.as_bytes(), self.from, self.end - self.from)).flatten()
    }
}

/// A chunk that may have punctuation around it.
fn edged_chunk(chunk: &str, scratch: &mut String, state: &mut State, visit: &mut dyn FnMut(Piece<'_>)) {
    let opens = chunk.trim_start_matches(is_edge);
    let body = opens.trim_end_matches(is_edge);
    if body.is_empty() {
        state.clause |= chunk.contains(is_clause);
        return;
    }
    let tail = opens.get(body.len()..).unwrap_or_default();
    match plain(body) {
        Some((word, seen)) => plain_word(word, seen, state, &mut |piece| visit(piece)),
        None => piece_of_chunk(body, 0, scratch, state, visit),
    }
    state.clause |= tail.contains(is_clause);
}

/// A text of letters of ASCII, and which, if it is short.
fn plain(text: &str) -> Option<(Short, u8)> {
    let seen = text.bytes().fold(0, |seen, byte| seen | ASCII.get(usize::from(byte)).unwrap_or(&OTHER));
    (seen & !LETTER == 0).then(|| Short::new(text.as_bytes())).flatten().map(|word| (word, seen))
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

struct State {
    first: bool,
    clause: bool,
}

impl State {
    #[inline]
    fn after_word(&mut self, class: Class) {
        // After a modal or a step word a verb may open again: "please send", "must pay", "then delete".
        self.clause = class.has(Class::MODAL) || class.has(Class::STEP);
        self.first = false;
    }
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
            text: Normal::Text(text),
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

/// Assignments within one another that are taken apart: of a chunk that is a chain of them, what is left is words.
const ASSIGNMENTS_MAX: usize = 8;

fn word_piece(word: &str, scratch: &mut String, state: &mut State, visit: &mut dyn FnMut(Piece<'_>)) {
    let word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
    if word.is_empty() {
        return;
    }
    if let Some((word, seen)) = plain(word) {
        return plain_word(word, seen, state, &mut |piece| visit(piece));
    }
    if let Some(number) = word.bytes().any(|b| b.is_ascii_digit()).then(|| number(word)).flatten() {
        visit(Piece {
            kind: TokenKind::Number,
            text: Normal::Text(&number),
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

/// [`word_piece`] of a word as most are: few letters of ASCII, `seen` as in [`Chunk`]. The stem as [`stem`] makes it.
#[inline]
fn plain_word(word: Short, seen: u8, state: &mut State, visit: &mut impl FnMut(Piece<'_>)) {
    let capital = (word.word() as u8).is_ascii_uppercase();
    let shouted = seen == UPPER && word.len() >= 3;
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
const UPPER: u8 = 8;
const LOWER: u8 = 16;
const LETTER: u8 = UPPER | LOWER;
/// Anything else.
const OTHER: u8 = 32;

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
        table[at] |= match c {
            b'A'..=b'Z' => UPPER,
            b'a'..=b'z' => LOWER,
            _ => OTHER,
        };
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
