//! The model an extraction is tried on: a random forest that learned what the API answered to honest clients. So the
//! attacks need no API, and what they ask depends on answers that are near the real ones.

use smartcore::ensemble::random_forest_classifier::{RandomForestClassifier, RandomForestClassifierParameters};
use smartcore::linalg::basic::matrix::DenseMatrix;
use std::collections::BTreeMap;

/// A classifier of rows.
pub struct Victim {
    forest: RandomForestClassifier<f64, u32, DenseMatrix<f64>, Vec<u32>>,
    /// Lowest and highest of each number in what it learned from.
    pub bounds: Vec<(f64, f64)>,
}

/// Rows learned from at most, and trees.
const ROWS_MAX: usize = 3_000;
const TREES: u16 = 30;

impl Victim {
    /// From rows and what the API said of each. None where the rows are of different lengths, fewer than ten, or all of
    /// one class.
    pub fn learn<'r>(rows: impl Iterator<Item = (&'r [f64], &'r str)>, seed: u64) -> Option<Self> {
        let (mut x, mut y, mut classes): (Vec<Vec<f64>>, Vec<u32>, BTreeMap<&str, u32>) = Default::default();
        for (row, class) in rows.take(ROWS_MAX) {
            let next = u32::try_from(classes.len()).ok()?;
            y.push(*classes.entry(class).or_insert(next));
            x.push(row.to_vec());
        }
        let width = x.first()?.len();
        if x.len() < 10 || classes.len() < 2 || width == 0 || x.iter().any(|row| row.len() != width) {
            return None;
        }
        let column = |at: usize| x.iter().filter_map(move |row| row.get(at).copied());
        let bounds = (0..width)
            .map(|at| column(at).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v))))
            .collect();
        let parameters = RandomForestClassifierParameters::default().with_n_trees(TREES).with_seed(seed);
        let forest = RandomForestClassifier::fit(&DenseMatrix::from_2d_vec(&x).ok()?, &y, parameters).ok()?;
        Some(Self { forest, bounds })
    }

    /// The class of a row.
    pub fn answer(&self, row: &[f64]) -> usize {
        let one = DenseMatrix::from_2d_vec(&vec![row.to_vec()]);
        let said = one.ok().and_then(|one| self.forest.predict(&one).ok()).and_then(|said| said.first().copied());
        said.map_or(0, |class| class as usize)
    }
}
