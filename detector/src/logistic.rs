//! Sign-constrained logistic regression over standardised features.
//!
//! Each weight may only speak the way its feature is meant to: training rows made by splicing have quirks, and a
//! constraint keeps the model from learning them. It also leaves most weights at exactly zero.
//! Source: Friedman, Hastie, Tibshirani, "Regularization Paths for Generalized Linear Models via Coordinate Descent",
//! J. Stat. Softw. 33(1), 2010 (section 3: Newton step, then coordinate descent), with each coordinate projected.

use crate::strength::sigmoid;
use linfa::dataset::DatasetBase;
use linfa::traits::{Fit, PredictInplace};
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

/// A fitted model, folded back to raw features: `logit = bias + Σ weight × feature`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Logistic {
    bias: f64,
    weights: Vec<f64>,
    /// Means of the training rows, so that shares of evidence are counted from the usual.
    means: Vec<f64>,
}

/// How it is fitted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogisticParams<'s> {
    /// L2 penalty on the standardised weights, in rows.
    pub(crate) ridge: f64,
    /// Allowed sign of each feature's weight: 1, -1, or 0 for a feature that takes no part.
    pub(crate) signs: &'s [i8],
}

/// Why nothing was fitted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogisticError {
    /// Both classes are needed.
    #[error("a logistic model needs rows of both classes")]
    OneClass,
    /// linfa's own.
    #[error(transparent)]
    Linfa(#[from] linfa::Error),
}

const NEWTON_STEPS: usize = 30;
const SWEEPS: usize = 4;
/// A Newton step that moves no standardised weight by more is the last.
const TOLERANCE: f64 = 1e-5;

impl Fit<Array2<f64>, Array1<bool>, LogisticError> for LogisticParams<'_> {
    type Object = Logistic;

    /// The classes weigh alike, however many rows each has.
    fn fit(&self, dataset: &DatasetBase<Array2<f64>, Array1<bool>>) -> Result<Logistic, LogisticError> {
        let (records, targets) = (dataset.records(), dataset.targets());
        let rows = targets.len() as f64;
        let positives = targets.iter().filter(|t| **t).count() as f64;
        if positives == 0.0 || positives == rows {
            return Err(LogisticError::OneClass);
        }
        let weight = |target: bool| rows / 2.0 / if target { positives } else { rows - positives };
        let mut columns = Vec::with_capacity(records.ncols());
        for (column, sign) in records.columns().into_iter().zip(self.signs.iter().chain(std::iter::repeat(&0))) {
            let mean = column.iter().sum::<f64>() / rows;
            let deviation = (column.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / rows).sqrt();
            let taken = *sign != 0 && deviation > 1e-9;
            let values = if taken { column.iter().map(|x| (x - mean) / deviation).collect() } else { Vec::new() };
            columns.push(Column { values, mean, deviation, sign: f64::from(*sign), weight: 0.0 });
        }
        let mut bias = 0.0;
        let mut logits = vec![0.0; targets.len()];
        for _ in 0..NEWTON_STEPS {
            // Quadratic model of the loss at the current logits: curvature and working residual a row.
            let mut curvature = Vec::with_capacity(logits.len());
            let mut residual = Vec::with_capacity(logits.len());
            for (logit, target) in logits.iter().zip(targets) {
                let p = sigmoid(*logit);
                let w = weight(*target);
                let h = (w * p * (1.0 - p)).max(1e-4);
                curvature.push(h);
                residual.push(w * (f64::from(u8::from(*target)) - p) / h);
            }
            let mut moved = 0f64;
            for _ in 0..SWEEPS {
                let step = dot(&curvature, &residual) / curvature.iter().sum::<f64>();
                bias += step;
                residual.iter_mut().for_each(|r| *r -= step);
                moved = moved.max(step.abs());
                for column in columns.iter_mut().filter(|c| !c.values.is_empty()) {
                    let (mut gradient, mut scale) = (-self.ridge * column.weight, self.ridge);
                    for ((x, h), r) in column.values.iter().zip(&curvature).zip(&residual) {
                        gradient += h * x * r;
                        scale += h * x * x;
                    }
                    let free = column.weight + gradient / scale;
                    let next = if free * column.sign > 0.0 { free } else { 0.0 };
                    let step = next - column.weight;
                    if step != 0.0 {
                        column.weight = next;
                        residual.iter_mut().zip(&column.values).for_each(|(r, x)| *r -= step * x);
                        moved = moved.max(step.abs());
                    }
                }
            }
            logits.iter_mut().for_each(|logit| *logit = bias);
            for column in columns.iter().filter(|c| c.weight != 0.0) {
                logits.iter_mut().zip(&column.values).for_each(|(logit, x)| *logit += column.weight * x);
            }
            if moved < TOLERANCE {
                break;
            }
        }
        let weights: Vec<f64> =
            columns.iter().map(|c| if c.weight == 0.0 { 0.0 } else { c.weight / c.deviation }).collect();
        let means: Vec<f64> = columns.iter().map(|c| c.mean).collect();
        let bias = bias - dot(&weights, &means);
        Ok(Logistic { bias, weights, means })
    }
}

struct Column {
    /// Standardised; empty when it takes no part.
    values: Vec<f64>,
    mean: f64,
    deviation: f64,
    sign: f64,
    weight: f64,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl PredictInplace<Array2<f64>, Array1<f64>> for Logistic {
    fn predict_inplace(&self, rows: &Array2<f64>, logits: &mut Array1<f64>) {
        for (row, logit) in rows.rows().into_iter().zip(logits) {
            *logit = self.logit(&row.to_vec());
        }
    }

    fn default_target(&self, rows: &Array2<f64>) -> Array1<f64> {
        Array1::zeros(rows.nrows())
    }
}

impl Logistic {
    /// Logit of a row.
    pub(crate) fn logit(&self, row: &[f64]) -> f64 {
        self.weights.iter().zip(row).fold(self.bias, |sum, (weight, x)| sum + weight * x)
    }

    /// What each feature adds to the logit, counted from its usual value.
    pub(crate) fn parts<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        self.weights.iter().zip(row).zip(&self.means).map(|((weight, x), mean)| weight * (x - mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use linfa::Dataset;

    /// Rows where feature 0 decides, feature 1 copies it with the other sign, feature 2 is noise.
    fn rows() -> Dataset<f64, bool, ndarray::Ix1> {
        let x = Array2::from_shape_fn((200, 3), |(row, at)| match at {
            0 => (row % 10) as f64,
            1 => -((row % 10) as f64) * 3.0,
            _ => ((row * 7919) % 13) as f64,
        });
        let y = Array1::from_shape_fn(200, |row| row % 10 >= 5 || row % 37 == 0);
        Dataset::new(x, y)
    }

    #[test]
    fn the_feature_that_decides_is_found() {
        let model = LogisticParams { ridge: 1.0, signs: &[1, 0, 1] }.fit(&rows()).unwrap();
        assert!(model.logit(&[9.0, 0.0, 6.0]) > 1.0 && model.logit(&[0.0, 0.0, 6.0]) < -1.0, "{model:?}");
    }

    #[test]
    fn no_weight_ever_has_the_other_sign() {
        let model = LogisticParams { ridge: 1.0, signs: &[-1, 1, 0] }.fit(&rows()).unwrap();
        assert_eq!(model.weights, [0.0, 0.0, 0.0]);
    }

    #[test]
    fn one_class_is_refused() {
        let data = Dataset::new(Array2::<f64>::zeros((3, 1)), Array1::from_elem(3, true));
        assert!(matches!(LogisticParams { ridge: 1.0, signs: &[1] }.fit(&data), Err(LogisticError::OneClass)));
    }
}
