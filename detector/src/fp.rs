//! Maps keyed by fingerprints. They are uniform already, so the hash is the identity; nothing iterates one but to
//! sort it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map from a 64-bit fingerprint or name hash.
pub(crate) type FpMap<V> = HashMap<u64, V, BuildHasherDefault<Identity>>;

/// Passes a `u64` through.
#[derive(Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
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
