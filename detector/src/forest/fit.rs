//! Growing an isolation forest: seeded, so equal rows and seed give equal bits.

use super::{Forest, SAMPLE_MAX, SLOTS, WIDTH_MAX, Walk, mean_path};
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
    /// Rows a tree is grown on (ψ), at most 256.
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
    /// More features than a node can name.
    #[error("a forest splits on at most {WIDTH_MAX} features, got {features}")]
    TooWide {
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
        if width > WIDTH_MAX {
            return Err(ForestError::TooWide { features: width });
        }
        if let Some(row) = rows.rows().into_iter().position(|row| row.iter().any(|x| !x.is_finite())) {
            return Err(ForestError::NotFinite { row });
        }
        let sample = self.sample.clamp(1, count.min(SAMPLE_MAX));
        let height = usize::BITS - (sample - 1).leading_zeros(); // ⌈log2 ψ⌉
        let mut forest = Forest { c: mean_path(sample), width: width as u32, ..Forest::default() };
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        for _ in 0..self.trees {
            let mut chosen = index::sample(&mut rng, count, sample).into_vec();
            let mut tree = Growing { rows, height, nodes: vec![Node::default(); 2 * SLOTS - 1], rng: &mut rng };
            tree.grow(0, 0, &mut chosen);
            let (inner, bottom) = tree.nodes.split_at(SLOTS - 1);
            let spare = [Node::default()];
            forest.features.extend(inner.iter().chain(&spare).map(|node| node.feature));
            forest.thresholds.extend(inner.iter().chain(&spare).map(|node| node.threshold));
            forest.expected.extend(inner.iter().chain(&spare).map(|node| node.length as f32));
            forest.lengths.extend(bottom.iter().map(|node| node.length));
        }
        forest.walk = Walk::of(&forest.features, &forest.thresholds);
        Ok(forest)
    }
}

/// A tree as it grows: inner nodes, then the bottom.
struct Growing<'g, 'r> {
    rows: ArrayView2<'g, f64>,
    /// Levels that this sample may have.
    height: u32,
    nodes: Vec<Node>,
    rng: &'r mut ChaCha8Rng,
}

#[derive(Clone, Copy)]
struct Node {
    feature: u8,
    threshold: f64,
    /// Mean path length of the rows that came through.
    length: f64,
}

impl Default for Node {
    fn default() -> Self {
        Self { feature: 0, threshold: f64::INFINITY, length: 0.0 }
    }
}

impl Growing<'_, '_> {
    /// Grows the subtree at `node`; the sum of its rows' path lengths.
    fn grow(&mut self, node: usize, depth: u32, chosen: &mut [usize]) -> f64 {
        let split = (depth < self.height && chosen.len() > 1).then(|| self.choose(chosen)).flatten();
        let Some((feature, threshold)) = split else {
            let length = f64::from(depth) + mean_path(chosen.len());
            self.end(node, length);
            return length * chosen.len() as f64;
        };
        let value = |row: usize| self.rows.get((row, feature)).copied().unwrap_or(0.0);
        // Partition in place: rows below the split first.
        let mut low = 0;
        for here in 0..chosen.len() {
            if chosen.get(here).is_some_and(|row| value(*row) < threshold) {
                chosen.swap(low, here);
                low += 1;
            }
        }
        let all = chosen.len() as f64;
        let (below, above) = chosen.split_at_mut(low);
        let sum = self.grow(2 * node + 1, depth + 1, below) + self.grow(2 * node + 2, depth + 1, above);
        if let Some(slot) = self.nodes.get_mut(node) {
            *slot = Node { feature: u8::try_from(feature).unwrap_or(0), threshold, length: sum / all };
        }
        sum
    }

    /// The tree ends here: whatever way a row takes further down, its path is this long.
    fn end(&mut self, node: usize, length: f64) {
        let (mut from, mut to) = (node, node + 1);
        while let Some(level) = self.nodes.get_mut(from..to) {
            level.iter_mut().for_each(|node| node.length = length);
            (from, to) = (2 * from + 1, 2 * to + 1);
        }
    }

    /// A feature that varies among the chosen rows, and a point inside its range.
    fn choose(&mut self, chosen: &[usize]) -> Option<(usize, f64)> {
        let range = |feature: usize| {
            chosen
                .iter()
                .filter_map(|row| self.rows.get((*row, feature)))
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(*x), high.max(*x)))
        };
        let features: Vec<(usize, f64, f64)> = (0..self.rows.ncols())
            .map(|f| (f, range(f)))
            .filter(|(_, (low, high))| low < high)
            .map(|(f, (low, high))| (f, low, high))
            .collect();
        let (feature, low, high) = *features.get(self.rng.random_range(0..features.len().max(1)))?;
        let split = low + (high - low) * self.rng.random::<f64>();
        // Rounding may land on the low end, which would leave one side empty.
        Some((feature, if split > low { split } else { high }))
    }
}
