//! What is kept of one principal's queries to one API, and what each new distinct query adds to it.

use super::sketch::{Vector, distance2};
use super::space::Space;
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
    /// The last queries, newest last.
    recent: VecDeque<Vector>,
    /// Distance of the last query to the one nearest among those before it, over the base.
    last_step: f64,
    /// Queries in a row that closed in.
    closing_run: u32,
    /// What the last distinct queries added.
    steps: VecDeque<Step>,
    /// The same of all of them together.
    pub(super) all: Sums,
    /// Distinct queries so far.
    pub(super) distinct: u64,
}

/// What one distinct query adds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Step {
    /// Weight in (0, 1]: 1 for a query in a region of its own, small where this principal asked much already.
    pub(super) weight: f64,
    /// Log distance ratios to honest queries, plain and whitened.
    pub(super) far: [f64; 2],
    /// Whether it goes on closing in on a point.
    pub(super) closing: bool,
}

/// Weighted sums over queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Sums {
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

impl Walk {
    /// What a distinct query adds; `None` for one that was sent before.
    pub(super) fn step(&mut self, fp: u64, query: Vector, space: &Space) -> Option<Step> {
        if self.seen.contains(&fp) {
            return None;
        }
        push(&mut self.seen, fp, SEEN_MAX);
        let visits = self.visit(&query, space.region);
        let nearest = self.recent.iter().map(|other| distance2(&query, other)).fold(f32::INFINITY, f32::min);
        let [base, _] = space.base;
        let length = f64::from(nearest).sqrt() / base;
        let closer = self.last_step < NEAR && self.recent.len() > 1 && length < CLOSING * self.last_step;
        self.closing_run = if closer { self.closing_run.saturating_add(1) } else { 0 };
        self.last_step = if length.is_finite() { length } else { f64::MAX };
        let far = space.distances(&query);
        push(&mut self.recent, query, RECENT_MAX);
        self.distinct += 1;
        Some(Step { weight: (FULL_VISITS / f64::from(visits)).min(1.0), far, closing: self.closing_run >= RUN })
    }

    /// Keeps a step (its distances standardised by now).
    pub(super) fn keep(&mut self, step: Step) {
        self.all.add(&step);
        push(&mut self.steps, step, STEPS_MAX);
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

impl Sums {
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
