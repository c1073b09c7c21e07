//! The same trees laid out for one row: three levels of a tree to a line of the cache, so that a row reads four lines of a
//! tree where level after level it would read ten.

use super::{HEIGHT, Row, SLOTS};

/// Trees of one forest, in turn.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Walk {
    /// Of each tree its first three levels, then the eight that follow at their ends.
    upper: Vec<[Three; UPPER]>,
    /// The last two levels at the ends of those.
    lower: Vec<[Two; LOWER]>,
}

/// Seven nodes, as in a tree of their own: bits of their thresholds, and in the last word a feature a byte.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(64))]
struct Three([u64; 8]);

/// Three nodes, in the same way.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(align(32))]
struct Two([u64; 4]);

const UPPER: usize = 1 + 8;
const LOWER: usize = 64;
const _: () = assert!(SLOTS == 4 * LOWER && HEIGHT == 3 + 3 + 2);

impl Walk {
    /// Of trees as [`Forest`](super::Forest) has them.
    pub(super) fn of(features: &[u8], thresholds: &[f64]) -> Self {
        let trees = features.as_chunks::<SLOTS>().0.iter().zip(thresholds.as_chunks::<SLOTS>().0);
        let (upper, lower) = trees.map(|tree| (upper(tree), lower(tree))).unzip();
        Self { upper, lower }
    }

    /// Where `row` ends in each tree, counted from the left.
    #[expect(clippy::indexing_slicing, reason = "an end of three levels is below 8, of three more below 64")]
    pub(super) fn ends(&self, row: &Row) -> impl Iterator<Item = usize> {
        self.upper.iter().zip(&self.lower).map(|(upper, lower)| {
            let first = upper[0].end(row);
            let second = 8 * first + upper[1 + first].end(row);
            4 * second + lower[second].end(row)
        })
    }
}

impl Three {
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "masked to the array's length; a byte is below `WIDTH_MAX`")]
    fn end(&self, row: &Row) -> usize {
        let nodes = &self.0;
        let mut at = 0;
        for _ in 0..3 {
            let feature = (nodes[7] >> (8 * (at & 7))) as u8;
            at = 2 * (at & 7) + 1 + usize::from(row[usize::from(feature)] >= f64::from_bits(nodes[at & 7]));
        }
        at.wrapping_sub(7) & 7
    }
}

impl Two {
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "masked to the array's length; a byte is below `WIDTH_MAX`")]
    fn end(&self, row: &Row) -> usize {
        let nodes = &self.0;
        let mut at = 0;
        for _ in 0..2 {
            let feature = (nodes[3] >> (8 * (at & 3))) as u8;
            at = 2 * (at & 3) + 1 + usize::from(row[usize::from(feature)] >= f64::from_bits(nodes[at & 3]));
        }
        at.wrapping_sub(3) & 3
    }
}

type Tree<'t> = (&'t [u8; SLOTS], &'t [f64; SLOTS]);

fn upper(tree: Tree<'_>) -> [Three; UPPER] {
    // The nodes of the fourth level follow on the seven before them.
    std::array::from_fn(|at| Three(packed(tree, if at == 0 { 0 } else { 7 + at - 1 })))
}

fn lower(tree: Tree<'_>) -> [Two; LOWER] {
    std::array::from_fn(|at| Two(packed(tree, 63 + at)))
}

/// The `N - 1` nodes of whole levels from `root` down.
fn packed<const N: usize>((features, thresholds): Tree<'_>, root: usize) -> [u64; N] {
    let (mut words, mut named) = ([0; N], 0);
    // A level's nodes stand side by side: the first of a level, and how many there are.
    let (mut first, mut width, mut at) = (root, 1, 0);
    while at < N - 1 {
        for node in first..first + width {
            if let Some(word) = words.get_mut(at) {
                *word = thresholds.get(node).copied().unwrap_or(f64::INFINITY).to_bits();
            }
            named |= u64::from(features.get(node).copied().unwrap_or(0)) << (8 * at);
            at += 1;
        }
        (first, width) = (2 * first + 1, 2 * width);
    }
    if let Some(last) = words.last_mut() {
        *last = named;
    }
    words
}
