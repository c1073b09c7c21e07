//! Published algorithms that copy a model by asking it. The victim is a closure: a row in, a class out.

use rand::Rng;
use rand::seq::IndexedRandom;

/// What asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    /// Rows drawn uniformly (Tramèr et al., "Stealing machine learning models via prediction APIs", USENIX Security 2016).
    RandomUniform,
    /// Bisection of the lines between rows of two classes, for points on the boundary (ibid., section 4.2, after Lowd and Meek).
    LineSearch,
    /// Jacobian-based augmentation of a few rows by a substitute's gradient (Papernot et al., "Practical black-box
    /// attacks against machine learning", ASIA CCS 2017).
    Jacobian,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::RandomUniform, Self::LineSearch, Self::Jacobian];
}

/// Steps of a bisection.
const HALVINGS: usize = 12;
/// Step of the augmentation, as a share of each number's range.
const LAMBDA: f64 = 0.1;
/// Rounds and rate of the substitute's gradient descent.
const ROUNDS: usize = 60;
const RATE: f64 = 0.5;

/// The queries of one attack in order, at most `budget`. `seeds`: rows the attacker owns; `bounds`: of each number.
pub fn queries(
    attack: Attack,
    seeds: &[Vec<f64>],
    bounds: &[(f64, f64)],
    budget: usize,
    rng: &mut impl Rng,
    mut victim: impl FnMut(&[f64]) -> usize,
) -> Vec<Vec<f64>> {
    let mut sent = Vec::with_capacity(budget);
    match attack {
        Attack::RandomUniform => sent.extend((0..budget).map(|_| uniform(bounds, rng))),
        Attack::LineSearch => line_search(&mut sent, seeds, bounds, budget, rng, &mut victim),
        Attack::Jacobian => jacobian(&mut sent, seeds, bounds, budget, rng, &mut victim),
    }
    sent.truncate(budget);
    sent
}

fn uniform(bounds: &[(f64, f64)], rng: &mut impl Rng) -> Vec<f64> {
    bounds.iter().map(|(low, high)| low + (high - low) * rng.random::<f64>()).collect()
}

fn line_search(
    sent: &mut Vec<Vec<f64>>,
    seeds: &[Vec<f64>],
    bounds: &[(f64, f64)],
    budget: usize,
    rng: &mut impl Rng,
    victim: &mut impl FnMut(&[f64]) -> usize,
) {
    while sent.len() < budget {
        let mut end = || seeds.choose(rng).cloned().unwrap_or_else(|| uniform(bounds, rng));
        let (mut a, mut b) = (end(), end());
        let (of_a, of_b) = (victim(&a), victim(&b));
        sent.extend([a.clone(), b.clone()]);
        if of_a == of_b {
            continue;
        }
        for _ in 0..HALVINGS {
            let middle: Vec<f64> = a.iter().zip(&b).map(|(x, y)| (x + y) / 2.0).collect();
            let side = if victim(&middle) == of_a { &mut a } else { &mut b };
            side.clone_from(&middle);
            sent.push(middle);
        }
    }
}

fn jacobian(
    sent: &mut Vec<Vec<f64>>,
    seeds: &[Vec<f64>],
    bounds: &[(f64, f64)],
    budget: usize,
    rng: &mut impl Rng,
    victim: &mut impl FnMut(&[f64]) -> usize,
) {
    let few = (budget / 8).max(4);
    sent.extend((0..few).map(|_| seeds.choose(rng).cloned().unwrap_or_else(|| uniform(bounds, rng))));
    let mut classes: Vec<usize> = sent.iter().map(|row| victim(row)).collect();
    while sent.len() < budget {
        let substitute = Substitute::fit(sent, &classes, bounds);
        for at in 0..sent.len() {
            let (Some(row), Some(class)) = (sent.get(at), classes.get(at)) else { break };
            let gradient = substitute.gradient(*class);
            let step = row.iter().zip(bounds).zip(gradient).map(|((x, (low, high)), g)| {
                let sign = if g == 0.0 { 0.0 } else { g.signum() };
                (x + LAMBDA * (high - low) * sign).clamp(*low, *high)
            });
            let next: Vec<f64> = step.collect();
            classes.push(victim(&next));
            sent.push(next);
        }
    }
}

/// One linear unit a class, fitted by gradient descent on the logistic loss: what the attacker trains.
struct Substitute {
    weights: Vec<Vec<f64>>,
}

impl Substitute {
    fn fit(rows: &[Vec<f64>], classes: &[usize], bounds: &[(f64, f64)]) -> Self {
        let count = classes.iter().max().map_or(1, |most| most + 1);
        let scale = |x: f64, (low, high): (f64, f64)| if high > low { (x - low) / (high - low) - 0.5 } else { 0.0 };
        let scaled: Vec<Vec<f64>> =
            rows.iter().map(|row| row.iter().zip(bounds).map(|(x, b)| scale(*x, *b)).collect()).collect();
        let one = |class: usize| {
            let mut weights = vec![0.0; bounds.len()];
            for _ in 0..ROUNDS {
                let mut step = vec![0.0; weights.len()];
                for (row, is) in scaled.iter().zip(classes) {
                    let logit: f64 = row.iter().zip(&weights).map(|(x, w)| x * w).sum();
                    let error = f64::from(u8::from(*is == class)) - 1.0 / (1.0 + (-logit).exp());
                    step.iter_mut().zip(row).for_each(|(s, x)| *s += error * x);
                }
                weights.iter_mut().zip(&step).for_each(|(w, s)| *w += RATE * s / scaled.len().max(1) as f64);
            }
            weights
        };
        Self { weights: (0..count).map(one).collect() }
    }

    /// What raises the class's output.
    fn gradient(&self, class: usize) -> impl Iterator<Item = f64> + '_ {
        self.weights.get(class).into_iter().flatten().copied()
    }
}
