//! What is kept of one principal's queries to one API, and what each new distinct query adds to it.

use super::sketch::{Vector, distance2};
use super::space::{Placed, Space};
use schema::QuerySketch;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Queries of one principal to one API, bounded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Walk {
    /// Fingerprints of the last distinct queries, oldest first.
    seen: VecDeque<u64>,
    /// One query each of the last regions, least lately visited first, with how many fell there after it.
    regions: VecDeque<(Vector, u32)>,
    /// The last queries, newest last, and their cells.
    recent: VecDeque<Vector>,
    recent_cells: VecDeque<Vec<u8>>,
    /// Distance of the last query to the one nearest among those before it, over the base.
    last_step: f64,
    /// Queries in a row that closed in.
    closing_run: u32,
    /// How far the last queries were variations of each other.
    pub(super) varied: Varied,
    /// What the last distinct queries added.
    steps: VecDeque<Step>,
    /// Weighted sum of where they lie.
    offset: Vec<f32>,
    /// The same of all of them together.
    pub(super) all: Sums,
    /// Distinct queries so far.
    pub(super) distinct: u64,
}

/// What one distinct query adds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Step {
    /// Weight in (0, 1]: 1 for a query in a region of its own, small where this principal asked much already, and for a
    /// variation of one it asked before.
    pub(super) weight: f64,
    /// Share of its cells that repeat one of the last queries.
    pub(super) repeated: f64,
    /// Log distance ratios to honest queries, plain and whitened.
    pub(super) far: [f64; 2],
    /// Whether it goes on closing in on a point.
    pub(super) closing: bool,
}

/// Share of a client's last queries that were variations: of one row with some of its numbers changed, as explainers, what-if
/// tools and counterfactual searches send. A copier's queries share what chance makes them share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Varied {
    mean: f64,
    queries: u32,
}

/// Weighted sums over queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sums {
    pub(super) weight: f64,
    pub(super) weight2: f64,
    pub(super) far: [f64; 2],
    pub(super) closing: f64,
}

const SEEN_MAX: usize = 256;
const REGIONS_MAX: usize = 64;
const RECENT_MAX: usize = 16;
/// Queries of one region that count in full; all after them together count as their logarithm, so that explaining one
/// honest query a thousand times is not a thousand strange queries.
const FULL_VISITS: f64 = 2.0;
/// Longest window looked at besides all queries.
pub(super) const STEPS_MAX: usize = 100;
/// A step shorter than this share of the one before goes on closing in; bisection halves.
const CLOSING: f64 = 0.75;
/// Queries in a row that must close in before one counts: a sweep over a value passes near its start once.
const RUN: u32 = 2;
/// Only steps shorter than this share of the honest nearest-neighbour distance are looked at: variations of one query,
/// as people and explainers make them, are larger.
const NEAR: f64 = 0.1;

/// A query nearer than this share of the honest nearest-neighbour distance is no variation but a step: halved intervals
/// repeat, too, once rounding makes their ends equal.
const VARIED_FROM: f64 = 0.2;
/// Weight of the newest query in the share of variations.
const VARIED_LATELY: f64 = 1.0 / 16.0;

impl Walk {
    /// What a distinct query adds, and where it lies; `None` for one that was sent before.
    pub(super) fn step(&mut self, sketch: &QuerySketch, space: &Space) -> Option<(Step, Placed)> {
        if self.seen.contains(&sketch.fp) {
            return None;
        }
        push(&mut self.seen, sketch.fp, SEEN_MAX);
        let query = Vector::from(sketch);
        let visits = self.visit(&query, space.region);
        let nearest = self.recent.iter().map(|other| distance2(&query, other)).fold(f32::INFINITY, f32::min);
        let [base, _] = space.base;
        let length = f64::from(nearest).sqrt() / base;
        let closer = self.last_step < NEAR && self.recent.len() > 1 && length < CLOSING * self.last_step;
        self.closing_run = if closer { self.closing_run.saturating_add(1) } else { 0 };
        self.last_step = if length.is_finite() { length } else { f64::MAX };
        let repeated = self.repeated(&query, &sketch.cells, VARIED_FROM * base);
        let placed = space.place(&query);
        push(&mut self.recent, query, RECENT_MAX);
        push(&mut self.recent_cells, sketch.cells.clone(), RECENT_MAX);
        self.distinct += 1;
        let weight = (FULL_VISITS / f64::from(visits)).min(1.0);
        Some((Step { weight, repeated, far: placed.far, closing: self.closing_run >= RUN }, placed))
    }

    /// Keeps a step (weighed and standardised by now) towards `offset`.
    pub(super) fn keep(&mut self, step: Step, offset: &Vector) {
        self.all.add(&step);
        push(&mut self.steps, step, STEPS_MAX);
        self.offset.resize(offset.dims(), 0.0);
        self.offset.iter_mut().zip(offset.iter()).for_each(|(sum, x)| *sum += (step.weight * x) as f32);
    }

    /// Where its queries lie on the whole, as a unit vector; `None` where they lie nowhere in particular.
    pub(super) fn direction(&self) -> Option<Vec<f32>> {
        let length = self.offset.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
        (length > 0.0).then(|| self.offset.iter().map(|x| (f64::from(*x) / length) as f32).collect())
    }

    /// Share of the cells that repeat the one of the last queries that most repeat, if it lies `apart` or further.
    fn repeated(&self, query: &Vector, cells: &[u8], apart: f64) -> f64 {
        let mut most = (0, 0.0);
        for (other, known) in self.recent.iter().zip(&self.recent_cells) {
            let equal = cells.iter().zip(known).filter(|(a, b)| a == b).count();
            if equal > 0 && equal >= most.0 {
                most = (equal, f64::from(distance2(query, other)).sqrt());
            }
        }
        let (equal, far) = most;
        if far >= apart { equal as f64 / cells.len().max(1) as f64 } else { 0.0 }
    }

    /// The sums over the last `window` distinct queries.
    pub(super) fn last(&self, window: usize) -> Sums {
        let mut sums = Sums::default();
        self.steps.iter().rev().take(window).for_each(|step| sums.add(step));
        sums
    }

    /// Things kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.seen.len() + self.regions.len() + self.recent.len() + self.steps.len()
    }

    /// Counts the query in its region, a new one if it is far from all: how many queries that region now has.
    fn visit(&mut self, query: &Vector, region: f64) -> u32 {
        let nearest = self
            .regions
            .iter()
            .enumerate()
            .map(|(at, (centre, _))| (at, distance2(query, centre)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        let found =
            nearest.filter(|(_, d)| f64::from(*d) < region * region).and_then(|(at, _)| self.regions.remove(at));
        let (centre, visits) = found.unwrap_or_else(|| (query.clone(), 0));
        let visits = visits.saturating_add(1);
        push(&mut self.regions, (centre, visits), REGIONS_MAX);
        visits
    }
}

impl Varied {
    /// Takes in how far one query is a variation, and says how far the last ones were.
    pub(super) fn take(&mut self, varied: f64) -> f64 {
        self.queries = self.queries.saturating_add(1);
        self.mean += (varied - self.mean) * VARIED_LATELY.max(1.0 / f64::from(self.queries));
        self.mean
    }
}

impl Sums {
    /// Those of two walks together.
    pub(super) fn join(&mut self, other: &Self) {
        self.weight += other.weight;
        self.weight2 += other.weight2;
        self.far.iter_mut().zip(other.far).for_each(|(sum, far)| *sum += far);
    }

    fn add(&mut self, step: &Step) {
        self.weight += step.weight;
        self.weight2 += step.weight * step.weight;
        self.far.iter_mut().zip(step.far).for_each(|(sum, far)| *sum += step.weight * far);
        self.closing += f64::from(u8::from(step.closing));
    }
}

fn push<T>(queue: &mut VecDeque<T>, item: T, most: usize) {
    if queue.len() >= most {
        queue.pop_front();
    }
    queue.push_back(item);
}
