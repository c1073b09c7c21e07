//! Keyed fingerprints: equal text under one session's key has equal fingerprints, and nothing else can be read off them.

mod short; // texts in a register

pub(crate) use short::Short;

use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use siphasher::sip::SipHasher24;
use siphasher::sip128::Hasher128 as _;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Keyed 64-bit fingerprint (SipHash-2-4, Aumasson and Bernstein 2012). Compare for equality only: a score must not
/// depend on its order or value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fp(pub u64);

/// Which key made a session's fingerprints: equal ids, comparable fingerprints. Mixed ids in one session make
/// provenance unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub u32);

/// Unkeyed hash of a *name* (tool, argument path, agent): all that a model may hold of a string.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NameHash(pub u64);

impl NameHash {
    /// Hash of `name` within `space` (e.g. `tool`), so that equal names in different roles differ.
    pub fn of(space: &str, name: &str) -> Self {
        let hasher = SipHasher24::new_with_keys(0x7665_6465_7474_6521, 0x6e61_6d65_2068_6173);
        Self(hash(hasher, [space.as_bytes(), &[0], name.as_bytes()]))
    }
}

/// A tenant's secret, from which session keys are derived. Zeroized on drop, absent from logs.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct TenantKey {
    secret: [u8; 32],
    /// Key of [`StateId`]s, derived once.
    states: [u64; 2],
}

/// Names a remembered state (of a session, of a principal): a keyed 128-bit fingerprint of what identifies it, so that
/// neither can be made to meet another's by who chooses ids, nor a checkpoint be read for names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StateId(pub u128);

impl Hash for StateId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0 as u64); // uniform already
    }
}

/// Hashes what is uniform already, as fingerprints and names of states are: the word itself.
pub type Uniform = BuildHasherDefault<Pass>;

/// Passes a word through; see [`Uniform`].
#[derive(Debug, Default)]
pub struct Pass(u64);

impl Hasher for Pass {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

impl TenantKey {
    /// Takes 32 secret bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        let mut key = Self { secret, states: [0; 2] };
        let derived = key.derive("states", "", "");
        key.states = [word(&derived, 0), word(&derived, 8)];
        key
    }

    /// Name of the state that these parts identify, in their order; a part may be missing.
    pub fn state_id<'a>(&self, parts: impl IntoIterator<Item = Option<&'a str>>) -> StateId {
        let [low, high] = self.states;
        let mut hasher = siphasher::sip128::SipHasher24::new_with_keys(low, high);
        for part in parts {
            // Bytes that no UTF-8 text holds: no two lists of parts run together.
            match part {
                Some(text) => {
                    hasher.write(text.as_bytes());
                    hasher.write(&[0xff]);
                }
                None => hasher.write(&[0xfe]),
            }
        }
        StateId(hasher.finish128().as_u128())
    }

    /// Tells one key from another without saying anything of it.
    pub fn name(&self) -> u64 {
        self.state_id([Some("name of the key")]).0 as u64
    }

    /// The key of one session's fingerprints.
    pub(crate) fn session(&self, tenant: &str, session: &str) -> SessionKey {
        let bytes = self.derive("session", tenant, session);
        SessionKey { low: word(&bytes, 0), high: word(&bytes, 8), id: self.id(tenant) }
    }

    /// Which key the fingerprints of that tenant's sessions are made with.
    pub fn id(&self, tenant: &str) -> KeyId {
        let id = self.derive("fpk", tenant, "");
        KeyId(u32::from_le_bytes([id[0], id[1], id[2], id[3]]))
    }

    /// The key of one API's query sketches: shared by the tenant's sessions, so that queries of several can be compared.
    pub(crate) fn queries(&self, tenant: &str, api: &str) -> SessionKey {
        let bytes = self.derive("queries", tenant, api);
        SessionKey { low: word(&bytes, 0), high: word(&bytes, 8), id: KeyId(0) }
    }

    /// Keyed digest of bytes that must not be kept, for telling two of them apart (dead letters).
    pub fn digest(&self, bytes: &[u8]) -> Fp {
        let key = self.derive("digest", "", "");
        SessionKey { low: word(&key, 0), high: word(&key, 8), id: KeyId(0) }.fingerprint(0, bytes)
    }

    /// HMAC-SHA256 as a KDF in one step (NIST SP 800-108r1, counter mode with a single block).
    fn derive(&self, label: &str, tenant: &str, context: &str) -> [u8; 32] {
        let mut mac = match Hmac::<Sha256>::new_from_slice(&self.secret) {
            Ok(mac) => mac,
            Err(_) => return [0; 32], // INVARIANT: HMAC takes a key of any length (RFC 2104, section 2).
        };
        for part in [label, tenant, context] {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for TenantKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TenantKey(..)")
    }
}

/// What the seal fingerprints one session's texts with.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct SessionKey {
    low: u64,
    high: u64,
    #[zeroize(skip)]
    pub(crate) id: KeyId,
}

impl SessionKey {
    /// Fingerprint of `bytes` in the role `space`.
    pub(crate) fn fingerprint(&self, space: u8, bytes: &[u8]) -> Fp {
        match Short::new(bytes) {
            Some(short) => self.fingerprint_short(space, short),
            None => Fp(hash(SipHasher24::new_with_keys(self.low, self.high), [&[space], bytes])),
        }
    }

    /// The same of a short text.
    #[inline]
    pub(crate) fn fingerprint_short(&self, space: u8, text: Short) -> Fp {
        Fp(text.hash([self.low, self.high], space))
    }
}

/// Hash of the parts one after the other. Short ones are joined first: one write takes a third of the time of several.
fn hash<const N: usize>(mut hasher: SipHasher24, parts: [&[u8]; N]) -> u64 {
    let mut joined = [0; 64];
    let mut end = 0;
    for part in parts {
        match joined.get_mut(end..end + part.len()) {
            Some(place) => place.copy_from_slice(part),
            None => {
                parts.iter().for_each(|part| hasher.write(part));
                return hasher.finish();
            }
        }
        end += part.len();
    }
    hasher.hash(joined.get(..end).unwrap_or_default())
}

fn word(bytes: &[u8; 32], at: usize) -> u64 {
    bytes.iter().skip(at).take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_compare_within_a_session_only() {
        let key = TenantKey::new([7; 32]);
        let (a, b) = (key.session("t", "a"), key.session("t", "b"));
        assert_eq!(a.fingerprint(1, b"x"), key.session("t", "a").fingerprint(1, b"x"));
        assert_ne!(a.fingerprint(1, b"x"), b.fingerprint(1, b"x"));
        assert_ne!(a.fingerprint(1, b"x"), a.fingerprint(2, b"x"));
        assert_eq!(a.id, b.id);
        assert_ne!(a.id, TenantKey::new([8; 32]).session("t", "a").id);
        assert_eq!(format!("{key:?}"), "TenantKey(..)");
    }

    #[test]
    fn states_of_different_owners_have_different_names() {
        let key = TenantKey::new([7; 32]);
        let id = |parts: &[Option<&str>]| key.state_id(parts.iter().copied());
        let ids = [
            id(&[Some("ab"), Some("c")]),
            id(&[Some("a"), Some("bc")]),
            id(&[Some("abc"), None]),
            id(&[None, Some("abc")]),
            TenantKey::new([8; 32]).state_id([Some("ab"), Some("c")]),
        ];
        for (at, one) in ids.iter().enumerate() {
            assert!(ids[..at].iter().all(|other| other != one), "{at}");
        }
        assert_ne!(key.name(), TenantKey::new([8; 32]).name());
    }
}
