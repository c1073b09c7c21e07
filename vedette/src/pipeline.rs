//! The path, in order: `call → features → scores → verdict → decision → sinks`. Every command and every test takes it.

use crate::decoders::Decoders;
use crate::gaps::Gaps;
use crate::sightings::{Observed, Sightings};
use crate::states::{Bounded, PrincipalKey, SessionKey};
use detector::{Detector, Looked, PrincipalState};
use policy::PolicySet;
use schema::{Call, Decision, Mode, RawCall, Risk, Standing, TenantKey, Verdict};
use std::num::NonZeroU32;
use std::sync::Arc;

/// What all pipelines of a process share and none changes.
#[derive(Clone)]
pub struct Parts {
    /// Read what gateways wrote.
    pub decoders: Arc<Decoders>,
    /// A session that nobody names ends after so long without a call, in ms.
    pub idle_ms: u64,
    /// Makes fingerprints.
    pub key: TenantKey,
    /// Says how risky a call looks.
    pub detector: Arc<Detector>,
    /// Say what is done about it.
    pub policies: Arc<PolicySet>,
    /// Whether that binds.
    pub mode: Mode,
    /// At most this share of honest sessions is flagged.
    pub alpha: f64,
    /// Sessions remembered.
    pub sessions_max: NonZeroU32,
    /// Principals remembered.
    pub principals_max: NonZeroU32,
}

/// The path and what it remembers: one for each partition, each only ever moved by its own calls, in their order.
pub struct Pipeline {
    parts: Arc<Parts>,
    gaps: Gaps,
    sessions: Bounded<SessionKey, Open>,
    principals: Bounded<PrincipalKey, PrincipalState>,
}

/// A session under way.
#[derive(Default)]
struct Open {
    sightings: Sightings,
    standing: Option<Standing>,
    flagged: bool,
}

/// A call and what came of it.
pub struct Judged {
    /// As sealed.
    pub call: Call,
    /// What the detector says.
    pub verdict: Verdict,
    /// Its features, in the order of [`detector::feature_meanings`]; none without a model.
    pub row: Vec<f64>,
    /// Probability of its tool after the tools before; none without a model.
    pub edge: Option<f64>,
    /// What was known of the session before; nothing at its first call.
    pub before: Option<Standing>,
    /// What is known of it now.
    pub standing: Standing,
    /// The session's first flagged call.
    pub first_flagged: bool,
    /// What the order of tools alone says.
    pub sequence_risk: Risk,
}

impl Pipeline {
    /// Remembers nothing yet.
    pub fn new(parts: Arc<Parts>) -> Self {
        let (sessions, principals) = (Bounded::new(parts.sessions_max), Bounded::new(parts.principals_max));
        let gaps = Gaps::new(parts.idle_ms, parts.sessions_max);
        Self { parts, gaps, sessions, principals }
    }

    /// From a call as it came to a verdict; none for a later sighting of a call that was judged already. Raw text ends
    /// at the second line.
    pub fn judge(&mut self, raw: &RawCall) -> Option<Judged> {
        let cut = self.gaps.cut(raw);
        self.judge_sealed(schema::seal(cut.as_ref().unwrap_or(raw), &self.parts.key))
    }

    /// The same for a call that was sealed before, under the key of [`Parts`].
    pub fn judge_sealed(&mut self, call: Call) -> Option<Judged> {
        // Features, scores and fusion of the session's stage.
        let open = self.sessions.of(SessionKey::of(&call));
        let Observed { looked, sequence_risk } = open.sightings.observe(&self.parts.detector, &call)?;

        // The same of the principal's stage: what only several sessions together show.
        let of_principal = detector::query_record(&call).and_then(|query| {
            self.parts.detector.observe_principal(self.principals.of(PrincipalKey::of(&call)), &query)
        });

        let Looked { verdict: of_session, row, edge, .. } = looked;
        let verdict = match of_principal {
            Some(of_principal) if of_principal.risk > of_session.risk => of_principal,
            _ => of_session,
        };
        let first_flagged = verdict.flagged(self.parts.alpha) && !std::mem::replace(&mut open.flagged, true);
        let before = open.standing.take();
        let standing = policy::stand(before.as_ref(), &call, &verdict);
        open.standing = Some(standing.clone());
        Some(Judged { call, verdict, row, edge, before, standing, first_flagged, sequence_risk })
    }

    /// From a verdict to a decision, at the call's own time.
    pub fn decide(&self, judged: &Judged) -> Decision {
        let request = policy::Request::new(&judged.call, &judged.verdict, judged.before.as_ref());
        policy::decide(&request, &self.parts.policies, self.parts.mode, judged.call.at)
    }

    /// What all pipelines of the process share.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }
}
