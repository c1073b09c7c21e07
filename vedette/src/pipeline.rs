//! The path, in order: `call → features → scores → verdict → decision → sinks`. Every command and every test takes it.

mod kept; // what is remembered, in checkpoints and out of them
mod told; // standings as others are told them

use crate::decoders::Decoders;
use crate::gaps::Gaps;
use crate::incidents::{Incident, News};
use crate::sightings::{Observed, Sighting, Sightings};
use crate::states::{self, States, Who};
use crate::turns::{Came, Turns};
use detector::{Detector, LinksState, Looked, PrincipalState};
use ingest::hold::{Bounds, Turn};
use policy::PolicySet;
use policy::limits::SKETCH_BYTES_MAX;
use schema::{Call, Decision, Millis, Mode, RawCall, Risk, SessionSeal, Standing, StateId, TenantKey, Verdict};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::sync::Arc;
use told::Exposed;

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
    /// Sessions kept in memory by each pipeline.
    pub sessions_max: NonZeroU32,
    /// Principals kept in memory by each pipeline.
    pub principals_max: NonZeroU32,
}

/// The path and what it remembers: one for each partition, each only ever moved by its own calls, in their order.
pub struct Pipeline {
    parts: Arc<Parts>,
    gaps: Gaps,
    sessions: States<Open>,
    stages: Stages,
    turns: Turns,
    noted: Noted,
}

/// What is noted on the way.
#[derive(Default)]
struct Noted {
    counts: Counts,
    exposed: Exposed,
}

/// What is remembered of those who ask model APIs.
struct Stages {
    principals: States<PrincipalState>,
    /// Of each API, the principals that may be one.
    links: States<LinksState>,
}

/// What a pipeline counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls of an earlier time than their session's last, by more than two seconds.
    pub late: u64,
    /// Sightings that told nothing new.
    pub repeated: u64,
    /// Calls that came before their turn, waited, and went in it.
    pub in_turn: u64,
    /// Numbers that were missing for longer than a call may wait.
    pub gaps: u64,
}

/// A session under way.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Open {
    sightings: Sightings,
    standing: Option<Standing>,
    incident: Option<Incident>,
    #[serde(skip_serializing_if = "Turn::is_new")]
    turn: Turn,
    #[serde(skip)]
    seal: Option<SessionSeal>,
}

/// A call and what came of it.
pub struct Judged {
    /// Names its session's state.
    pub session: StateId,
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
    /// What there is to tell of the session's incident.
    pub alert: Option<(News, Incident)>,
    /// What the order of tools alone says.
    pub sequence_risk: Risk,
}

impl Pipeline {
    /// Remembers nothing yet.
    pub fn new(parts: Arc<Parts>) -> Self {
        let stages = Stages { principals: States::new(parts.principals_max), links: States::new(parts.principals_max) };
        let (gaps, sessions) = (Gaps::new(parts.idle_ms, parts.sessions_max), States::new(parts.sessions_max));
        let turns = Turns::new(Bounds { ms: 0, ..Bounds::default() });
        Self { parts, gaps, sessions, stages, turns, noted: Noted::default() }
    }

    /// Takes the calls of a session in the order of their numbers, as far as `bounds` let them wait. To be said first;
    /// unless it is, [`Pipeline::judge_in_turn`] takes calls as they come.
    pub fn in_order(&mut self, bounds: Bounds) {
        self.turns = Turns::new(bounds);
    }

    /// From a call as it came to a verdict; none for a later sighting of a call that was judged already. Raw text ends
    /// at the second line.
    pub fn judge(&mut self, raw: &RawCall) -> Option<Judged> {
        let key = &self.parts.key;
        let cut = self.gaps.cut(raw, key);
        let raw = cut.as_ref().unwrap_or(raw);
        let session = states::of_session(key, &Who::from(raw));
        let open = self.sessions.of(session);
        let call = open.seal.get_or_insert_with(|| SessionSeal::new(raw, key)).seal(raw, key);
        observe(&self.parts, session, open, &mut self.stages, &mut self.noted, call)
    }

    /// The same in the order of the session's numbers: adds to `out` the verdicts that can be given now, of this call or of
    /// others that waited.
    pub fn judge_in_turn(&mut self, raw: &RawCall, came: Came, out: &mut Vec<Judged>) {
        self.pass_time(came.at, out);
        let key = &self.parts.key;
        let cut = self.gaps.cut(raw, key);
        let raw = cut.as_ref().unwrap_or(raw);
        let session = states::of_session(key, &Who::from(raw));
        let open = self.sessions.of(session);
        let call = open.seal.get_or_insert_with(|| SessionSeal::new(raw, key)).seal(raw, key);
        let Some(call) = self.turns.take(session, &mut open.turn, call, came) else {
            return self.pass_time(came.at, out); // there may be no room
        };
        out.extend(observe(&self.parts, session, open, &mut self.stages, &mut self.noted, call));
        self.follow(session, out);
    }

    /// The same for a call that its device has sealed, under a key of its own.
    pub fn judge_from_device_in_turn(&mut self, call: Call, came: Came, out: &mut Vec<Judged>) {
        self.pass_time(came.at, out);
        let call = self.gaps.cut_sealed(call, &self.parts.key);
        let session = states::of_session(&self.parts.key, &Who::from(&call));
        let open = self.sessions.of(session);
        let Some(call) = self.turns.take(session, &mut open.turn, call, came) else {
            return self.pass_time(came.at, out);
        };
        out.extend(observe(&self.parts, session, open, &mut self.stages, &mut self.noted, call));
        self.follow(session, out);
    }

    /// It is `now`, by the clock that stamps records: verdicts on calls that have waited for long enough.
    pub fn pass_time(&mut self, now: Millis, out: &mut Vec<Judged>) {
        while let Some(session) = self.turns.overdue(now) {
            let open = self.sessions.of(session);
            let Some(call) = self.turns.let_go(session, &mut open.turn) else { break };
            out.extend(observe(&self.parts, session, open, &mut self.stages, &mut self.noted, call));
            self.follow(session, out);
        }
    }

    /// Whether a call waits for others, or for time to pass.
    pub fn waits(&self) -> bool {
        self.turns.waits()
    }

    /// Calls of `session` whose turn it is after the last one.
    fn follow(&mut self, session: StateId, out: &mut Vec<Judged>) {
        while self.turns.waits() {
            let open = self.sessions.of(session);
            let Some(call) = self.turns.in_turn(session, &mut open.turn) else { return };
            out.extend(observe(&self.parts, session, open, &mut self.stages, &mut self.noted, call));
        }
    }

    /// The same for a call that was sealed before, under the key of [`Parts`].
    pub fn judge_sealed(&mut self, call: Call) -> Option<Judged> {
        let session = states::of_session(&self.parts.key, &Who::from(&call));
        let open = self.sessions.of(session);
        observe(&self.parts, session, open, &mut self.stages, &mut self.noted, call)
    }

    /// The same for a call that its device has sealed, under a key of its own.
    pub fn judge_from_device(&mut self, call: Call) -> Option<Judged> {
        let call = self.gaps.cut_sealed(call, &self.parts.key);
        self.judge_sealed(call)
    }

    /// What a gateway keeps of the session of `call`, for when its owner is away; nothing of one that met no
    /// instruction-like text.
    pub fn sketch(&mut self, call: &Call) -> Option<Vec<u8>> {
        let session = states::of_session(&self.parts.key, &Who::from(call));
        let state = self.sessions.of(session).sightings.newest();
        state.exposed().then(|| state.sketch(SKETCH_BYTES_MAX))
    }

    /// From a verdict to a decision, at the call's own time.
    pub fn decide(&self, judged: &Judged) -> Decision {
        let request = policy::Request::new(&judged.call, &judged.verdict, judged.before.as_ref());
        policy::decide(&request, &self.parts.policies, self.parts.mode, judged.call.at)
    }

    /// Judges by `detector` from the next call on; what is remembered stays.
    pub fn put_in_force(&mut self, detector: Arc<Detector>) {
        self.parts = Arc::new(Parts { detector, ..(*self.parts).clone() });
    }

    /// Counts since the start.
    pub fn counts(&self) -> Counts {
        let ingest::hold::Counts { in_turn, gaps } = self.turns.counts();
        Counts { in_turn, gaps, ..self.noted.counts }
    }

    /// Calls that wait for their turn.
    pub fn held(&self) -> usize {
        self.turns.held()
    }

    /// What all pipelines of the process share.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }
}

fn observe(
    parts: &Parts,
    session: StateId,
    open: &mut Open,
    stages: &mut Stages,
    noted: &mut Noted,
    call: Call,
) -> Option<Judged> {
    // Once a session was told what to do, plain results matter to whoever hears of it, too: they clear what stands in both.
    let result = call.result.as_ref().filter(|_| noted.exposed.is_wanted());
    let (shows, exposes) = (result.is_some(), result.is_some_and(|result| parts.detector.exposes(result)));
    // Features, scores and fusion of the session's stage.
    let Observed { looked, sequence_risk } = match open.sightings.observe(&parts.detector, &call) {
        Sighting::First(observed) => *observed,
        Sighting::Later => {
            if let Some(standing) = open.standing.as_ref().filter(|standing| exposes || (shows && standing.exposed)) {
                noted.exposed.note(session, &call, standing, parts.detector.is_learning());
            }
            return None;
        }
        Sighting::Repeated => {
            noted.counts.repeated += 1;
            return None;
        }
    };

    // The same of the later stages: what only several sessions of a principal, or several principals, show together. The
    // session's stage never reads them.
    let Looked { verdict: of_session, row, edge, .. } = looked;
    let later = copying(parts, stages, &call);
    let verdict = later.into_iter().fold(of_session, |most, next| if next.risk > most.risk { next } else { most });
    let flagged = verdict.flagged(parts.alpha);
    let alert = flagged.then(|| Incident::take(&mut open.incident, &verdict, call.at, parts.alpha)).flatten();
    let before = open.standing.take();
    noted.counts.late += u64::from(before.as_ref().is_some_and(|before| before.at.since(call.at) > LATE_MS));
    let standing = policy::stand(before.as_ref(), &call, &verdict);
    open.standing = Some(standing.clone());
    if exposes || (shows && standing.exposed) {
        noted.exposed.note(session, &call, &standing, parts.detector.is_learning());
    }
    Some(Judged { session, call, verdict, row, edge, before, standing, alert, sequence_risk })
}

/// What the stages of principals and of links say of a call that asks a model API.
fn copying(parts: &Parts, stages: &mut Stages, call: &Call) -> Vec<Verdict> {
    let Some(query) = detector::query_record(call) else { return Vec::new() };
    let principal = stages.principals.of(states::of_principal(&parts.key, &Who::from(call)));
    let Some((of_principal, delta)) = parts.detector.observe_principal(principal, &query) else { return Vec::new() };
    let of_links = delta.and_then(|delta| {
        let links = stages.links.of(states::of_links(&parts.key, &call.tenant, delta.api()));
        parts.detector.observe_links(links, delta, &query)
    });
    [Some(of_principal), of_links].into_iter().flatten().collect()
}

/// A call that is this much older than its session's last is counted as late; it is judged like any other.
const LATE_MS: u64 = 2_000;
