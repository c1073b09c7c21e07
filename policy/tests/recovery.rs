//! The recovery law: no sequence of calls, refusals and retries locks an honest session out.

use crate::common::{NOW, call, verdict};
use policy::{PolicySet, Request, decide, stand, standing_risk};
use proptest::prelude::*;
use schema::*;
use serde_json::json;
use std::sync::LazyLock;

static POLICIES: LazyLock<PolicySet> = LazyLock::new(PolicySet::default);
static CALL: LazyLock<Call> = LazyLock::new(|| call(json!({})));

/// One call of a random past: how long after the last, how unusual, of what kind, whether it read a poisoned text.
type Past = (u64, f64, u8, bool);

fn past() -> impl Strategy<Value = Vec<Past>> {
    prop::collection::vec((0u64..900_000, 0.0f64..=1.0, 0u8..4, any::<bool>()), 1..12)
}

fn pattern(n: u8) -> Pattern {
    [Pattern::None, Pattern::Injection, Pattern::Extraction, Pattern::Abuse][usize::from(n)]
}

/// The session after its past; each refused call is retried `retries` times at once.
fn live(past: &[Past], retries: usize) -> (Standing, Millis) {
    let (mut standing, mut now) = (None, NOW);
    for (gap, p, kind, exposed) in past {
        now = Millis(now.0 + gap);
        let mut call = CALL.clone();
        call.at = now;
        let verdict = verdict(&call, *p, pattern(*kind), *exposed);
        let request = Request::new(&call, &verdict, standing.as_ref());
        // Decisions do not enter a standing: only retries have to know them.
        let refused = retries > 0 && decide(&request, &POLICIES, Mode::Enforce, now).decision == Ladder::Deny;
        for _ in 0..=if refused { retries } else { 0 } {
            standing = Some(stand(standing.as_ref(), &call, &verdict));
        }
    }
    (standing.unwrap(), now)
}

fn ordinary(standing: &Standing, now: Millis, degraded: bool) -> Decision {
    let verdict = verdict(&CALL, 0.5, Pattern::None, false);
    let request = Request::new(&CALL, &verdict, Some(standing)).degraded(degraded);
    decide(&request, &POLICIES, Mode::Enforce, now)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn an_ordinary_call_goes_through_whatever_came_before(past in past()) {
        let (standing, now) = live(&past, 0);
        let decision = ordinary(&standing, now, false);
        prop_assert_eq!(decision.decision, Ladder::Allow, "{:?}", decision);
    }

    #[test]
    fn retries_of_refused_calls_add_no_risk(past in past()) {
        prop_assert_eq!(live(&past, 0).0.risk, live(&past, 5).0.risk);
    }

    #[test]
    fn two_quiet_hours_leave_nothing_that_would_hold_a_call_up_for_its_risk(past in past()) {
        let (standing, now) = live(&past, 0);
        let later = Millis(now.0 + 7_200_000);
        prop_assert!(standing_risk(&standing, later).get() < 0.001);
        let decision = ordinary(&Standing { exposed: false, ..standing }, later, true);
        prop_assert_eq!(decision.decision, Ladder::Allow, "{:?}", decision);
    }

    #[test]
    fn ordinary_work_lowers_a_risk_as_being_quiet_does(past in past(), calls in 1usize..30) {
        let (busy, now) = live(&past, 0);
        let (quiet, mut busy, mut at) = (busy.clone(), busy, now);
        for _ in 0..calls {
            at = Millis(at.0 + 60_000);
            let call = Call { at, ..CALL.clone() };
            // The least unusual call there is: it brings no risk of its own.
            busy = stand(Some(&busy), &call, &verdict(&call, 1.0, Pattern::None, false));
        }
        prop_assert!((standing_risk(&busy, at).get() - standing_risk(&quiet, at).get()).abs() < 1e-9);
    }
}
