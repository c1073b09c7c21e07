//! Maps keyed by fingerprints, which are uniform already; nothing iterates one but to sort it or to add it to another.

use schema::Uniform;
use std::collections::HashMap;

/// A map from a 64-bit fingerprint or name hash.
pub(crate) type FpMap<V> = HashMap<u64, V, Uniform>;

/// A map as it is written in models and checkpoints: by rising fingerprint, whatever order they came in, so that equal maps
/// have equal bytes.
pub(crate) mod sorted {
    use super::FpMap;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<V: Serialize, S: Serializer>(map: &FpMap<V>, out: S) -> Result<S::Ok, S::Error> {
        let mut entries: Vec<(&u64, &V)> = map.iter().collect();
        entries.sort_unstable_by_key(|(fp, _)| **fp);
        out.collect_seq(entries)
    }

    pub(crate) fn deserialize<'de, V: Deserialize<'de>, D: Deserializer<'de>>(input: D) -> Result<FpMap<V>, D::Error> {
        Ok(Vec::<(u64, V)>::deserialize(input)?.into_iter().collect())
    }
}
