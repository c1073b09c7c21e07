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
    /// Where the last queries lie together.
    around: Around,
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
    /// How far it is one of many around a point that is as honest queries are, from 0 to 1.
    pub(super) around: f64,
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

/// Where a client's last queries lie together. Explainers draw theirs around one row: each is strange, their middle is as
/// honest queries are (Ribeiro et al. 2016: LIME). The middle of queries drawn from all over the space, from foreign data or
/// around many rows is either that of all honest queries or one that no honest query has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Around {
    /// Mean offset of the last ones, and of all.
    lately: Vec<f32>,
    ever: Vec<f32>,
    /// Mean squared length of the last ones' offsets.
    squared: f64,
    /// Share of a single offset's variance that is left in `lately`.
    left: f64,
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

/// Weight of the newest query in where the last ones lie.
const AROUND_LATELY: f64 = 1.0 / 32.0;
/// Queries from which a point that lies like all honest queries' mean is told from one that a query could have.
const AROUND_FROM: u32 = 8;
/// A point's squared distance from that mean, as a share of the middle honest query's, from which it begins to be such a point,
/// and from which it is one.
const APART: [f64; 2] = [0.2, 0.35];
/// Times the squared distance of most honest queries at which it is none any more.
const BEYOND: f64 = 1.5;
/// Queries around one point that explain it; who goes on and on there wants more than that.
const ONE_POINT_MAX: u32 = 256;
/// Share of a point's squared distance by which the mean of all queries lies elsewhere if there were other points before.
const MOVED: f64 = 0.25;

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
        let around = self.around.take(&placed.offset, space.offsets);
        Some((Step { weight, repeated, around, far: placed.far, closing: self.closing_run >= RUN }, placed))
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

impl Around {
    /// Takes in where one query lies, and says how far the last ones lie around a point like an honest query. `usual` are squared
    /// distances of honest queries from their mean: the middle one, and that of most.
    fn take(&mut self, offset: &Vector, usual: [f64; 2]) -> f64 {
        self.queries = self.queries.saturating_add(1);
        let each = 1.0 / f64::from(self.queries);
        let rate = AROUND_LATELY.max(each);
        approach(&mut self.lately, offset, rate);
        approach(&mut self.ever, offset, each);
        self.squared += (offset.squared() - self.squared) * rate;
        self.left = (1.0 - rate) * (1.0 - rate) * self.left + rate * rate;
        if self.queries < 2 {
            return 0.0;
        }
        let mean: f64 = self.lately.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        // Without what chance leaves of offsets that cancel each other out.
        let apart = mean - (self.squared - mean) * self.left / (1.0 - self.left);
        let moved: f64 = self.lately.iter().zip(&self.ever).map(|(a, b)| f64::from(a - b) * f64::from(a - b)).sum();
        if self.queries > ONE_POINT_MAX && moved < MOVED * mean {
            return 0.0;
        }
        let [middle, most] = usual;
        let [from, all] = APART.map(|share| share * middle);
        let far_enough = if self.queries < AROUND_FROM { 1.0 } else { ratio(apart - from, all - from) };
        let near_enough = ratio(BEYOND * most - apart, (BEYOND - 1.0) * most);
        far_enough.min(near_enough).clamp(0.0, 1.0)
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    part / whole.max(f64::MIN_POSITIVE)
}

fn approach(mean: &mut Vec<f32>, to: &Vector, rate: f64) {
    mean.resize(to.dims(), 0.0);
    mean.iter_mut().zip(to.iter()).for_each(|(mean, x)| *mean += ((x - f64::from(*mean)) * rate) as f32);
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
