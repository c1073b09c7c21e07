//! From a walk to a score: how improbable an honest client's own queries would be.

use super::walk::{STEPS_MAX, Step, Sums, Varied, Walk};
use crate::conformal::Calibration;
use serde::{Deserialize, Serialize};

/// What honest clients of an API show, learned on clients whose queries are no prototypes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Judge {
    /// Of the log distance ratios, plain and whitened.
    pub(super) distances: [Spread; 2],
    /// Share of a query's cells that honest queries repeat by chance.
    pub(super) repeated: f64,
    /// Of each statistic's highest value in a client's life.
    pub(super) statistics: [Level; STATISTICS],
    /// The same of identities that go together.
    pub(super) links: Level,
    /// Of the highest score in a client's life.
    pub(super) calibration: Calibration,
}

/// How one distance of honest queries varies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Spread {
    pub(super) middle: f64,
    pub(super) deviation: f64,
    /// Weighted mean, in deviations, over long honest lives: not 0, as regions asked often weigh less.
    pub(super) centre: f64,
    /// Variance of clients' own means, in squared deviations: honest clients differ, and more queries do not undo it.
    pub(super) between: f64,
}

/// Where a statistic's highest value lies in honest lives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Level {
    pub(super) middle: f64,
    pub(super) high: f64,
}

/// Names of the statistics: content nobody honest sends; steps off what honest queries vary in; bisection.
pub(super) const NAMES: [&str; STATISTICS] = ["queries_unlike_honest", "queries_off_manifold", "boundary_search"];
pub(super) const STATISTICS: usize = 3;

/// Windows in distinct queries, besides all of them.
const WINDOWS: [usize; 3] = [30, 60, STEPS_MAX];
/// Queries' worth of doubt that a client starts with: a handful of strange queries is a mistake, not a copy.
const DOUBT: f64 = 300.0;
/// Deviations that one query may add: how many queries are strange says more than how strange one is.
const MOST: f64 = 1.5;
/// A statistic below this never counts: it is a dozen regions of strange queries, and honest clients have an odd day.
const STRANGE: f64 = 2.0;
/// Share of a level below which a statistic says nothing at all: a client that probes on purpose for a while is not ranked
/// above others for it.
const AUDIBLE: f64 = 0.75;
/// Share of the cells left over by chance from which a query that repeats them is a variation altogether.
const VARIATION: f64 = 0.3;
/// Share of variations among the last queries from which those between them count less, and from which hardly.
const EXPLAINING: [f64; 2] = [0.2, 0.8];
/// What a variation weighs at least: who asks by variations alone is slow, not unseen.
const VARIATION_WEIGHS: f64 = 0.02;
/// Mean deviations from which an identity is linked to others, as a share of the most.
const LINKED_FROM: f64 = 0.6;
/// Queries' weight that such a mean rests on at least.
const LINKED_WEIGHT: f64 = 6.0;
/// Closing steps in a window that are none: rounding noise closes in by chance.
const CLOSING_FREE: f64 = 4.0;

impl Judge {
    /// The step with its distances in deviations of honest ones, clipped so that one query decides nothing.
    pub(super) fn standardise(&self, step: Step) -> Step {
        let [a, b] = self.distances;
        let [x, y] = step.far;
        Step { far: [a.of(x), b.of(y)], ..step }
    }

    /// The step, weighing less as far as it and those before it are variations.
    pub(super) fn weigh(&self, step: Step, before: &mut Varied) -> Step {
        let beyond = (step.repeated - self.repeated) / (1.0 - self.repeated).max(1e-3);
        let varied = (beyond / VARIATION).clamp(0.0, 1.0);
        let [some, all] = EXPLAINING;
        let lately = ((before.take(varied) - some) / (all - some)).clamp(0.0, 1.0);
        let own = (1.0 - varied) * (1.0 - lately) * (1.0 - step.around);
        Step { weight: step.weight * (own * own).max(VARIATION_WEIGHS), ..step }
    }

    /// What several walks together come to, in deviations: as [`Judge::statistics`] of all their queries, each with its
    /// client's own variance. `squared` is the sum of the squares of each walk's weight.
    pub(super) fn together(&self, sums: &Sums, squared: f64) -> f64 {
        let each = sums.far.iter().zip(&self.distances);
        let each = each.map(|(far, spread)| far / (DOUBT + sums.weight2 + squared * spread.between).sqrt());
        each.fold(f64::NEG_INFINITY, f64::max)
    }

    /// Whether a walk is strange enough by itself, and for long enough, to be linked to others.
    pub(super) fn links(&self, sums: &Sums) -> bool {
        let most = sums.far.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        sums.weight >= LINKED_WEIGHT && most >= LINKED_FROM * MOST * sums.weight
    }

    /// The statistics of a walk now.
    ///
    /// Distances: a weighted mean over each window in its standard deviations, with the variance between clients
    /// (random effects: Laird and Ware, Biometrics 38, 1982); the largest over the windows.
    pub(super) fn statistics(&self, walk: &Walk) -> [f64; STATISTICS] {
        let mut most = [f64::NEG_INFINITY; 2];
        let windows = WINDOWS.map(|window| walk.last(window));
        for sums in windows.iter().chain([&walk.all]) {
            for ((most, sum), spread) in most.iter_mut().zip(sums.far).zip(&self.distances) {
                *most = most.max(deviations(sum, sums, spread.between));
            }
        }
        let [plain, whitened] = most;
        let [_, _, longest] = windows;
        [plain, whitened, longest.closing]
    }

    /// Whether any of the statistics says anything.
    pub(super) fn hears(&self, statistics: [f64; STATISTICS]) -> bool {
        self.statistics.iter().zip(statistics).any(|(level, value)| level.hears(value))
    }

    /// The score and each statistic's part of it: above 0 is beyond what 99 % of honest clients ever reach.
    pub(super) fn score(&self, statistics: [f64; STATISTICS]) -> (f64, [f64; STATISTICS]) {
        let mut parts = [0.0; STATISTICS];
        for ((part, level), value) in parts.iter_mut().zip(&self.statistics).zip(statistics) {
            *part = level.of(value);
        }
        (parts.iter().copied().fold(f64::NEG_INFINITY, f64::max), parts)
    }
}

impl Spread {
    fn of(&self, log_ratio: f64) -> f64 {
        ((log_ratio - self.middle) / self.deviation).clamp(-MOST, MOST) - self.centre
    }
}

impl Level {
    /// The level of a distance statistic, from each honest client's highest.
    pub(super) fn of_distances(highest: &mut [f64]) -> Self {
        let (middle, high) = quantiles(highest);
        Self { middle, high: high.max(STRANGE) }
    }

    /// The level of the closing steps: honest clients hardly have any, so it may not sink to none.
    pub(super) fn of_closing(highest: &mut [f64]) -> Self {
        let (middle, high) = quantiles(highest);
        Self { middle, high: high.max(middle + CLOSING_FREE) }
    }

    /// How far a value is beyond what 99 % of honest clients ever reach, in steps from their middle to there.
    pub(super) fn of(&self, value: f64) -> f64 {
        (value.max(AUDIBLE * self.high) - self.high) / (self.high - self.middle).max(1e-3)
    }

    /// Whether it says anything.
    pub(super) fn hears(&self, value: f64) -> bool {
        value > AUDIBLE * self.high
    }
}

fn deviations(sum: f64, sums: &Sums, between: f64) -> f64 {
    sum / (DOUBT + sums.weight2 + sums.weight * sums.weight * between).sqrt()
}

fn quantiles(values: &mut [f64]) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| values.get((values.len() as f64 * share) as usize).or(values.last()).copied().unwrap_or(0.0);
    (at(0.5), at(0.99))
}
