//! Bounded names and ids: parsed once at the edge, trusted inside.

use crate::NameHash;
use crate::limits::{ID_BYTES_MAX, NAME_BYTES_MAX};
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;
use std::borrow::Cow;

/// Why a string is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The string is empty.
    #[error("{what} is empty")]
    Empty {
        /// Which id.
        what: &'static str,
    },
    /// The string is over its bound.
    #[error("{what} has {bytes} bytes, over the limit of {limit}")]
    TooLong {
        /// Which id.
        what: &'static str,
        /// Bytes found.
        bytes: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// The string holds a control character.
    #[error("{what} holds a control character at byte {at}")]
    Control {
        /// Which id.
        what: &'static str,
        /// Offset in bytes.
        at: usize,
    },
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr);

        impl $name {
            /// Checks length (in bytes) and characters.
            pub fn new(text: &str) -> Result<Self, IdError> {
                check(text, $what, $max).map(|()| Self(text.into()))
            }
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        common!($name);
    };
}

/// As `id!`, of a name that models know by its hash in the role of the second string: computed once, where the name is
/// read.
macro_rules! hashed {
    ($(#[$doc:meta])* $name:ident, $what:literal, $role:literal, $max:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(SmolStr, NameHash);

        impl $name {
            /// Checks length (in bytes) and characters.
            pub fn new(text: &str) -> Result<Self, IdError> {
                check(text, $what, $max).map(|()| Self(text.into(), NameHash::of($role, text)))
            }
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
            #[doc = concat!("The name as a model knows it: its [`NameHash`] in the role of `", $role, "`.")]
            pub fn name_hash(&self) -> NameHash {
                self.1
            }
        }
        common!($name);
    };
}

macro_rules! common {
    ($name:ident) => {
        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.into()
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                out.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                input.deserialize_str(Text).and_then(|text| Self::new(&text).map_err(D::Error::custom))
            }
        }
    };
}

fn check(text: &str, what: &'static str, limit: usize) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { what });
    }
    if text.len() > limit {
        return Err(IdError::TooLong { what, bytes: text.len(), limit });
    }
    // Of bytes below 0x80 those below 0x20 and 0x7f are controls; U+0080 to U+009F are two bytes long.
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Ok(());
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((at, _)) => Err(IdError::Control { what, at }),
        None => Ok(()),
    }
}

/// A text, borrowed where the input lends it.
struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = Cow<'de, str>;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string")
    }
    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text))
    }
}

id!(
    /// One call: the gateway's request id or span id. All sightings of a call share it.
    CallId, "call id", ID_BYTES_MAX);
id!(
    /// One agent's run at one task.
    Session, "session", ID_BYTES_MAX);
id!(
    /// Whose traffic this is; no state crosses tenants.
    Tenant, "tenant", NAME_BYTES_MAX);
id!(
    /// The agent's name as the gateway knows it, e.g. `travel-planner@3.2`.
    Agent, "agent", NAME_BYTES_MAX);
id!(
    /// On whose behalf, e.g. `user:42`.
    Principal, "principal", NAME_BYTES_MAX);
id!(
    /// The certificate subject the call came from.
    Device, "device", NAME_BYTES_MAX);
id!(
    /// The application or API the tool belongs to.
    App, "app", NAME_BYTES_MAX);
hashed!(
    /// The tool (or route template) that is called.
    Tool, "tool", "tool", NAME_BYTES_MAX);
hashed!(
    /// Where a value stands in the arguments, e.g. `participants[].email`.
    Path, "argument path", "path", NAME_BYTES_MAX);
id!(
    /// One policy of the policy set.
    PolicyId, "policy", NAME_BYTES_MAX);
id!(
    /// The caller's W3C trace context, as received.
    TraceParent, "traceparent", ID_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_bounded_and_printable() {
        assert!(Tool::new("send_money").is_ok());
        assert_eq!(Tool::new(""), Err(IdError::Empty { what: "tool" }));
        assert_eq!(Tool::new("a\u{0}b"), Err(IdError::Control { what: "tool", at: 1 }));
        assert!(matches!(Tool::new(&"x".repeat(257)), Err(IdError::TooLong { bytes: 257, .. })));
        assert!(serde_json::from_str::<Tool>("\"\"").is_err());
    }
}
