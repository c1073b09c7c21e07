//! Several experts, one score. Hijacks that name things (an address, an account, a page) and hijacks that do not look
//! different; one linear model of both would blur each. Every expert is scaled by what honest sessions reach with it,
//! and the most alarmed one speaks.

use crate::features::{Features, Row};
use crate::forest::Forest;
use crate::logistic::Logistic;
use serde::{Deserialize, Serialize};

/// Which expert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Calls that take an address, URL, path or code from a result, not asked for.
    Named,
    /// Any call: whether it does what a passage of a result says.
    Restated,
    /// Any call: how isolated its features are.
    Odd,
}

/// How an expert scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Scorer {
    /// By served against own calls.
    Logistic(Logistic),
    /// By isolation.
    Forest(Forest),
}

/// One expert, scaled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Expert {
    pub(crate) kind: Kind,
    pub(crate) scorer: Scorer,
    pub(crate) scale: Scale,
}

/// What honest sessions reach with an expert.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scale {
    middle: f64,
    high: f64,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Named, Kind::Restated, Kind::Odd];

    /// Whether the expert has anything to say of a row.
    pub(crate) fn speaks(self, row: &Row) -> bool {
        let f = Features::of_row(row);
        match self {
            Kind::Named => f.handles_from_results > 0.0,
            Kind::Restated => true,
            Kind::Odd => true,
        }
    }

    /// Share of honest sessions that may pass 0 on the expert's scale: the weaker its evidence, the fewer.
    fn tail(self) -> f64 {
        match self {
            Kind::Named => 0.01,
            Kind::Restated => 0.01,
            Kind::Odd => 0.002,
        }
    }
}

impl Scale {
    /// From the highest score of each honest session. `None` where there are too few.
    pub(crate) fn of(kind: Kind, mut highest: Vec<f64>) -> Option<Self> {
        highest.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            highest.get(((highest.len() as f64 * share) as usize).min(highest.len().saturating_sub(1))).copied()
        };
        let high = at(1.0 - kind.tail())?;
        // Below the median of what speaks there is nothing to tell apart.
        Some(Self { middle: at(0.5)?, high })
    }

    /// The score in units of the distance between an ordinary session's highest and the tail; 0 at the tail.
    pub(crate) fn apply(&self, score: f64) -> f64 {
        (score - self.high) / (self.high - self.middle).max(0.25)
    }
}

impl Scorer {
    pub(crate) fn raw(&self, row: &Row) -> f64 {
        match self {
            Scorer::Logistic(model) => model.logit(row),
            Scorer::Forest(forest) => FOREST_LOGITS * forest.score(row),
        }
    }

    /// What each feature adds, counted from its usual value.
    pub(crate) fn parts(&self, row: &Row) -> Vec<f64> {
        match self {
            Scorer::Logistic(model) => model.parts(row).collect(),
            Scorer::Forest(forest) => forest.attribution(ndarray::ArrayView1::from(row)),
        }
    }
}

/// Isolation scores span about a tenth: this brings them to the span of logits.
const FOREST_LOGITS: f64 = 40.0;

/// The most alarmed expert's score of a row, and which it is; a row nobody speaks of scores lowest.
pub(crate) fn score<'e>(experts: &'e [Expert], row: &Row) -> (f64, Option<&'e Expert>) {
    let spoken = experts.iter().filter(|e| e.kind.speaks(row)).map(|e| (e.scale.apply(e.scorer.raw(row)), Some(e)));
    spoken.fold((SILENCE, None), |best, next| if next.0 > best.0 { next } else { best })
}

/// Score of a row that no expert speaks of.
const SILENCE: f64 = -20.0;
