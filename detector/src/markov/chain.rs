//! Interpolated Kneser-Ney over tools: a run seen often speaks, one seen seldom leaves the word to its shorter end.
//! Source: Kneser and Ney, "Improved backing-off for m-gram language modeling", ICASSP 1995; interpolated form and
//! discounts: Chen and Goodman, "An empirical study of smoothing techniques for language modeling", 1998, eq. 4.

use super::counts::Counts;
use super::{ORDER, mix};
use crate::fp::FpMap;
use schema::NameHash;
use serde::{Deserialize, Serialize};

/// Number of what comes before a session's first call.
pub(super) const START: u16 = 0;
/// Number of a tool that was never seen.
pub(super) const UNKNOWN: u16 = u16::MAX;

/// Probabilities of a tool after up to [`ORDER`] tools. The file holds the counts alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Counts", into = "Counts")]
pub(super) struct Chain {
    counts: Counts,
    /// Number of each tool.
    symbols: FpMap<u16>,
    /// By length of context, none first.
    levels: Vec<Level>,
}

/// All contexts of one length, in flat arrays.
#[derive(Debug, Clone, Default, PartialEq)]
struct Level {
    /// Place of each context, by its hash.
    contexts: FpMap<u32>,
    /// Where each context's followers begin; one more for the end.
    starts: Vec<u32>,
    /// Sum of each context's counts.
    totals: Vec<f64>,
    /// Followers, ascending within a context, and their counts less the discount.
    symbols: Vec<u16>,
    discounted: Vec<f64>,
    discount: f64,
}

impl From<Counts> for Chain {
    fn from(counts: Counts) -> Self {
        let mut levels = Vec::with_capacity(ORDER + 1);
        // The longest runs count as often as seen; a shorter one as often as it continued a different longer one.
        let mut grams: Vec<(Vec<u16>, u32)> = counts.grams().iter().map(|(gram, n)| (gram.to_vec(), *n)).collect();
        for _ in 0..=ORDER {
            levels.push(Level::of(&grams));
            grams = grams.iter().map(|(gram, _)| (gram.get(1..).unwrap_or_default().to_vec(), 1)).collect();
            grams.sort_unstable();
            grams.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                kept.1 += u32::from(same);
                same
            });
        }
        levels.reverse();
        let symbols = counts.symbols().collect();
        Self { counts, symbols, levels }
    }
}

impl From<Chain> for Counts {
    fn from(chain: Chain) -> Self {
        chain.counts
    }
}

impl Chain {
    /// The tool's number.
    pub(super) fn symbol(&self, tool: NameHash) -> u16 {
        self.symbols.get(&tool.0).copied().unwrap_or(UNKNOWN)
    }

    /// Tools told apart.
    pub(super) fn tools(&self) -> usize {
        self.counts.tools()
    }

    /// Probability of `next` after `history` (oldest first), in (0, 1], and how many of the runs that end with it, from
    /// one call up, were seen.
    pub(super) fn probability(&self, history: &[u16; ORDER], next: u16) -> (f64, u32) {
        let (mut p, mut seen) = (1.0 / (self.counts.tools() as f64 + 1.0), 0);
        let mut hash = EMPTY;
        for (level, back) in self.levels.iter().zip(0..) {
            if let Some(earlier) = back_of(history, back) {
                hash = mix(hash, u64::from(earlier));
            }
            let Some(at) = level.contexts.get(&hash) else { break };
            let (mine, lower) = level.of_context(*at as usize, next);
            seen += u32::from(mine.is_some());
            p = mine.unwrap_or(0.0) + lower * p;
        }
        (p, seen)
    }
}

/// The call `back` places before the next one; none for 0.
fn back_of(history: &[u16; ORDER], back: usize) -> Option<u16> {
    history.iter().rev().nth(back.checked_sub(1)?).copied()
}

/// Hash of no context.
const EMPTY: u64 = 0x9e37_79b9_7f4a_7c15;

impl Level {
    /// Of runs of one length, ascending, each with its count.
    fn of(grams: &[(Vec<u16>, u32)]) -> Self {
        let mut groups: Vec<(u64, Vec<(u16, u32)>)> = Vec::new();
        for (gram, count) in grams {
            let Some((next, context)) = gram.split_last() else { continue };
            let hash = context.iter().rev().fold(EMPTY, |hash, symbol| mix(hash, u64::from(*symbol)));
            match groups.last_mut() {
                Some((last, followers)) if *last == hash => followers.push((*next, *count)),
                _ => groups.push((hash, vec![(*next, *count)])),
            }
        }
        groups.sort_unstable_by_key(|(hash, _)| *hash);
        let often = |n: u32| grams.iter().filter(|(_, count)| *count == n).count() as f64;
        let (once, twice) = (often(1), often(2));
        let discount = if once > 0.0 { (once / (once + 2.0 * twice)).clamp(0.05, 0.95) } else { 0.5 };
        let mut level = Self { discount, ..Self::default() };
        for ((hash, followers), at) in groups.into_iter().zip(0..) {
            level.contexts.entry(hash).or_insert(at);
            level.starts.push(level.symbols.len() as u32);
            level.totals.push(followers.iter().map(|(_, count)| f64::from(*count)).sum());
            level.symbols.extend(followers.iter().map(|(symbol, _)| *symbol));
            level.discounted.extend(followers.iter().map(|(_, count)| f64::from(*count) - discount));
        }
        level.starts.push(level.symbols.len() as u32);
        level
    }

    /// Of the context at `at`: the part of `next`'s probability that its own count gives, if it was ever seen, and the
    /// weight left to the shorter context.
    fn of_context(&self, at: usize, next: u16) -> (Option<f64>, f64) {
        let bound = |at: usize| self.starts.get(at).copied().unwrap_or(0) as usize;
        let (from, to) = (bound(at), bound(at + 1));
        let total = self.totals.get(at).copied().unwrap_or(1.0);
        let found = self.symbols.get(from..to).and_then(|symbols| symbols.binary_search(&next).ok());
        let mine = found.and_then(|here| self.discounted.get(from + here)).map(|count| count / total);
        (mine, self.discount * (to - from) as f64 / total)
    }
}
