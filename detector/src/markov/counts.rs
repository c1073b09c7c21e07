//! N-gram counts: flat, sorted, mergeable. What two fits counted apart they would have counted together.

use super::ORDER;
use super::chain::{START, UNKNOWN};
use schema::NameHash;
use serde::{Deserialize, Serialize};

/// A run of calls as numbers of tools, oldest first; `START` pads the session's begin.
pub(super) type Gram = [u16; ORDER + 1];

/// Distinct tools, and how often each run of `ORDER + 1` calls was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Counts {
    /// Ascending; tool `n` is number `n + 1`.
    vocabulary: Vec<NameHash>,
    /// Ascending, no run twice.
    grams: Vec<(Gram, u32)>,
}

/// Tools told apart; the rest counts as unknown.
const TOOLS_MAX: usize = 60_000;

impl Counts {
    /// Counts sessions.
    pub(super) fn of<'s>(sessions: impl Iterator<Item = &'s [NameHash]> + Clone) -> Self {
        let mut vocabulary: Vec<NameHash> = sessions.clone().flatten().copied().collect();
        vocabulary.sort_unstable();
        vocabulary.dedup();
        vocabulary.truncate(TOOLS_MAX);
        let mut counts = Self { vocabulary, grams: Vec::new() };
        for session in sessions {
            let mut gram: Gram = [START; ORDER + 1];
            for tool in session {
                gram.rotate_left(1);
                if let Some(last) = gram.last_mut() {
                    *last = counts.symbol(*tool);
                }
                counts.grams.push((gram, 1));
            }
        }
        counts.tidy();
        counts
    }

    /// The counts of both.
    pub(super) fn merge(&self, other: &Self) -> Self {
        let mut vocabulary = [self.vocabulary.as_slice(), &other.vocabulary].concat();
        vocabulary.sort_unstable();
        vocabulary.dedup();
        vocabulary.truncate(TOOLS_MAX);
        let mut merged = Self { vocabulary, grams: Vec::new() };
        for part in [self, other] {
            let renumber = |symbol: u16| match symbol {
                START | UNKNOWN => symbol,
                n => part.vocabulary.get(usize::from(n) - 1).map_or(UNKNOWN, |tool| merged.symbol(*tool)),
            };
            let grams: Vec<(Gram, u32)> = part.grams.iter().map(|(gram, n)| (gram.map(renumber), *n)).collect();
            merged.grams.extend(grams);
        }
        merged.tidy();
        merged
    }

    /// The tool's number.
    pub(super) fn symbol(&self, tool: NameHash) -> u16 {
        match self.vocabulary.binary_search(&tool) {
            Ok(at) => u16::try_from(at + 1).unwrap_or(UNKNOWN),
            Err(_) => UNKNOWN,
        }
    }

    /// Every tool, as the hash of its name, with its number.
    pub(super) fn symbols(&self) -> impl Iterator<Item = (u64, u16)> {
        self.vocabulary.iter().map(|tool| tool.0).zip(1..)
    }

    /// Tools told apart.
    pub(super) fn tools(&self) -> usize {
        self.vocabulary.len()
    }

    /// Every run and how often it was seen, ascending.
    pub(super) fn grams(&self) -> &[(Gram, u32)] {
        &self.grams
    }

    fn tidy(&mut self) {
        self.grams.sort_unstable();
        self.grams.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.saturating_add(next.1);
            }
            same
        });
    }
}
