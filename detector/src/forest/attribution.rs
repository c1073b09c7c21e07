//! Which feature isolated a row.

use super::{Forest, HEIGHT, SLOTS, at_bottom, padded, step};
use ndarray::ArrayView1;

impl Forest {
    /// Path length that each feature saved, mean over trees: positive where it isolates the row, negative where it
    /// places the row among many.
    ///
    /// At each split the mean path of the rows beyond it replaces that of the rows before it; the difference is the
    /// split feature's. The parts sum to (mean path of the rows grown on) - (path of this row).
    /// Source: Saabas, "Interpreting random forests", 2014, applied to path lengths.
    pub fn attribution(&self, row: ArrayView1<'_, f64>) -> Vec<f64> {
        let mut parts = vec![0.0; self.width as usize];
        let row = padded(row.iter().copied());
        let trees = self.trees_len() as f64;
        for (tree, expected) in self.trees().zip(self.expected.as_chunks::<SLOTS>().0) {
            let mut at = 0;
            for _ in 0..HEIGHT {
                let feature = tree.features.get(at).copied().unwrap_or(0);
                let next = step((tree.features, tree.thresholds), at, &row);
                let mean = |node: usize| expected.get(node).filter(|_| node < SLOTS - 1).map(|mean| f64::from(*mean));
                let before = mean(at).unwrap_or_default();
                let after = mean(next).unwrap_or_else(|| at_bottom(tree.lengths, next));
                if let Some(part) = parts.get_mut(usize::from(feature)) {
                    *part += (before - after) / trees;
                }
                at = next;
            }
        }
        parts
    }

    /// Mean path length, over trees, of the rows grown on: what a row without any attribution has.
    pub fn mean_length(&self) -> f64 {
        let roots = self.expected.as_chunks::<SLOTS>().0.iter().filter_map(|tree| tree.first());
        roots.map(|mean| f64::from(*mean)).sum::<f64>() / self.trees_len().max(1) as f64
    }
}
