//! From a question to its decision: score within the deadline, else fall back; then ask the policies.

use super::state::{AppState, now};
use crate::answer::word;
use crate::{Fallback, PolicySet, Request, Scored, ScorerError, decide, fall_back};
use futures_util::FutureExt as _;
use metrics::{counter, histogram};
use schema::{CallId, Decision, Mode, PolicyId, RawCall};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a door asks.
#[derive(Debug)]
pub struct Question<'a> {
    /// The call.
    pub raw: RawCall,
    /// The door it came through, for metrics.
    pub door: &'static str,
    /// The gateway's route.
    pub route: Option<&'a str>,
    /// How long the gateway waits.
    pub within: Option<Duration>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Judged {
    /// What is done.
    pub decision: Decision,
    /// What it rests on; nothing when no score came in time.
    pub scored: Option<Scored>,
    /// The scorer failed, rather than being late: a door that can report our failure as such does so.
    pub own_failure: bool,
}

/// A decision for the log, with what it rests on.
#[derive(Debug, Clone)]
pub struct Logged {
    /// The decision.
    pub decision: Decision,
    /// Call, verdict and standing, as the policies saw them.
    pub scored: Option<Scored>,
}

/// Why a question gets no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// As many questions are in hand as may be.
    #[error("too many questions at a time")]
    Full,
}

impl AppState {
    /// Answers `question`, within its deadline.
    ///
    /// Errors: [`Refusal::Full`] when there is more to answer than may be in hand; everything else has a decision.
    pub async fn judge(&self, question: Question<'_>) -> Result<Judged, Refusal> {
        let started = Instant::now();
        let door = question.door;
        let judged = self.judge_now(question).await;
        histogram!("vedette_policy_decide_seconds", "door" => door).record(started.elapsed().as_secs_f64());
        match &judged {
            Ok(Judged { decision, scored, .. }) => {
                count(door, decision);
                self.log(decision, scored.as_ref());
            }
            Err(Refusal::Full) => {
                counter!("vedette_policy_refused_total", "door" => door, "why" => "full").increment(1)
            }
        }
        judged
    }

    async fn judge_now(&self, question: Question<'_>) -> Result<Judged, Refusal> {
        let Question { raw, route, within, .. } = question;
        let permit = Arc::clone(&self.in_flight).try_acquire_owned().map_err(|_| Refusal::Full)?;
        let (policies, modes) = (self.policies.now(), self.modes.load_full());
        let settings = self.routes.of(route);
        let mode = modes.at(route, Some((raw.tenant.as_str(), raw.agent.as_str())), now());
        let id = raw.id.clone();
        let spare = self.standings.as_ref().map(|standings| (Arc::clone(standings), raw.clone()));
        let scorer = Arc::clone(&self.scorer);
        let mut score = Box::pin(async move {
            let scored = AssertUnwindSafe(scorer.score(raw)).catch_unwind().await;
            drop(permit);
            scored.unwrap_or_else(|_| Err(ScorerError::Failed("it panicked".to_owned())))
        });
        let (why, own_failure) = match tokio::time::timeout(settings.deadline(within), &mut score).await {
            Ok(Ok(scored)) => return Ok(self.decided(scored, &policies, mode)),
            Ok(Err(ScorerError::Full)) => return Err(Refusal::Full),
            Ok(Err(ScorerError::Unreachable(_))) => ("fallback:unreachable", false),
            Ok(Err(ScorerError::Failed(error))) => {
                tracing::error!(error, "the scorer failed");
                ("fallback:failure", true)
            }
            Err(_) => {
                // The answer is given up, the call is not: it still counts for its session.
                tokio::spawn(score);
                ("fallback:deadline", false)
            }
        };
        counter!("vedette_policy_fallback_total", "why" => why).increment(1);
        if settings.fallback == Fallback::LastStanding
            && let Some((standings, raw)) = spare
            // A standing is at hand or it is not: one poll decides, so that the deadline holds.
            && let Some(Ok(scored)) = standings.score(raw).now_or_never()
        {
            let judged = self.decided(Scored { degraded: true, ..scored }, &policies, mode);
            return Ok(Judged { own_failure, ..judged });
        }
        Ok(given_up(id, settings.fallback, why, &policies, mode, own_failure))
    }

    fn decided(&self, scored: Scored, policies: &PolicySet, mode: Mode) -> Judged {
        let request = Request::new(&scored.call, &scored.verdict, scored.standing.as_ref()).degraded(scored.degraded);
        let decision = decide(&request, policies, mode, now());
        Judged { decision, scored: Some(scored), own_failure: false }
    }

    fn log(&self, decision: &Decision, scored: Option<&Scored>) {
        let Some(log) = &self.log else { return };
        let logged = Logged { decision: decision.clone(), scored: scored.cloned() };
        if log.try_send(logged).is_err() {
            counter!("vedette_policy_log_dropped_total").increment(1);
        }
    }
}

fn given_up(
    id: CallId,
    fallback: Fallback,
    why: &'static str,
    policies: &PolicySet,
    mode: Mode,
    own_failure: bool,
) -> Judged {
    #[expect(clippy::expect_used, reason = "the three names above are short, printable and not empty")]
    let why = PolicyId::new(why).expect("a fallback's name is a policy id");
    Judged { decision: fall_back(id, fallback, why, policies, mode), scored: None, own_failure }
}

fn count(door: &'static str, decision: &Decision) {
    counter!("vedette_policy_decisions_total", "door" => door, "decision" => word(decision.decision),
        "would" => word(decision.would), "degraded" => if decision.degraded { "true" } else { "false" })
    .increment(1);
}
