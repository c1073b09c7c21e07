//! What a decision rests on: the call, what the detector says of it, what is known of its session.

use crate::limits::STANDING_HALF_LIFE_MS;
use schema::{Call, Millis, Risk, Standing, Verdict};

/// One question. All of it is recorded with the decision, so that the answer can be derived again.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The call, sealed.
    pub call: &'a Call,
    /// What the detector says of it.
    pub verdict: &'a Verdict,
    /// What was known of the session before.
    pub standing: Option<&'a Standing>,
    /// The verdict rests on less than the whole session; its p-value is then not used.
    pub degraded: bool,
}

impl<'a> Request<'a> {
    /// A question with the whole session behind it.
    pub fn new(call: &'a Call, verdict: &'a Verdict, standing: Option<&'a Standing>) -> Self {
        Self { call, verdict, standing, degraded: false }
    }

    /// The same question, answered from less than the whole session.
    #[must_use]
    pub fn degraded(self, degraded: bool) -> Self {
        Self { degraded, ..self }
    }
}

/// A session's standing risk at `now`: the highest so far, halved for every [`STANDING_HALF_LIFE_MS`] without a call.
///
/// This is half of the recovery law. The other half: a refusal adds nothing to it, so a session that was refused and
/// goes on with ordinary calls is judged by those.
pub fn standing_risk(standing: &Standing, now: Millis) -> Risk {
    let quiet = now.since(standing.at) as f64 / STANDING_HALF_LIFE_MS as f64;
    // libm, not std: the same bits on every platform, so that old decisions can be derived again.
    Risk::clamped(standing.risk.get() * libm::exp2(-quiet))
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::{Budgets, Session};

    fn standing(risk: f64) -> Standing {
        let session = Session::new("s-1").unwrap();
        let risk = Risk::new(risk).unwrap();
        Standing { v: 1, session, risk, exposed: false, last: vec![], budgets: Budgets::default(), at: Millis(1_000) }
    }

    #[test]
    fn a_quiet_session_recovers_by_half_every_ten_minutes() {
        let standing = standing(0.8);
        assert_eq!(standing_risk(&standing, Millis(1_000)).get(), 0.8);
        assert_eq!(standing_risk(&standing, Millis(601_000)).get(), 0.4);
        assert_eq!(standing_risk(&standing, Millis(1_801_000)).get(), 0.1);
    }

    #[test]
    fn a_clock_that_stepped_back_does_not_raise_a_risk() {
        assert_eq!(standing_risk(&standing(0.8), Millis(0)).get(), 0.8);
    }
}
