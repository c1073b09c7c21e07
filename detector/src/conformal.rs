//! From scores to p-values: how many honest sessions ever look this anomalous.
//!
//! A session's score is the maximum over its calls, so a threshold on it holds at every call alike: the promise is
//! valid whenever one stops looking. Source: Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005,
//! section 2.2 (conformal p-value), 4.5 (Mondrian: classes calibrated apart).

use schema::{PValue, Risk};
use serde::{Deserialize, Serialize};

/// Highest scores of held-out honest sessions, by exposure class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calibration {
    /// Ascending: sessions as they came.
    clean: Vec<f64>,
    /// Ascending: sessions that met planted instructions and did not follow.
    exposed: Vec<f64>,
}

/// What the tail of sessions is taken to look like before any is seen: a share of `AT_ZERO` passes 0, and so much less the
/// higher. The experts' scales put ordinary tails at about one place whatever the traffic is.
fn tail(score: f64, falls: f64) -> f64 {
    (AT_ZERO * libm::exp(-score / falls)).min(1.0)
}

const AT_ZERO: f64 = 0.01;
/// How fast the tail of ordinary sessions falls, and how many sessions that is worth: a few dozen by themselves would make
/// the odd one among them the threshold, and fewer than one in alpha no threshold at all.
const ORDINARY_FALLS: f64 = 0.35;
const ORDINARY_SESSIONS: f64 = 20.0;
/// How much lower than ordinary a tail may be taken to be, however many sessions it is seen in: tasks that are still to come
/// look odder than those held out, of which others like them were learned.
const UNSEEN_TASKS: f64 = 0.17;
/// And how fast theirs falls: below 0 lie whole tasks, not the odd session of one.
const UNSEEN_FALLS: f64 = 0.2;

/// How many times the promised share of exposed sessions may be flagged.
const EXPOSED_SHARE: f64 = 10.0;

impl Calibration {
    /// Takes the highest score of each held-out session of either class.
    pub(crate) fn new(mut clean: Vec<f64>, mut exposed: Vec<f64>) -> Self {
        clean.sort_unstable_by(f64::total_cmp);
        exposed.sort_unstable_by(f64::total_cmp);
        Self { clean, exposed }
    }

    /// Smoothed conformal p-value of a score: a share of sessions, never 0. The promise is to clean sessions; of those that met
    /// instructions and resisted, at most [`EXPOSED_SHARE`] times as many may be flagged.
    pub(crate) fn p_value(&self, score: f64, exposed: bool) -> PValue {
        // Half a session more than was seen counts as above: the middle between what was seen and the next to come (Hazen,
        // Trans. ASCE 77, 1914).
        let p = |sorted: &[f64]| {
            let above = sorted.len() - sorted.partition_point(|s| *s < score);
            let seen = above as f64 + 0.5;
            let ordinary = ORDINARY_SESSIONS * tail(score, ORDINARY_FALLS);
            let share = (seen + ordinary) / (sorted.len() as f64 + ORDINARY_SESSIONS + 0.5);
            let unseen = |falls: f64| tail(score + UNSEEN_TASKS, falls);
            share.max(unseen(ORDINARY_FALLS)).max(unseen(UNSEEN_FALLS))
        };
        let clean = p(&self.clean);
        PValue::clamped(if exposed { clean.max(p(&self.exposed) / EXPOSED_SHARE) } else { clean })
    }

    /// Sessions calibrated on.
    pub(crate) fn len(&self) -> usize {
        self.clean.len()
    }
}

/// A fused score as a risk: 0.5 where about one honest session in a hundred gets, and never saturating. The experts are
/// scaled by honest sessions already, so that risks of two models mean the same.
pub(crate) fn risk(score: f64) -> Risk {
    Risk::clamped(0.5 * (1.0 + score / (1.0 + score.abs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(sessions: usize, score: f64) -> f64 {
        let clean = (0..sessions).map(|n| -1.0 - n as f64 / 100.0).collect();
        Calibration::new(clean, Vec::new()).p_value(score, false).get()
    }

    #[test]
    fn few_sessions_widen_and_do_not_silence() {
        assert!(p(40, 1.5) <= 0.01 && p(5, 1.5) <= 0.02, "{} {}", p(40, 1.5), p(5, 1.5));
        assert!(p(5, 0.0) > p(40, 0.0) && p(40, 0.0) >= p(4_000, 0.0));
        assert!(p(4_000, -0.2) > 0.01 && p(4_000, -0.45) > 0.04, "however calm the sessions were");
        assert!(p(40, -1.0) > 0.01 && p(0, -1.0) > 0.01);
    }

    #[test]
    fn one_odd_session_is_not_the_threshold() {
        let odd = Calibration::new((0..150).map(|n| if n == 0 { 2.0 } else { -1.0 }).collect(), Vec::new());
        assert!(odd.p_value(1.0, false).get() <= 0.01);
        let often = Calibration::new((0..150).map(|n| if n < 4 { 2.0 } else { -1.0 }).collect(), Vec::new());
        assert!(often.p_value(1.0, false).get() > 0.01);
    }

    #[test]
    fn exposed_sessions_raise_the_p_value_alone() {
        let both = Calibration::new(vec![-1.0; 200], vec![0.5; 200]);
        assert!(both.p_value(0.4, true) > both.p_value(0.4, false));
        assert_eq!(both.p_value(-2.0, true), both.p_value(-2.0, false));
    }
}
