//! Arguments → leaves: one a scalar, with a path of names, a shape and fingerprints.

use super::encoded;
use super::reveal::reveal;
use super::tokens::{SPACE_WHOLE, pieces};
use crate::fingerprint::SessionKey;
use crate::limits::{DECODED_LEVELS_MAX, DEPTH_MAX, LEAF_TOKENS_MAX, LEAVES_MAX, QUERY_NUMBERS_MIN, TEXT_BYTES_MAX};
use crate::{Cues, Leaf, Path, Shape, Token, TokenKind};
use serde_json::Value;

/// All leaves in document order, and how many were cut.
pub(super) fn of(args: &Value, key: &SessionKey) -> (Vec<Leaf>, u32) {
    let mut walk = Walk { key, leaves: Vec::new(), cut: 0, scratch: String::new() };
    let mut path = String::new();
    match args {
        Value::Object(map) => map.iter().for_each(|(name, value)| walk.child(name, value, &mut path, 0)),
        Value::Null => {}
        other => walk.value(other, &mut path, 0),
    }
    (walk.leaves, walk.cut)
}

struct Walk<'k> {
    key: &'k SessionKey,
    leaves: Vec<Leaf>,
    cut: u32,
    scratch: String,
}

impl Walk<'_> {
    fn child(&mut self, name: &str, value: &Value, path: &mut String, depth: usize) {
        let end = path.len();
        if end > 0 {
            path.push('.');
        }
        path.push_str(if is_name(name) { name } else { "*" });
        self.value(value, path, depth);
        path.truncate(end);
    }

    fn value(&mut self, value: &Value, path: &mut String, depth: usize) {
        if depth > DEPTH_MAX || self.leaves.len() >= LEAVES_MAX {
            self.cut = self.cut.saturating_add(1);
            return;
        }
        match value {
            Value::Object(map) if !map.is_empty() => {
                map.iter().for_each(|(name, value)| self.child(name, value, path, depth + 1))
            }
            Value::Array(items) if !items.is_empty() => {
                let end = path.len();
                path.push_str("[]");
                if items.len() >= QUERY_NUMBERS_MIN && items.iter().all(Value::is_number) {
                    self.vector(items, path); // A vector is one leaf: its numbers mean nothing one by one.
                } else {
                    items.iter().for_each(|item| self.value(item, path, depth + 1));
                }
                path.truncate(end);
            }
            Value::String(text) => self.text(text, path),
            Value::Number(number) => self.leaf(path, &number.to_string(), Some(Shape::Number)),
            Value::Bool(yes) => self.leaf(path, if *yes { "true" } else { "false" }, Some(Shape::Bool)),
            Value::Null | Value::Object(_) | Value::Array(_) => self.leaf(path, "", Some(Shape::Empty)),
        }
    }

    fn text(&mut self, text: &str, path: &str) {
        let end = (0..=text.len().min(TEXT_BYTES_MAX)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        self.leaf(path, text.get(..end).unwrap_or_default(), None);
    }

    fn vector(&mut self, numbers: &[Value], path: &str) {
        let text = Value::Array(numbers.to_vec()).to_string();
        let whole = self.key.fingerprint(SPACE_WHOLE, text.as_bytes());
        if let Ok(path) = Path::new(path) {
            let (shape, cues, tokens) = (Shape::Blob, Cues::default(), Vec::new());
            self.leaves.push(Leaf { path, shape, cues, bytes: length(&text), whole, tokens });
        }
    }

    fn leaf(&mut self, path: &str, written: &str, shape: Option<Shape>) {
        let mut tokens: Vec<Token> = Vec::new();
        let mut seen = Seen::default();
        let key = self.key;
        let (text, hidden) = reveal(written);
        pieces(&text, &mut self.scratch, &mut |piece| {
            seen.count(piece.kind);
            if tokens.len() < LEAF_TOKENS_MAX {
                tokens.push(piece.token(key));
            }
        });
        let whole = match tokens.as_slice() {
            [only] => only.fp,
            _ => {
                self.scratch.clear();
                for word in text.split_whitespace() {
                    self.scratch.push_str(word);
                    self.scratch.push(' ');
                }
                match self.scratch.is_ascii() {
                    true => self.scratch.make_ascii_lowercase(),
                    // Letter by letter: whether a sigma ends its word makes no difference.
                    false => self.scratch = self.scratch.chars().flat_map(char::to_lowercase).collect(),
                }
                key.fingerprint(SPACE_WHOLE, self.scratch.as_bytes())
            }
        };
        let shape = shape.unwrap_or_else(|| seen.shape(written));
        let mut cues = if hidden.is_empty() { Cues::default() } else { Cues::HIDDEN };
        if encoded::may_hold(&text) {
            cues = cues.with(self.decoded(&text, &mut tokens, 0));
        }
        // A path too long to be a name is cut, not refused: arguments are the agent's to shape.
        let path = Path::new(path).or_else(|_| Path::new("*"));
        if let Ok(path) = path {
            self.leaves.push(Leaf { path, shape, cues, bytes: length(written), whole, tokens });
        }
    }

    /// Adds what a value holds in another writing, so that it is traced as if it were written plainly.
    fn decoded(&mut self, text: &str, tokens: &mut Vec<Token>, level: usize) -> Cues {
        let mut cues = Cues::default();
        for part in encoded::decoded(text) {
            let (text, hidden) = reveal(&part.text);
            for (is, cue) in [(part.obscured, Cues::ENCODED), (!hidden.is_empty(), Cues::HIDDEN)] {
                cues = if is { cues.with(cue) } else { cues };
            }
            pieces(&text, &mut self.scratch, &mut |piece| {
                if tokens.len() < LEAF_TOKENS_MAX {
                    tokens.push(piece.token(self.key));
                }
            });
            if level + 1 < DECODED_LEVELS_MAX && encoded::may_hold(&text) {
                cues = cues.with(self.decoded(&text, tokens, level + 1));
            }
        }
        cues
    }
}

/// Counts of what a value is made of.
#[derive(Default)]
struct Seen {
    words: u32,
    entities: u32,
    first: Option<TokenKind>,
}

impl Seen {
    fn count(&mut self, kind: TokenKind) {
        self.first.get_or_insert(kind);
        if kind.is_entity() {
            self.entities += u32::from(kind != TokenKind::Host || self.entities == 0);
        } else {
            self.words += 1;
        }
    }

    fn shape(&self, text: &str) -> Shape {
        if text.is_empty() {
            return Shape::Empty;
        }
        let odd = text.chars().filter(|c| c.is_control() && !c.is_whitespace()).count();
        if odd * 10 > text.len() || self.first.is_none() {
            return Shape::Blob;
        }
        match (self.words, self.entities, self.first) {
            (0, _, Some(TokenKind::Number)) => Shape::Number,
            (0, _, Some(TokenKind::Date)) => Shape::Date,
            (0, 1..=2, Some(TokenKind::Address)) => Shape::Address,
            (0, 1..=2, Some(TokenKind::Url | TokenKind::Host)) => Shape::Url,
            (0, 1..=2, Some(TokenKind::Path)) => Shape::Path,
            (0, _, Some(TokenKind::Id)) => Shape::Id,
            (n, m, _) if n + m <= 1 => Shape::Word,
            (n, m, _) if n + m <= 6 => Shape::Phrase,
            _ => Shape::Prose,
        }
    }
}

/// Whether an object key is a name rather than data: letters first, short, no long run of digits.
fn is_name(key: &str) -> bool {
    key.len() <= 48
        && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && key.bytes().filter(u8::is_ascii_digit).count() <= 2
}

fn length(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use serde_json::json;

    fn leaves(args: Value) -> Vec<(String, Shape)> {
        let key = crate::TenantKey::new([0; 32]).session("t", "s");
        of(&args, &key).0.into_iter().map(|leaf| (leaf.path.to_string(), leaf.shape)).collect()
    }

    #[test]
    fn each_scalar_is_a_leaf_with_a_path_of_names() {
        let found = leaves(
            json!({"to":["a@b.example","c@d.example"],"o":{"n":1,"user 42":"x"},"e":{},"t":"a long text about some of the things"}),
        );
        let expect = [
            ("to[]", Shape::Address),
            ("to[]", Shape::Address),
            ("o.n", Shape::Number),
            ("o.*", Shape::Word),
            ("e", Shape::Empty),
            ("t", Shape::Prose),
        ];
        assert_eq!(found, expect.map(|(path, shape)| (path.to_owned(), shape)));
    }

    fn leaf(value: &str) -> Leaf {
        let key = crate::TenantKey::new([0; 32]).session("t", "s");
        of(&json!({ "to": value }), &key).0.remove(0)
    }

    #[test]
    fn a_value_is_the_same_however_it_hides_and_says_that_it_does() {
        let plain = leaf("mallory@example.org");
        assert!(plain.cues.is_empty());
        for written in ["mаllory@example.org", "mallory\u{200B}@exam\u{202E}ple.org", "\u{FEFF}mallory@example.org"] {
            let found = leaf(written);
            assert_eq!(
                (&found.tokens, found.whole, found.cues),
                (&plain.tokens, plain.whole, Cues::HIDDEN),
                "{written:?}"
            );
        }
    }

    #[test]
    fn a_value_that_is_encoded_is_traced_by_what_it_says() {
        let order = "send it to mallory@example.org";
        let plain = leaf(order);
        let encoded = base64::engine::general_purpose::STANDARD.encode(order);
        let escaped: String = order.bytes().map(|byte| format!("%{byte:02X}")).collect();
        for written in [encoded.clone(), escaped, base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&encoded)] {
            let found = leaf(&written);
            assert!(found.tokens.ends_with(&plain.tokens), "{written}");
            assert_eq!((found.cues, found.bytes as usize), (Cues::ENCODED, written.len()), "{written}");
            assert_ne!(found.whole, plain.whole, "another value, to be told from the plain one when it is repeated");
        }
        // As a URL has to be written.
        let url = leaf("https://shop.example/s?q=red%20shoes%21");
        assert!(url.cues.is_empty() && url.tokens.contains(&leaf("red shoes").tokens[1]));
        let long = leaf(&base64::engine::general_purpose::STANDARD.encode("word ".repeat(40_000)));
        assert_eq!(long.tokens.len(), LEAF_TOKENS_MAX);
    }

    #[test]
    fn ten_thousand_keys_and_deep_nests_are_cut_and_counted() {
        let key = crate::TenantKey::new([0; 32]).session("t", "s");
        let wide: serde_json::Map<String, Value> = (0..10_000).map(|n| (format!("k{n}"), json!(n))).collect();
        let (leaves, cut) = of(&Value::Object(wide), &key);
        assert_eq!((leaves.len(), cut), (LEAVES_MAX, 10_000 - LEAVES_MAX as u32));
        let deep = (0..100).fold(json!(1), |inner, _| json!({"a": inner}));
        assert_eq!(of(&deep, &key).1, 1);
    }
}
