//! How a session's tokens are written in a checkpoint. Fields are named, and an absent one is its default: a build that
//! adds one still reads what older builds wrote.

/// Tokens as nine bytes each: kind, then the fingerprint's little-endian word.
pub(super) mod packed {
    use schema::{Fp, Token, TokenKind};
    use serde::de::{Error, Visitor};
    use serde::{Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(tokens: &[Token], out: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::with_capacity(tokens.len() * 9);
        for token in tokens {
            bytes.push(token.kind as u8);
            bytes.extend_from_slice(&token.fp.0.to_le_bytes());
        }
        out.serialize_bytes(&bytes)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Token>, D::Error> {
        struct Packed;
        impl Visitor<'_> for Packed {
            type Value = Vec<Token>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("tokens of nine bytes each")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                let (packed, rest) = bytes.as_chunks::<9>();
                if !rest.is_empty() {
                    return Err(E::custom("not a whole number of tokens"));
                }
                let token = |[kind, word @ ..]: &[u8; 9]| {
                    let kind = TokenKind::ALL.get(usize::from(*kind)).ok_or_else(|| E::custom("unknown token kind"))?;
                    Ok(Token { fp: Fp(u64::from_le_bytes(*word)), kind: *kind })
                };
                packed.iter().map(token).collect()
            }
        }
        input.deserialize_bytes(Packed)
    }
}

/// Places as a list.
pub(super) mod places {
    use crate::state::Place;
    use crate::state::index::Places;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(places: &Places, out: S) -> Result<S::Ok, S::Error> {
        places.as_slice().serialize(out)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Places, D::Error> {
        Vec::<Place>::deserialize(input).map(Places::from_vec)
    }
}
