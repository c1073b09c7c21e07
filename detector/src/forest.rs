//! Isolation forest with axis-parallel splits, in flat arrays.
//! Source: Liu, Ting, Zhou, "Isolation Forest", ICDM 2008.

mod fit;

pub use fit::ForestParams;

use ndarray::{Array1, ArrayView1, ArrayView2, Axis};
use serde::{Deserialize, Serialize};

/// A fitted forest: every tree's nodes in one array.
///
/// A node is a leaf when its `feature` is `LEAF`; then `value` is the path length to add for the rows that ended
/// there. Otherwise rows with `row[feature] < value` go to `left`, the others to `left + 1`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forest {
    pub(crate) nodes: Vec<Node>,
    /// Index of each tree's root.
    pub(crate) roots: Vec<u32>,
    /// c(ψ), the mean path length at the sample size.
    pub(crate) c: f64,
    /// Features a row must have.
    pub(crate) width: u32,
}

/// One node.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Node {
    pub(crate) feature: u32,
    pub(crate) left: u32,
    pub(crate) value: f64,
}

/// Marks a leaf.
pub(crate) const LEAF: u32 = u32::MAX;

impl Forest {
    /// Score of one row, in `(0, 1]`: about 0.5 is ordinary, near 1 is isolated. No tree: 0.5. Ibid., eq. 2.
    ///
    /// Features beyond the row's end read as 0.
    pub fn score(&self, row: &[f64]) -> f64 {
        if self.roots.is_empty() || self.c <= 0.0 {
            return 0.5;
        }
        let sum: f64 = self.roots.iter().map(|root| self.depth(*root, row)).sum();
        libm::exp2(-sum / self.roots.len() as f64 / self.c)
    }

    /// Scores of a matrix of shape `[rows, features]`: tree by tree, so that a tree stays in the cache.
    pub fn score_batch(&self, rows: ArrayView2<'_, f64>) -> Array1<f64> {
        if self.roots.is_empty() || self.c <= 0.0 {
            return Array1::from_elem(rows.nrows(), 0.5);
        }
        let mut sums = vec![0.0; rows.nrows()];
        for root in &self.roots {
            for (sum, row) in sums.iter_mut().zip(rows.axis_iter(Axis(0))) {
                *sum += match row.as_slice() {
                    Some(slice) => self.depth(*root, slice),
                    None => self.depth(*root, &row.to_vec()),
                };
            }
        }
        sums.iter().map(|sum| libm::exp2(-sum / self.roots.len() as f64 / self.c)).collect()
    }

    /// What each feature did to isolate a row, in path length saved against the mean path, summed over trees;
    /// positive: the feature isolates, negative: it is ordinary.
    ///
    /// Each split moves the expected depth; a path's saving is shared among its splits, by the drop in rows.
    pub fn attribution(&self, row: ArrayView1<'_, f64>) -> Vec<f64> {
        let mut parts = vec![0.0; self.width as usize];
        for root in &self.roots {
            let mut at = *root;
            let mut path = Vec::new();
            while let Some(node) = self.node(at).filter(|node| node.feature != LEAF) {
                path.push(node.feature);
                at = self.next(&node, row.get(node.feature as usize).copied().unwrap_or(0.0));
            }
            let depth = path.len() as f64 + self.node(at).map_or(0.0, |leaf| leaf.value);
            let saved = (self.c - depth) / path.len().max(1) as f64;
            for feature in path {
                if let Some(part) = parts.get_mut(feature as usize) {
                    *part += saved / self.roots.len() as f64;
                }
            }
        }
        parts
    }

    fn depth(&self, root: u32, row: &[f64]) -> f64 {
        let (mut at, mut depth) = (root, 0.0);
        while let Some(node) = self.node(at) {
            if node.feature == LEAF {
                return depth + node.value;
            }
            at = self.next(&node, row.get(node.feature as usize).copied().unwrap_or(0.0));
            depth += 1.0;
        }
        depth
    }

    fn node(&self, at: u32) -> Option<Node> {
        self.nodes.get(at as usize).copied()
    }

    fn next(&self, node: &Node, value: f64) -> u32 {
        node.left + u32::from(value >= node.value)
    }
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
