//! Growing an isolation forest: seeded, so equal rows and seed give equal bits.

use super::{Forest, LEAF, Node, mean_path};
use linfa::dataset::DatasetBase;
use linfa::traits::{Fit, PredictInplace};
use ndarray::{Array1, Array2, ArrayView2};
use rand::seq::index;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How a forest is grown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForestParams {
    /// Number of trees.
    pub trees: usize,
    /// Rows a tree is grown on (ψ).
    pub sample: usize,
    /// Seed of all chance.
    pub seed: u64,
}

impl Default for ForestParams {
    /// 100 trees of 256 rows, as the paper recommends.
    fn default() -> Self {
        Self { trees: 100, sample: 256, seed: 7 }
    }
}

/// Why no forest was grown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForestError {
    /// There is nothing to grow on.
    #[error("a forest needs at least one row and one feature, got {rows} and {features}")]
    Empty {
        /// Rows given.
        rows: usize,
        /// Features given.
        features: usize,
    },
    /// A value cannot be split on.
    #[error("row {row} holds a value that is not finite")]
    NotFinite {
        /// The row.
        row: usize,
    },
    /// linfa's own.
    #[error(transparent)]
    Linfa(#[from] linfa::Error),
}

impl<T> Fit<Array2<f64>, T, ForestError> for ForestParams {
    type Object = Forest;

    fn fit(&self, dataset: &DatasetBase<Array2<f64>, T>) -> Result<Forest, ForestError> {
        self.grow(dataset.records().view())
    }
}

impl PredictInplace<Array2<f64>, Array1<f64>> for Forest {
    fn predict_inplace(&self, rows: &Array2<f64>, scores: &mut Array1<f64>) {
        scores.assign(&self.score_batch(rows.view()));
    }

    fn default_target(&self, rows: &Array2<f64>) -> Array1<f64> {
        Array1::zeros(rows.nrows())
    }
}

impl ForestParams {
    /// Grows a forest on a matrix of shape `[rows, features]`.
    pub fn grow(&self, rows: ArrayView2<'_, f64>) -> Result<Forest, ForestError> {
        let (count, width) = rows.dim();
        if count == 0 || width == 0 {
            return Err(ForestError::Empty { rows: count, features: width });
        }
        if let Some(row) = rows.rows().into_iter().position(|row| row.iter().any(|x| !x.is_finite())) {
            return Err(ForestError::NotFinite { row });
        }
        let sample = self.sample.clamp(1, count);
        let height = usize::BITS - (sample - 1).leading_zeros(); // ⌈log2 ψ⌉
        let mut forest = Forest { nodes: Vec::new(), roots: Vec::new(), c: mean_path(sample), width: width as u32 };
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        for _ in 0..self.trees {
            let mut chosen = index::sample(&mut rng, count, sample).into_vec();
            let root = forest.nodes.len() as u32;
            forest.roots.push(root);
            forest.nodes.push(LEAF_NODE);
            grow_at(&mut forest.nodes, root, &mut chosen, rows, height, &mut rng);
        }
        Ok(forest)
    }
}

const LEAF_NODE: Node = Node { feature: LEAF, left: 0, value: 0.0 };

fn grow_at(
    nodes: &mut Vec<Node>,
    at: u32,
    chosen: &mut [usize],
    rows: ArrayView2<'_, f64>,
    height: u32,
    rng: &mut ChaCha8Rng,
) {
    let Some((feature, split)) = (height > 0 && chosen.len() > 1).then(|| choose(chosen, rows, rng)).flatten() else {
        set(nodes, at, Node { value: mean_path(chosen.len()), ..LEAF_NODE });
        return;
    };
    let value = |row: usize| rows.get((row, feature)).copied().unwrap_or(0.0);
    // Partition in place: rows below the split first.
    let mut low = 0;
    for here in 0..chosen.len() {
        if chosen.get(here).is_some_and(|row| value(*row) < split) {
            chosen.swap(low, here);
            low += 1;
        }
    }
    let left = nodes.len() as u32;
    nodes.extend([LEAF_NODE, LEAF_NODE]);
    set(nodes, at, Node { feature: feature as u32, left, value: split });
    let (below, above) = chosen.split_at_mut(low);
    grow_at(nodes, left, below, rows, height - 1, rng);
    grow_at(nodes, left + 1, above, rows, height - 1, rng);
}

/// A feature that varies among the chosen rows, and a point inside its range.
fn choose(chosen: &[usize], rows: ArrayView2<'_, f64>, rng: &mut ChaCha8Rng) -> Option<(usize, f64)> {
    let range = |feature: usize| {
        chosen
            .iter()
            .filter_map(|row| rows.get((*row, feature)))
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)))
    };
    let features: Vec<(usize, f64, f64)> = (0..rows.ncols())
        .map(|f| (f, range(f)))
        .filter(|(_, (low, high))| low < high)
        .map(|(f, (low, high))| (f, low, high))
        .collect();
    let (feature, low, high) = *features.get(rng.random_range(0..features.len().max(1)))?;
    let split = low + (high - low) * rng.random::<f64>();
    // Rounding may land on the low end, which would leave one side empty.
    Some((feature, if split > low { split } else { high }))
}

fn set(nodes: &mut [Node], at: u32, node: Node) {
    if let Some(slot) = nodes.get_mut(at as usize) {
        *slot = node;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn rows() -> Array2<f64> {
        Array2::from_shape_fn((400, 3), |(row, at)| ((row * 7919 + at * 104_729) % 101) as f64 / 101.0)
    }

    #[test]
    fn what_lies_apart_is_isolated_and_the_feature_is_named() {
        let forest = ForestParams::default().grow(rows().view()).unwrap();
        let (near, far) = (array![0.5, 0.5, 0.5], array![0.5, 9.0, 0.5]);
        let score = |row: &Array1<f64>| forest.score(row.as_slice().unwrap());
        assert!(score(&far) > score(&near) + 0.05, "{} {}", score(&far), score(&near));
        let parts = forest.attribution(far.view());
        assert!(parts[1] > parts[0] && parts[1] > parts[2] && parts[1] > 0.0, "{parts:?}");
    }

    #[test]
    fn equal_rows_and_seed_give_equal_bits_in_rows_and_batches() {
        let (a, b) = (
            ForestParams::default().grow(rows().view()).unwrap(),
            ForestParams::default().grow(rows().view()).unwrap(),
        );
        assert_eq!(a, b);
        let batch = a.score_batch(rows().view());
        for (row, score) in rows().rows().into_iter().zip(batch) {
            assert_eq!(a.score(row.as_slice().unwrap()).to_bits(), score.to_bits());
        }
    }

    #[test]
    fn rows_that_cannot_be_grown_on_are_refused() {
        assert!(matches!(ForestParams::default().grow(Array2::zeros((0, 3)).view()), Err(ForestError::Empty { .. })));
        assert!(matches!(
            ForestParams::default().grow(array![[1.0], [f64::NAN]].view()),
            Err(ForestError::NotFinite { row: 1 })
        ));
        assert!(ForestParams::default().grow(Array2::zeros((5, 2)).view()).is_ok_and(|f| f.score(&[0.0, 0.0]) <= 0.5));
    }
}
