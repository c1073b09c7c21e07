//! From a question to its decision: score within the deadline, else fall back; then ask the policies.

use super::state::{AppState, now};
use crate::answer::word;
use crate::{Certificate, Circumstances, Fallback, PolicySet, Request, Scored, ScorerError, decide, fall_back};
use futures_util::FutureExt as _;
use metrics::{counter, histogram};
use schema::{CallId, Decision, Ladder, Millis, Mode, PolicyId, RawCall};
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
    /// Tokens of who stands behind the call, outermost first, blanks or commas between.
    pub delegation: Option<&'a str>,
    /// The device's certificate.
    pub certificate: Certificate,
}

impl Question<'_> {
    /// About `raw`, and nothing else is known.
    pub fn of(raw: RawCall, door: &'static str) -> Self {
        Self { raw, door, route: None, within: None, delegation: None, certificate: Certificate::default() }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Judged {
    /// What is done.
    pub decision: Decision,
    /// What it rests on; nothing when no score came in time.
    pub scored: Option<Arc<Scored>>,
    /// Pace, mission and the like, as the policies saw them.
    pub circumstances: Circumstances,
    /// When it was decided.
    pub at: Millis,
    /// The scorer failed, rather than being late: a door that can report our failure as such does so.
    pub own_failure: bool,
}

/// A decision for the log, with what it rests on.
#[derive(Debug, Clone)]
pub struct Logged {
    /// The decision.
    pub decision: Decision,
    /// Call, verdict and standing, as the policies saw them.
    pub scored: Option<Arc<Scored>>,
    /// Pace, mission and the like, as the policies saw them.
    pub circumstances: Circumstances,
    /// When it was decided.
    pub at: Millis,
    /// The door.
    pub door: &'static str,
    /// The gateway's route.
    pub route: Option<String>,
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
        let (door, route) = (question.door, question.route);
        let judged = self.judge_now(question).await;
        histogram!("vedette_policy_decide_seconds", "door" => door).record(started.elapsed().as_secs_f64());
        match &judged {
            Ok(judged) => {
                count(door, &judged.decision);
                self.log(judged, door, route);
            }
            Err(Refusal::Full) => {
                counter!("vedette_policy_refused_total", "door" => door, "why" => "full").increment(1)
            }
        }
        judged
    }

    async fn judge_now(&self, question: Question<'_>) -> Result<Judged, Refusal> {
        let Question { mut raw, door, route, within, delegation, certificate } = question;
        let permit = Arc::clone(&self.in_flight).try_acquire_owned().map_err(|_| Refusal::Full)?;
        let (policies, modes) = (self.policies.now(), self.modes.load_full());
        let settings = self.routes.of(route);
        let mode = modes.at(route, Some((raw.tenant.as_str(), raw.agent.as_str())), now());
        let id = raw.id.clone();
        let shown =
            Circumstances { certificate, delegation: self.delegated(&mut raw, delegation), ..Default::default() };
        self.spent(&raw, route);
        if raw.mission.is_none() {
            raw.mission = self.missions.take_text(&raw);
        }
        let raw = Arc::new(raw);
        self.publish(&raw, door);
        let spare = self.standings.as_ref().map(|standings| (Arc::clone(standings), Arc::clone(&raw)));
        let scorer = Arc::clone(&self.scorer);
        let mut score = Box::pin(async move {
            let scored = AssertUnwindSafe(scorer.score(raw)).catch_unwind().await;
            drop(permit);
            scored.unwrap_or_else(|_| Err(ScorerError::Failed("it panicked".to_owned())))
        });
        let (why, own_failure) = match tokio::time::timeout(settings.patience(within), &mut score).await {
            Ok(Ok(scored)) => return Ok(self.decided(scored, shown, &policies, mode)),
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
            let judged = self.decided(scored, shown, &policies, mode);
            return Ok(Judged { own_failure, ..judged });
        }
        Ok(given_up(id, settings.fallback, why, &policies, mode, own_failure))
    }

    fn decided(&self, scored: Arc<Scored>, shown: Circumstances, policies: &PolicySet, mode: Mode) -> Judged {
        let at = now();
        let circumstances = match scored.beside {
            // What a session spends is kept where its calls are, whoever was asked.
            Some(owner) => self.beside_the_owner(owner, &scored, shown, at),
            None => self.circumstances(&scored, shown, at),
        };
        let request = Request::new(&scored.call, &scored.verdict, scored.standing.as_ref())
            .degraded(scored.degraded)
            .under(circumstances);
        let said = decide(&request, policies, mode, at);
        let would = said.would;
        let decision = self.allowlist.load().apply(said, &scored.call, at);
        if decision.would != would {
            counter!("vedette_policy_allowlisted_total").increment(1);
        }
        // What would be stopped teaches nothing, nor does what was answered from less than the whole session.
        if would == Ladder::Allow && !scored.degraded {
            self.forms.learn(&scored.call);
        }
        Judged { decision, scored: Some(scored), circumstances, at, own_failure: false }
    }

    /// What this replica knows of a call that it owns and another one decides about.
    pub fn beside(&self, scored: &Scored) -> Circumstances {
        self.circumstances(scored, Circumstances::default(), now())
    }

    /// What the owner knows, what was `shown` to this door, and what any replica knows as well as another.
    fn beside_the_owner(
        &self,
        owner: Circumstances,
        scored: &Scored,
        shown: Circumstances,
        now: Millis,
    ) -> Circumstances {
        let (_, tenant_milliunits) = self.wallets.spent(&scored.call.tenant, None, now);
        Circumstances {
            delegation: shown.delegation,
            certificate: shown.certificate,
            conformity_permille: self.forms.of(&scored.call),
            tenant_milliunits: owner.tenant_milliunits.max(tenant_milliunits),
            ..owner
        }
    }

    /// What the door knows, beside what was `shown` to it.
    fn circumstances(&self, scored: &Scored, shown: Circumstances, now: Millis) -> Circumstances {
        let used = scored.standing.as_ref().map(|standing| standing.budgets).unwrap_or_default();
        let call = &scored.call;
        let (principal_milliunits, tenant_milliunits) = self.wallets.spent(&call.tenant, call.principal.as_ref(), now);
        Circumstances {
            burst_wait_ms: self.bursts.wait_ms(call, scored.edge, now),
            mission: self.missions.fit(call, used, now),
            conformity_permille: self.forms.of(call),
            principal_milliunits,
            tenant_milliunits,
            ..shown
        }
    }

    /// Adds what a finished call has cost to its principal's and tenant's wallets, and counts what took too long.
    pub(super) fn spent(&self, raw: &RawCall, route: Option<&str>) {
        if let Some(took) = &raw.segments_ms {
            for segment in self.routes.of(route).budgets_ms.breaches(took) {
                counter!("vedette_policy_budget_breaches_total", "segment" => segment).increment(1);
            }
        }
        if let Some(units) = raw.cost.as_ref().and_then(|cost| cost.units) {
            self.wallets.spend(&raw.tenant, raw.principal.as_ref(), units, now());
        }
    }

    fn log(&self, judged: &Judged, door: &'static str, route: Option<&str>) {
        let Some(log) = &self.log else { return };
        let Judged { decision, scored, circumstances, at, .. } = judged.clone();
        let logged = Logged { decision, scored, circumstances, at, door, route: route.map(str::to_owned) };
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
    let decision = fall_back(id, fallback, why, policies, mode);
    Judged { decision, scored: None, circumstances: Circumstances::default(), at: now(), own_failure }
}

fn count(door: &'static str, decision: &Decision) {
    counter!("vedette_policy_decisions_total", "door" => door, "decision" => word(decision.decision),
        "would" => word(decision.would), "degraded" => if decision.degraded { "true" } else { "false" })
    .increment(1);
}
