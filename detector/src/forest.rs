//! Isolation forest with axis-parallel splits, in flat arrays.
//! Source: Liu, Ting, Zhou, "Isolation Forest", ICDM 2008.
//!
//! A tree is a complete binary tree of [`HEIGHT`] levels without pointers: from node `n` a row goes on to `2 n + 1` when
//! it is below the threshold, else to `2 n + 2`. Where the grown tree ends early the thresholds are infinite, so that
//! every row takes the same number of steps, none of them a branch; rows are then walked several at a time.

mod attribution;
mod fit;
mod walk; // the same trees, for one row

pub use fit::{ForestError, ForestParams};

use ndarray::{Array1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};
use walk::Walk;

/// A fitted forest.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Grown")]
pub struct Forest {
    /// Of each tree's inner nodes in turn, [`SLOTS`] a tree: what is compared with what.
    features: Vec<u8>,
    thresholds: Vec<f64>,
    /// Mean path length of the rows it was grown on that came through the node.
    expected: Vec<f32>,
    /// Of each tree's bottom, left to right, [`SLOTS`] a tree: the path length of a row that ends there.
    lengths: Vec<f64>,
    /// c(ψ), the mean path length at the sample size.
    c: f64,
    /// Features a row has.
    width: u32,
    #[serde(skip)]
    walk: Walk,
}

/// The same as the file has it.
#[derive(Deserialize)]
struct Grown {
    features: Vec<u8>,
    thresholds: Vec<f64>,
    expected: Vec<f32>,
    lengths: Vec<f64>,
    c: f64,
    width: u32,
}

impl From<Grown> for Forest {
    fn from(grown: Grown) -> Self {
        let Grown { features, thresholds, expected, lengths, c, width } = grown;
        let walk = Walk::of(&features, &thresholds);
        Self { features, thresholds, expected, lengths, c, width, walk }
    }
}

/// Levels of splits: ⌈log2 ψ⌉ for the largest sample.
const HEIGHT: u32 = 8;
/// Places of a tree's level of leaves, and one more than its inner nodes.
const SLOTS: usize = 1 << HEIGHT;
/// Rows of a sample (ψ): the paper finds no gain beyond.
pub(crate) const SAMPLE_MAX: usize = SLOTS;
/// Features: a node names one in a byte.
pub(crate) const WIDTH_MAX: usize = 256;
/// Rows walked at a time: each waits for memory while the others go on.
const LANES: usize = 8;
/// Rows of a block: they stay in the first-level cache while all trees pass.
const BLOCK: usize = 64;

type Row = [f64; WIDTH_MAX];

/// One tree, sized so that no step can leave it.
#[derive(Clone, Copy)]
struct Tree<'f> {
    features: &'f [u8; SLOTS],
    thresholds: &'f [f64; SLOTS],
    lengths: &'f [f64; SLOTS],
}

impl Forest {
    /// Score of one row, in `(0, 1]`: about 0.5 is ordinary, near 1 is isolated. No tree: 0.5. Ibid., eq. 2.
    ///
    /// Features beyond the row's end read as 0.
    pub fn score(&self, row: &[f64]) -> f64 {
        let row = padded(row.iter().copied());
        let ends = self.walk.ends(&row).zip(self.lengths.as_chunks::<SLOTS>().0);
        self.score_of(ends.fold(0.0, |sum, (end, lengths)| sum + lengths.get(end).copied().unwrap_or(0.0)))
    }

    /// Scores of a matrix of shape `[rows, features]`: the same bits as row by row.
    pub fn score_batch(&self, rows: ArrayView2<'_, f64>) -> Array1<f64> {
        let mut scores = Vec::with_capacity(rows.nrows());
        let mut block: Vec<Row> = Vec::with_capacity(BLOCK);
        for chunk in rows.axis_chunks_iter(Axis(0), BLOCK) {
            block.clear();
            block.extend(chunk.rows().into_iter().map(|row| padded(row.iter().copied())));
            let mut sums = [0.0; BLOCK];
            for tree in self.trees() {
                let (full, rest) = block.as_chunks::<LANES>();
                let (full_sums, rest_sums) = sums.as_chunks_mut::<LANES>();
                for (rows, sums) in full.iter().zip(full_sums.iter_mut()) {
                    let lengths = tree.lengths(rows);
                    sums.iter_mut().zip(lengths).for_each(|(sum, length)| *sum += length);
                }
                let last = full_sums.get_mut(full.len()).map_or(rest_sums, |lanes| lanes.as_mut_slice());
                rest.iter().zip(last).for_each(|(row, sum)| *sum += tree.length(row));
            }
            scores.extend(sums.iter().take(block.len()).map(|sum| self.score_of(*sum)));
        }
        Array1::from_vec(scores)
    }

    /// Number of trees.
    pub fn trees_len(&self) -> usize {
        self.lengths.len() / SLOTS
    }

    fn score_of(&self, sum: f64) -> f64 {
        if self.lengths.is_empty() || self.c <= 0.0 {
            return 0.5;
        }
        libm::exp2(-sum / self.trees_len() as f64 / self.c)
    }

    fn trees(&self) -> impl Iterator<Item = Tree<'_>> {
        let parts = self.features.as_chunks().0.iter().zip(self.thresholds.as_chunks().0);
        parts.zip(self.lengths.as_chunks().0).map(|((features, thresholds), lengths)| Tree {
            features,
            thresholds,
            lengths,
        })
    }
}

impl Tree<'_> {
    #[inline]
    fn length(&self, row: &Row) -> f64 {
        let mut at = 0;
        for _ in 0..HEIGHT {
            at = step((self.features, self.thresholds), at, row);
        }
        at_bottom(self.lengths, at)
    }

    #[inline]
    fn lengths(&self, rows: &[Row; LANES]) -> [f64; LANES] {
        let mut at = [0usize; LANES];
        for _ in 0..HEIGHT {
            for (at, row) in at.iter_mut().zip(rows) {
                *at = step((self.features, self.thresholds), *at, row);
            }
        }
        at.map(|at| at_bottom(self.lengths, at))
    }
}

/// The next node after `node`.
#[inline]
#[expect(clippy::indexing_slicing, reason = "the node is masked to the array's length; a byte is below `WIDTH_MAX`")]
fn step((features, thresholds): (&[u8; SLOTS], &[f64; SLOTS]), node: usize, row: &Row) -> usize {
    let node = node % SLOTS;
    2 * node + 1 + usize::from(row[usize::from(features[node])] >= thresholds[node])
}

/// Path length at the bottom node `node`.
#[inline]
#[expect(clippy::indexing_slicing, reason = "masked to the array's length")]
fn at_bottom(lengths: &[f64; SLOTS], node: usize) -> f64 {
    lengths[(node + 1) % SLOTS]
}

fn padded(row: impl Iterator<Item = f64>) -> Row {
    let mut out = [0.0; WIDTH_MAX];
    out.iter_mut().zip(row).for_each(|(slot, value)| *slot = value);
    out
}

/// c(n): mean path length of an unsuccessful search in a binary search tree of `n` rows. Ibid., eq. 1.
pub(crate) fn mean_path(n: usize) -> f64 {
    match n {
        0 | 1 => 0.0,
        2 => 1.0,
        n => {
            let n = n as f64;
            2.0 * (libm::log(n - 1.0) + 0.577_215_664_901_532_9) - 2.0 * (n - 1.0) / n
        }
    }
}

#[cfg(test)]
mod tests;
