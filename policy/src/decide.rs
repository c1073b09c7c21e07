//! The decision, pure: same request, policies, mode and time, same answer.

use crate::Request;
use crate::facts::{Asked, FactsError};
use crate::limits::RETRY_AFTER_MS;
use crate::set::{PolicySet, Rule};
use schema::{CallId, Decision, Ladder, Millis, Mode, PolicyId, RECORD_VERSION};

/// Says what happens to the call.
///
/// Policies are asked once. The strictest `forbid` that applies decides; with none, a `permit` that applies lets the
/// call through; with neither it is denied, as Cedar does. While the model is learning a call is throttled at most,
/// unless the policy that speaks says it does not rest on the detector (`@while_learning("binds")`).
pub fn decide(request: &Request<'_>, policies: &PolicySet, mode: Mode, now: Millis) -> Decision {
    let id = request.call.id.clone();
    if mode == Mode::Observe {
        return answer(id, Outcome::default(), policies, mode, request.degraded);
    }
    match outcome(request, policies, now) {
        Ok(outcome) => answer(id, outcome, policies, mode, request.degraded),
        // INVARIANT: a request's facts can always be put (test). Should that break, it is our failure, never a denial.
        Err(_) => answer(id, Outcome::default(), policies, mode, true),
    }
}

/// What the policies say, before the mode has its word.
#[derive(Default)]
struct Outcome {
    would: Ladder,
    reasons: Vec<PolicyId>,
    retry_after_ms: Option<u64>,
    /// A policy could not be evaluated (integer overflow is the one way left after validation).
    broken: bool,
}

fn outcome(request: &Request<'_>, policies: &PolicySet, now: Millis) -> Result<Outcome, FactsError> {
    let response = policies.ask(&Asked::new(request, now))?;
    let mut rules: Vec<&Rule> = response.diagnostics().reason().filter_map(|id| policies.rule_of(id)).collect();
    // Strictest first, then as they stand in the file: the first reason is the one that decided.
    rules.sort_by_key(|rule| (std::cmp::Reverse(rule.ladder), rule.order));
    let allowed = response.decision() == cedar_policy::Decision::Allow;
    let said = if allowed { Ladder::Allow } else { rules.first().map_or(Ladder::Deny, |rule| rule.ladder) };
    let binds = !request.verdict.learning || rules.iter().any(|rule| rule.ladder == said && rule.binds_while_learning);
    let would = if binds { said } else { said.min(Ladder::Throttle) };
    let retry_after_ms = (would == Ladder::Throttle).then(|| {
        let waits = rules.iter().filter_map(|rule| rule.retry_after_ms);
        waits.chain(request.circumstances.wait_ms(would)).max().unwrap_or(RETRY_AFTER_MS)
    });
    let broken = response.diagnostics().errors().next().is_some();
    Ok(Outcome { would, reasons: rules.into_iter().map(|rule| rule.id.clone()).collect(), retry_after_ms, broken })
}

fn answer(id: CallId, outcome: Outcome, policies: &PolicySet, mode: Mode, degraded: bool) -> Decision {
    let decision = if mode == Mode::Enforce { outcome.would } else { Ladder::Allow };
    Decision {
        v: RECORD_VERSION,
        id,
        decision,
        would: outcome.would,
        mode,
        degraded: degraded || outcome.broken,
        reasons: outcome.reasons,
        policy: policies.digest(),
        retry_after_ms: outcome.retry_after_ms.filter(|_| decision == Ladder::Throttle),
    }
}
