//! Variable-order sequence model over tools: interpolated Witten-Bell, from the session's last tools down to none.
//! Source: Witten and Bell, "The zero-frequency problem", IEEE Trans. Inf. Theory 37(4), 1991 (method C).

use schema::NameHash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest context.
pub(crate) const ORDER: usize = 3;

/// Start of a session, as a symbol.
const START: u64 = 0x7374_6172_745f_5f5f;

/// Counts of what follows each context.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Markov {
    /// Context hash → what followed, sorted by symbol.
    contexts: BTreeMap<u64, Followers>,
    /// Distinct symbols ever seen.
    vocabulary: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Followers {
    total: u32,
    counts: BTreeMap<u64, u32>,
}

impl Markov {
    /// Counts one session's tools.
    pub(crate) fn learn(&mut self, tools: &[NameHash]) {
        let mut history: Vec<NameHash> = Vec::new();
        for tool in tools {
            for order in 0..=ORDER {
                let followers = self.contexts.entry(context(&history, order)).or_default();
                followers.total += 1;
                *followers.counts.entry(tool.0).or_default() += 1;
            }
            history.push(*tool);
        }
        let root = context(&[], 0);
        self.vocabulary = self.contexts.get(&root).map_or(0, |f| u32::try_from(f.counts.len()).unwrap_or(u32::MAX));
    }

    /// Probability of `next` after `history` (oldest first), in `(0, 1]`.
    pub(crate) fn probability(&self, history: &[NameHash], next: NameHash) -> f64 {
        let mut p = 1.0 / (f64::from(self.vocabulary) + 1.0);
        for order in 0..=ORDER {
            let Some(followers) = self.contexts.get(&context(history, order)) else { break };
            let distinct = followers.counts.len() as f64;
            let count = f64::from(followers.counts.get(&next.0).copied().unwrap_or(0));
            p = (count + distinct * p) / (f64::from(followers.total) + distinct);
        }
        p
    }

    /// Whether the tool was ever seen.
    pub(crate) fn knows(&self, tool: NameHash) -> bool {
        self.contexts.get(&context(&[], 0)).is_some_and(|root| root.counts.contains_key(&tool.0))
    }
}

/// Hash of the last `order` symbols; the start of the session pads it.
fn context(history: &[NameHash], order: usize) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15u64 ^ order as u64;
    for back in 1..=order {
        let symbol = history.len().checked_sub(back).and_then(|at| history.get(at)).map_or(START, |tool| tool.0);
        hash = (hash.rotate_left(23) ^ symbol).wrapping_mul(0x2545_f491_4f6c_dd1d);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tools(names: &[u8]) -> Vec<NameHash> {
        names.iter().map(|n| NameHash::of("tool", &n.to_string())).collect()
    }

    #[test]
    fn what_always_follows_is_expected_and_what_never_did_is_not() {
        let mut model = Markov::default();
        for _ in 0..20 {
            model.learn(&tools(&[1, 2, 3]));
        }
        let after = |history: &[u8], next: u8| model.probability(&tools(history), tools(&[next])[0]);
        assert!(after(&[1], 2) > 0.9 && after(&[1], 3) < 0.05 && after(&[1], 9) < after(&[1], 3));
    }

    proptest! {
        #[test]
        fn probabilities_of_the_known_and_one_unknown_sum_to_one(sessions in proptest::collection::vec(proptest::collection::vec(0u8..6, 1..8), 1..20), history in proptest::collection::vec(0u8..6, 0..5)) {
            let mut model = Markov::default();
            sessions.iter().for_each(|s| model.learn(&tools(s)));
            let known = (0..6).filter(|n| model.knows(tools(&[*n])[0]));
            let sum: f64 = known.chain([99]).map(|n| model.probability(&tools(&history), tools(&[n])[0])).sum();
            prop_assert!((sum - 1.0).abs() < 1e-9, "{}", sum);
        }
    }
}
