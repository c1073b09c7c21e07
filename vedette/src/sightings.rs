//! One call, several sightings: a door sees the request, later perhaps the result; the gateway logs the finished call.
//! The first sighting is judged; a later one only adds status and result, as if they had been there in time.

use detector::{Detector, Looked, SessionState};
use schema::{Call, CallId, NameHash, Phase, Risk};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A session's state, and the calls of it whose result is still to come.
///
/// The state has folded finished calls only, in order. Pending ones lie over it: a verdict is made on a copy that has
/// folded them, too, so when a result arrives its call is folded once, with the result.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Sightings {
    folded: SessionState,
    pending: VecDeque<Pending>,
    /// `folded` and all of `pending`, where that was needed and still holds.
    #[serde(skip)]
    ahead: Option<Box<SessionState>>,
    /// Ids judged last, as hashes.
    judged: VecDeque<NameHash>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Pending {
    call: Call,
    /// Its result is here; it waits for the calls before it.
    finished: bool,
}

/// Which sighting of its call a record is.
pub enum Sighting {
    /// The first: it is judged.
    First(Box<Observed>),
    /// A later one, which told something new.
    Later,
    /// One that told nothing new.
    Repeated,
}

/// What the session's stage says of a call.
pub struct Observed {
    /// Its verdict, and what that rests on.
    pub looked: Looked,
    /// What the order of tools alone says; of a call that has not ended, perhaps only up to the call before it.
    pub sequence_risk: Risk,
}

impl Sightings {
    /// The verdict on a first sighting; a later one is taken note of.
    pub fn observe(&mut self, detector: &Detector, call: &Call) -> Sighting {
        if !self.is_first(&call.id) {
            return if self.add(detector, call) { Sighting::Later } else { Sighting::Repeated };
        }
        let finished = call.phase != Phase::Request;
        if finished && self.pending.is_empty() {
            let looked = detector.observe_closely(&mut self.folded, call);
            let sequence_risk = self.folded.sequence_risk();
            return Sighting::First(Box::new(Observed { looked, sequence_risk }));
        }
        if self.pending.len() >= PENDING_MAX {
            self.fold_oldest(detector);
        }
        // The usual case, a call after finished ones, copies nothing.
        let observed = if self.pending.is_empty() && call.mission.is_none() {
            Observed { looked: detector.look(&self.folded, call), sequence_risk: self.folded.sequence_risk() }
        } else {
            let mut ahead = self.ahead.take().unwrap_or_else(|| {
                let mut ahead = Box::new(self.folded.clone());
                for pending in &self.pending {
                    detector.observe(&mut ahead, &pending.call);
                }
                ahead
            });
            let looked = detector.observe_closely(&mut ahead, call);
            let sequence_risk = ahead.sequence_risk();
            self.ahead = Some(ahead);
            Observed { looked, sequence_risk }
        };
        self.pending.push_back(Pending { call: call.clone(), finished });
        Sighting::First(Box::new(observed))
    }

    /// The session as it is now known: with calls whose result is still to come, where that was needed.
    pub fn newest(&self) -> &SessionState {
        self.ahead.as_deref().unwrap_or(&self.folded)
    }

    fn is_first(&mut self, id: &CallId) -> bool {
        let id = NameHash::of("call", id.as_str());
        if self.judged.contains(&id) {
            return false;
        }
        if self.judged.len() >= JUDGED_MAX {
            self.judged.pop_front();
        }
        self.judged.push_back(id);
        true
    }

    /// Adds what a later sighting knows, then folds the calls that wait for nothing any more. Whether it was news.
    fn add(&mut self, detector: &Detector, later: &Call) -> bool {
        let mut news = false;
        let pending = self.pending.iter_mut().find(|pending| pending.call.id == later.id && !pending.finished);
        if let Some(pending) = pending.filter(|_| later.phase != Phase::Request) {
            end(&mut pending.call, later);
            pending.finished = true;
            // What comes after it is to be judged knowing its result.
            self.ahead = None;
            news = true;
        }
        while self.pending.front().is_some_and(|pending| pending.finished) {
            self.fold_oldest(detector);
        }
        news
    }

    fn fold_oldest(&mut self, detector: &Detector) {
        if let Some(pending) = self.pending.pop_front() {
            detector.observe(&mut self.folded, &pending.call);
        }
        if self.pending.is_empty() {
            self.ahead = None;
        }
    }
}

/// Adds to a call what a later sighting knows of how it ended.
pub fn end(call: &mut Call, later: &Call) {
    call.status = later.status.or(call.status);
    call.result = later.result.clone().or_else(|| call.result.take());
    call.result_bytes = later.result_bytes.or(call.result_bytes);
    call.cost = later.cost.or(call.cost);
    call.segments_ms = later.segments_ms.or(call.segments_ms);
}

/// Calls of one session that wait for a result; the oldest is folded without one when there are more.
const PENDING_MAX: usize = 8;
/// Ids of judged calls remembered for each session: a file of a device's calls (128 KiB) holds no more, and one whose
/// receipt was lost is sent again as a whole.
const JUDGED_MAX: usize = 320;
