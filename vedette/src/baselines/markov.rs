//! A Markov chain of fixed order over tools, each order interpolated with the next lower.
//! Source: Witten and Bell, "The zero-frequency problem", IEEE Trans. Inf. Theory 37(4), 1991; interpolated form: Chen and
//! Goodman, "An empirical study of smoothing techniques for language modeling", 1998, eq. 10.

use super::{START, last};
use schema::NameHash;
use std::collections::{HashMap, HashSet};

/// Longest context.
const ORDER_MAX: usize = 3;

/// Contexts of up to [`Markov::order`] tools, and what followed them.
pub struct Markov {
    order: usize,
    /// Tools told apart.
    tools: usize,
    contexts: HashMap<Vec<NameHash>, Followers>,
}

#[derive(Default)]
struct Followers {
    all: u32,
    each: HashMap<NameHash, u32>,
}

impl Markov {
    pub(super) fn learn(sessions: &[Vec<NameHash>], order: usize) -> Self {
        let order = order.min(ORDER_MAX);
        let tools: HashSet<&NameHash> = sessions.iter().flatten().collect();
        let mut chain = Self { order, tools: tools.len(), contexts: HashMap::new() };
        for session in sessions {
            for (at, next) in session.iter().enumerate() {
                let before = before(session, at);
                for length in 0..=order {
                    let followers = chain.contexts.entry(newest(&before, length).to_vec()).or_default();
                    followers.all += 1;
                    *followers.each.entry(*next).or_default() += 1;
                }
            }
        }
        chain
    }

    pub(super) fn order(&self) -> usize {
        self.order
    }

    /// Of each call: -ln of its tool's probability after the calls before, in nats.
    pub(super) fn scores(&self, tools: &[NameHash]) -> Vec<f64> {
        let surprise = |(at, next): (usize, &NameHash)| -self.probability(&before(tools, at), *next).ln();
        tools.iter().enumerate().map(surprise).collect()
    }

    /// In (0, 1]: the longest context that was seen, leaving to the next shorter one as much as it had different followers.
    fn probability(&self, before: &[NameHash; ORDER_MAX], next: NameHash) -> f64 {
        let mut p = 1.0 / (self.tools as f64 + 1.0);
        for length in 0..=self.order {
            let Some(followers) = self.contexts.get(newest(before, length)) else { break };
            let (kinds, all) = (followers.each.len() as f64, f64::from(followers.all));
            let count = followers.each.get(&next).copied().unwrap_or(0);
            p = (f64::from(count) + kinds * p) / (all + kinds);
        }
        p
    }
}

/// The tools before call `at`, padded.
fn before(tools: &[NameHash], at: usize) -> [NameHash; ORDER_MAX] {
    at.checked_sub(1).map_or([START; ORDER_MAX], |at| last(tools, at))
}

fn newest(before: &[NameHash; ORDER_MAX], length: usize) -> &[NameHash] {
    before.get(ORDER_MAX.saturating_sub(length)..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::tests::tools;
    use super::*;

    /// One session `aab`: as many tools as a hand can count.
    fn p(order: usize, history: &str, next: &str) -> f64 {
        let session = tools(&format!("{history}{next}"));
        (-Markov::learn(&[tools("aab")], order).scores(&session).pop().unwrap()).exp()
    }

    #[track_caller]
    fn is(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
    }

    #[test]
    fn probabilities_are_those_worked_out_by_hand() {
        // Two tools: uniform 1/3. No context: a twice, b once, two kinds of three.
        let (a, b, other) = ((2.0 + 2.0 / 3.0) / 5.0, (1.0 + 2.0 / 3.0) / 5.0, (2.0 / 3.0) / 5.0);
        is(p(0, "", "a"), a);
        is(p(0, "", "b"), b);
        is(p(0, "", "x"), other);
        is(a + b + other, 1.0);
        // After a: a once, b once. After the start: a once.
        is(p(1, "a", "b"), (1.0 + 2.0 * b) / 4.0);
        is(p(1, "", "a"), (1.0 + a) / 2.0);
        is(p(1, "", "x"), other / 2.0);
        // After b nothing was ever seen: as without a context.
        is(p(1, "b", "a"), a);
        // After a at the start: a; after two of them: b.
        is(p(2, "a", "a"), (1.0 + (1.0 + 2.0 * a) / 4.0) / 2.0);
        is(p(2, "aa", "b"), (1.0 + (1.0 + 2.0 * b) / 4.0) / 2.0);
        // Three calls back is the start, as it was in the session learned from.
        is(p(3, "aa", "b"), (1.0 + p(2, "aa", "b")) / 2.0);
    }

    #[test]
    fn nothing_learned_leaves_one_unknown_tool() {
        assert_eq!(Markov::learn(&[], 3).scores(&tools("ab")), [0.0, 0.0]);
    }
}
