//! Maps keyed by fingerprints, which are uniform already; nothing iterates one but to sort it.

use schema::Uniform;
use std::collections::HashMap;

/// A map from a 64-bit fingerprint or name hash.
pub(crate) type FpMap<V> = HashMap<u64, V, Uniform>;
