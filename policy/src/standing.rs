//! What is known of a session from call to call, and the law by which it recovers.
//!
//! **The recovery law.** A session's standing risk is the highest risk of its calls, each halved for every
//! [`STANDING_HALF_LIFE_MS`] since that call. Nothing else enters: not what was decided, not how often. So
//!
//! - a refusal adds nothing, and a retry of a refused call adds no more than the call itself did: no lock-out spiral;
//! - being quiet and going on with ordinary work lower the risk alike: staying active does not keep it up;
//! - with a score in time, an ordinary call of a session with any past is decided as an ordinary call.
//!
//! `tests/recovery.rs` lets ten thousand random sequences look for a breach.

use crate::limits::STANDING_HALF_LIFE_MS;
use schema::limits::STANDING_TOOLS_MAX;
use schema::{Budgets, Call, Millis, RECORD_VERSION, Risk, Session, Standing, Verdict};

/// What is known of a session after `call`, whatever was decided about it.
pub fn stand(before: Option<&Standing>, call: &Call, verdict: &Verdict) -> Standing {
    let used = before.map_or_else(Budgets::default, |b| b.budgets);
    let cost = call.cost.unwrap_or_default();
    let mut last = before.map_or_else(Vec::new, |b| b.last.clone());
    last.push(call.tool.clone());
    last.drain(..last.len().saturating_sub(STANDING_TOOLS_MAX));
    let past = before.map(|b| standing_risk(b, call.at)).filter(|risk| *risk > verdict.risk);
    Standing {
        v: RECORD_VERSION,
        session: call.session.clone(),
        risk: past.unwrap_or(verdict.risk),
        exposed: verdict.exposed || before.is_some_and(|b| b.exposed),
        last,
        budgets: Budgets {
            calls: used.calls.saturating_add(1),
            tokens: used.tokens.saturating_add(cost.tokens),
            bytes: used.bytes.saturating_add(call.result_bytes.unwrap_or(0)),
            milliunits: used.milliunits.saturating_add((cost.units * 1_000.0).max(0.0) as u64),
        },
        // A late record does not take the clock back, and so lowers nothing twice.
        at: before.map_or(call.at, |b| b.at.max(call.at)),
    }
}

/// What is known of a session that another one started: it answers for the other's risk and exposure, and spends from
/// the other's budget beside its own. A hijacked agent gains nothing by handing its work to a fresh one.
pub fn inherit(own: Option<&Standing>, parent: &Standing, session: &Session) -> Standing {
    let at = own.map_or(parent.at, |own| own.at.max(parent.at));
    let inherited = standing_risk(parent, at);
    let risk = own.map(|own| standing_risk(own, at)).filter(|own| *own > inherited).unwrap_or(inherited);
    let (mine, theirs) = (own.map(|own| own.budgets).unwrap_or_default(), parent.budgets);
    Standing {
        v: RECORD_VERSION,
        session: session.clone(),
        risk,
        exposed: parent.exposed || own.is_some_and(|own| own.exposed),
        last: own.map(|own| own.last.clone()).unwrap_or_default(),
        budgets: Budgets {
            calls: mine.calls.saturating_add(theirs.calls),
            tokens: mine.tokens.saturating_add(theirs.tokens),
            bytes: mine.bytes.saturating_add(theirs.bytes),
            milliunits: mine.milliunits.saturating_add(theirs.milliunits),
        },
        at,
    }
}

/// A session's standing risk at `now`, later than its last call: halved for every [`STANDING_HALF_LIFE_MS`] since.
pub fn standing_risk(standing: &Standing, now: Millis) -> Risk {
    let quiet = now.since(standing.at) as f64 / STANDING_HALF_LIFE_MS as f64;
    // libm, not std: the same bits on every platform, so that old decisions can be derived again.
    Risk::clamped(standing.risk.get() * libm::exp2(-quiet))
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_session_that_another_started_answers_for_it_and_spends_with_it() {
        let mut parent = standing(0.8);
        (parent.exposed, parent.budgets.calls) = (true, 9);
        let child = Session::new("s-2").unwrap();
        let first = inherit(None, &parent, &child);
        assert_eq!((first.risk.get(), first.exposed, first.budgets.calls), (0.8, true, 9));
        // Ten minutes on, the child's own call was the riskier one.
        let mut own = standing(0.5);
        (own.at, own.budgets.calls) = (Millis(601_000), 2);
        let later = inherit(Some(&own), &parent, &child);
        assert_eq!((later.risk.get(), later.budgets.calls, later.at), (0.5, 11, Millis(601_000)));
    }
}
