//! Logistic regression over standardised features: fitted by linfa, applied by plain loops.

use linfa::prelude::*;
use linfa_logistic::LogisticRegression;
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

impl Logistic {
    /// Fits on rows of equal length. `None` when one class is missing or the solver fails.
    ///
    /// `ridge`: L2 penalty on the standardised weights. `signs`, one a feature: a feature that would speak against its
    /// sign is left out and the rest fitted again, so that no weight rests on a quirk of the training rows.
    pub(crate) fn fit(rows: &[(Vec<f64>, bool)], ridge: f64, signs: &[i8]) -> Option<Self> {
        let mut active: Vec<bool> = signs.iter().map(|sign| *sign != 0).collect();
        loop {
            let fitted = Self::fit_active(rows, ridge, &active)?;
            let mut dropped = false;
            for ((weight, sign), active) in fitted.weights.iter().zip(signs).zip(&mut active) {
                if *active && weight * f64::from(*sign) < 0.0 {
                    (*active, dropped) = (false, true);
                }
            }
            if !dropped {
                return Some(fitted);
            }
        }
    }

    fn fit_active(rows: &[(Vec<f64>, bool)], ridge: f64, active: &[bool]) -> Option<Self> {
        let width = rows.first()?.0.len();
        let n = rows.len() as f64;
        let column = |at: usize| rows.iter().map(move |(row, _)| row.get(at).copied().unwrap_or(0.0));
        let means: Vec<f64> = (0..width).map(|at| column(at).sum::<f64>() / n).collect();
        let deviations: Vec<f64> = means
            .iter()
            .enumerate()
            .map(|(at, mean)| (column(at).map(|x| (x - mean) * (x - mean)).sum::<f64>() / n).sqrt())
            .zip(active)
            .map(|(deviation, active)| if *active && deviation > 1e-9 { deviation } else { f64::INFINITY })
            .collect();
        let standard = Array2::from_shape_fn((rows.len(), width), |(row, at)| {
            let x = rows.get(row).and_then(|(r, _)| r.get(at)).copied().unwrap_or(0.0);
            (x - means.get(at).copied().unwrap_or(0.0)) / deviations.get(at).copied().unwrap_or(f64::INFINITY)
        });
        let targets = Array1::from_iter(rows.iter().map(|(_, positive)| *positive));
        if targets.iter().all(|t| *t) || !targets.iter().any(|t| *t) {
            return None;
        }
        let fitted = LogisticRegression::default()
            .alpha(ridge)
            .max_iterations(150)
            .gradient_tolerance(1e-3)
            .fit(&Dataset::new(standard, targets))
            .ok()?;
        let sign = if fitted.labels().pos.class { 1.0 } else { -1.0 };
        let weights: Vec<f64> =
            fitted.params().iter().zip(&deviations).map(|(w, deviation)| sign * w / deviation).collect();
        let bias = sign * fitted.intercept() - weights.iter().zip(&means).map(|(w, mean)| w * mean).sum::<f64>();
        (bias.is_finite() && weights.iter().all(|w| w.is_finite())).then_some(Self { bias, weights, means })
    }

    /// Logit of a row.
    pub(crate) fn logit(&self, row: &[f64]) -> f64 {
        self.weights.iter().zip(row).fold(self.bias, |sum, (weight, x)| sum + weight * x)
    }

    /// Weights of the raw features, in logits a unit.
    pub(crate) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// What each feature adds to the logit, counted from its usual value.
    pub(crate) fn parts<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        self.weights.iter().zip(row).zip(&self.means).map(|((weight, x), mean)| weight * (x - mean))
    }
}
