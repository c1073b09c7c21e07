//! A small prediction API: honest clients with schedules of their own, and clients that copy the model by the published
//! algorithms. The model is a nearest-centre classifier, so that no figure depends on a platform's mathematics.

use super::values::Values;
use rand::Rng as _;
use serde_json::{Value, json};

/// Numbers of one query.
const DIMS: usize = 16;
const CLASSES: usize = 5;
const RANGE: f64 = 100.0;

type Row = [f64; DIMS];

/// How a client picks its queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Independent real rows.
    Iid,
    /// Mostly one class.
    Skewed,
    /// The same rows again and again.
    Repeats,
    /// Each row close to the one before.
    Stream,
    /// Uniform over the whole range (Tramèr et al., USENIX Security 2016).
    RandomUniform,
    /// Bisection between rows of two classes (the same paper, section 4.2).
    LineSearch,
    /// Steps away from earlier queries (Jacobian augmentation, Papernot et al., Asia CCS 2017).
    Augmentation,
    /// Rows the model is least sure of (ActiveThief, Pal et al., AAAI 2020).
    Uncertainty,
}

pub(super) const HONEST: [Habit; 4] = [Habit::Iid, Habit::Skewed, Habit::Repeats, Habit::Stream];
pub(super) const COPYING: [Habit; 4] =
    [Habit::RandomUniform, Habit::LineSearch, Habit::Augmentation, Habit::Uncertainty];

impl Habit {
    /// The word for it in labels.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Iid => "iid",
            Self::Skewed => "skewed",
            Self::Repeats => "repeats",
            Self::Stream => "stream",
            Self::RandomUniform => "random_uniform",
            Self::LineSearch => "line_search",
            Self::Augmentation => "papernot_jbda",
            Self::Uncertainty => "al_uncertainty",
        }
    }
}

/// The model behind the API.
pub(super) struct Predictor {
    centres: [Row; CLASSES],
}

impl Predictor {
    pub(super) fn new(v: &mut Values) -> Self {
        Self { centres: std::array::from_fn(|_| std::array::from_fn(|_| v.rng.random_range(20.0..80.0))) }
    }

    /// Class, and how sure, from squared distances to the two nearest centres.
    fn predict(&self, row: &Row) -> (usize, f64) {
        let mut best = (0, f64::MAX);
        let mut second = f64::MAX;
        for (class, centre) in self.centres.iter().enumerate() {
            let distance: f64 = centre.iter().zip(row).map(|(a, b)| (a - b) * (a - b)).sum();
            if distance < best.1 {
                second = best.1;
                best = (class, distance);
            } else if distance < second {
                second = distance;
            }
        }
        (best.0, second / (best.1 + second))
    }

    /// A row as honest data has them: around a centre, in tenths.
    fn natural(&self, v: &mut Values, class: Option<usize>) -> Row {
        let class = class.unwrap_or_else(|| v.rng.random_range(0..CLASSES));
        let centre = self.centres.iter().cycle().nth(class).copied().unwrap_or_default();
        near(v, &centre, 12.0)
    }

    /// The queries of one client.
    pub(super) fn queries(&self, v: &mut Values, habit: Habit, count: usize) -> Vec<Row> {
        let favourite = v.rng.random_range(0..CLASSES);
        let mut rows: Vec<Row> = Vec::with_capacity(count);
        while rows.len() < count {
            let last = rows.last().copied();
            let row = match habit {
                Habit::Iid => self.natural(v, None),
                Habit::Skewed => {
                    let class = v.chance(0.85).then_some(favourite);
                    self.natural(v, class)
                }
                Habit::Repeats if rows.len() >= 12 => v.pick(&rows),
                Habit::Repeats => self.natural(v, None),
                Habit::Stream => match last {
                    Some(last) if !v.chance(0.03) => near(v, &last, 2.0),
                    _ => self.natural(v, None),
                },
                Habit::RandomUniform => std::array::from_fn(|_| tenths(v.rng.random_range(0.0..RANGE))),
                Habit::LineSearch => {
                    self.bisect(v, &mut rows, count);
                    continue;
                }
                Habit::Augmentation if rows.len() < 20 => self.natural(v, None),
                Habit::Augmentation => {
                    let from = v.pick(&rows);
                    let signs: Row = std::array::from_fn(|_| if v.chance(0.5) { 8.0 } else { -8.0 });
                    std::array::from_fn(|d| tenths(at(&from, d) + at(&signs, d)))
                }
                Habit::Uncertainty => {
                    let candidates: Vec<Row> = (0..24).map(|_| self.natural(v, None)).collect();
                    let sure = |row: &Row| self.predict(row).1;
                    candidates.into_iter().min_by(|a, b| sure(a).total_cmp(&sure(b))).unwrap_or_default()
                }
            };
            rows.push(row);
        }
        rows
    }

    /// Halves the way between rows of two classes, ten times.
    fn bisect(&self, v: &mut Values, rows: &mut Vec<Row>, count: usize) {
        let (mut low, mut high) = (self.natural(v, None), self.natural(v, None));
        let class = self.predict(&low).0;
        for _ in 0..10.min(count - rows.len()) {
            let middle: Row =
                std::array::from_fn(|d| (at(&low, d) + at(&high, d)) / 2.0).map(|x| (x * 1e4).round() / 1e4);
            if self.predict(&middle).0 == class {
                low = middle
            } else {
                high = middle
            }
            rows.push(middle);
        }
    }

    /// Arguments and answer of one query.
    pub(super) fn answer(&self, row: &Row) -> (Value, Value) {
        let (label, sure) = self.predict(row);
        (json!({ "x": row }), json!({ "label": label, "confidence": (sure * 1e4).round() / 1e4 }))
    }
}

fn at(row: &Row, d: usize) -> f64 {
    row.get(d).copied().unwrap_or_default()
}

/// A row near `centre`: the sum of two uniform steps of `spread` each way.
fn near(v: &mut Values, centre: &Row, spread: f64) -> Row {
    centre.map(|x| tenths(x + v.rng.random_range(-spread..spread) + v.rng.random_range(-spread..spread)))
}

fn tenths(x: f64) -> f64 {
    (x.clamp(0.0, RANGE) * 10.0).round() / 10.0
}
