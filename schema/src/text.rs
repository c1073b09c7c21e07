//! A text behind the seal: sentences as fingerprints of words and entities, with structural cues.

use crate::Fp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A sealed text: a result, or what the user asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Text {
    /// Length of the text in bytes, before anything was cut.
    pub bytes: u32,
    /// In reading order, at most [`crate::limits::SENTENCES_MAX`].
    pub sentences: Vec<Sentence>,
    /// Sentences that were cut: the ones with fewest cues.
    #[serde(default)]
    pub cut: u32,
}

/// One sentence, line, table cell or field of a text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sentence {
    /// Place in the text, counted before anything was cut.
    #[serde(rename = "n")]
    pub number: u32,
    /// Structural cues.
    #[serde(rename = "c")]
    pub cues: Cues,
    /// Words and entities in order, at most [`crate::limits::SENTENCE_TOKENS_MAX`].
    #[serde(rename = "t", with = "packed")]
    pub tokens: Vec<Token>,
}

/// One word or entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Keyed fingerprint of its normalised form.
    pub fp: Fp,
    /// What it is.
    pub kind: TokenKind,
}

impl Serialize for Token {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        packed::text(std::slice::from_ref(self)).serialize(out)
    }
}

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let tokens = packed::deserialize(input)?;
        tokens.first().copied().ok_or_else(|| serde::de::Error::custom("a token is nine bytes"))
    }
}

/// What a token is. The order is part of the record format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum TokenKind {
    /// A short word (three letters or fewer) or one of the closed-class words: carries little.
    Function = 0,
    /// The stem of a word.
    Word = 1,
    /// The stem of a word written with a capital inside a sentence: a name, likely.
    Name = 2,
    /// A number, normalised.
    Number = 3,
    /// A date or time.
    Date = 4,
    /// An e-mail address or handle.
    Address = 5,
    /// A URL, without scheme and trailing slash.
    Url = 6,
    /// The host of a URL or of an address.
    Host = 7,
    /// A file path, or its last part.
    Path = 8,
    /// Letters and digits mixed: an account, a code.
    Id = 9,
}

impl TokenKind {
    /// All kinds, in order.
    pub const ALL: [TokenKind; 10] = [
        TokenKind::Function,
        TokenKind::Word,
        TokenKind::Name,
        TokenKind::Number,
        TokenKind::Date,
        TokenKind::Address,
        TokenKind::Url,
        TokenKind::Host,
        TokenKind::Path,
        TokenKind::Id,
    ];

    /// Whether it names a thing outside the text.
    pub fn is_entity(self) -> bool {
        self >= Self::Number
    }

    /// An entity that somebody owns or reaches: an address, URL, host, path or code.
    pub fn is_handle(self) -> bool {
        self >= Self::Address
    }
}

/// Structural cues of a sentence, one bit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cues(pub u32);

impl Cues {
    /// Opens with a bare word that governs what follows: the form of an imperative.
    pub const IMPERATIVE: Cues = Cues(1);
    /// Addresses the reader (second person).
    pub const ADDRESSES: Cues = Cues(1 << 1);
    /// Speaks of its author (first person).
    pub const AUTHOR: Cues = Cues(1 << 2);
    /// Holds a modal or a request.
    pub const MODAL: Cues = Cues(1 << 3);
    /// Ends as a question.
    pub const QUESTION: Cues = Cues(1 << 4);
    /// Ends with an exclamation mark.
    pub const EXCLAMATION: Cues = Cues(1 << 5);
    /// Is the value of a key.
    pub const FIELD: Cues = Cues(1 << 6);
    /// Holds a handle (address, URL, path, code).
    pub const HANDLE: Cues = Cues(1 << 7);
    /// Holds quoted text.
    pub const QUOTES: Cues = Cues(1 << 8);
    /// Stands in markup, a comment or brackets.
    pub const MARKUP: Cues = Cues(1 << 9);
    /// Shouts: several words in capitals.
    pub const CAPITALS: Cues = Cues(1 << 10);
    /// Reads like running text: enough words, joined by short ones.
    pub const PROSE: Cues = Cues(1 << 11);
    /// Hides something: zero-width or direction-changing characters, mixed scripts inside a word.
    pub const HIDDEN: Cues = Cues(1 << 12);
    /// Was decoded from base64, or from percent encoding that nothing asked for.
    pub const ENCODED: Cues = Cues(1 << 13);
    /// Follows a sentence of the same field or paragraph.
    pub const CONTINUES: Cues = Cues(1 << 14);
    /// Holds a condition or an order of steps (before, after, if, then).
    pub const STEPS: Cues = Cues(1 << 15);
    /// Speaks of deeds that stand elsewhere: instructions, tasks, requests.
    pub const DELEGATES: Cues = Cues(1 << 16);
    /// Number of cues defined.
    pub const COUNT: u32 = 17;

    /// Whether no bit is set.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether all bits of `other` are set.
    pub fn has(self, other: Cues) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of bits.
    #[must_use]
    pub fn with(self, other: Cues) -> Cues {
        Cues(self.0 | other.0)
    }
}

/// Tokens as base64 of nine bytes each: kind, then the fingerprint's little-endian word.
pub(crate) mod packed {
    use super::{Fp, Token, TokenKind};
    use base64::Engine as _;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(crate) fn text(tokens: &[Token]) -> String {
        let mut bytes = Vec::with_capacity(tokens.len() * 9);
        for token in tokens {
            bytes.push(token.kind as u8);
            bytes.extend_from_slice(&token.fp.0.to_le_bytes());
        }
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes)
    }

    pub(crate) fn serialize<S: Serializer>(tokens: &[Token], out: S) -> Result<S::Ok, S::Error> {
        text(tokens).serialize(out)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Token>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(input)?;
        let bytes =
            base64::engine::general_purpose::STANDARD_NO_PAD.decode(text.as_bytes()).map_err(D::Error::custom)?;
        let (packed, rest) = bytes.as_chunks::<9>();
        if !rest.is_empty() {
            return Err(D::Error::custom("tokens are not a whole number of nine-byte items"));
        }
        packed
            .iter()
            .map(|[kind, word @ ..]| {
                let kind =
                    TokenKind::ALL.get(usize::from(*kind)).ok_or_else(|| D::Error::custom("unknown token kind"))?;
                Ok(Token { fp: Fp(u64::from_le_bytes(*word)), kind: *kind })
            })
            .collect()
    }
}
