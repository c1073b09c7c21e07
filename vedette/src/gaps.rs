//! Sessions that nobody names ([`How::Idle`]) are one for ever as a decoder derives them; here they end where no call came
//! for a while. By the calls' own times: a replay cuts where the live stream was cut.

use crate::states::{self, States, Who};
use ingest::RestoreError;
use ingest::checkpoint::{Entries, Scope};
use schema::decode::session::after_gap;
use schema::{Call, How, Millis, RawCall, Session, TenantKey};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;

/// The runs under way.
pub struct Gaps {
    idle_ms: u64,
    runs: States<Run>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Run {
    /// Time of its first call; none for the first run of all, which keeps the plain session.
    from: Option<Millis>,
    last: Option<Millis>,
}

impl Gaps {
    /// Sessions end after `idle_ms` without a call.
    pub fn new(idle_ms: u64, max: NonZeroU32) -> Self {
        Self { idle_ms, runs: States::new(max) }
    }

    /// The call with the session of its run; none where it has the right one already. A call that comes late belongs to
    /// the run under way.
    pub fn cut(&mut self, call: &RawCall, key: &TenantKey) -> Option<RawCall> {
        if call.how != How::Idle {
            return None;
        }
        let session = self.run(&Who::from(call), &call.session, call.at, key)?;
        Some(RawCall { session, ..call.clone() })
    }

    /// The same for a call that came sealed.
    pub fn cut_sealed(&mut self, call: Call, key: &TenantKey) -> Call {
        if call.how != How::Idle {
            return call;
        }
        match self.run(&Who::from(&call), &call.session, call.at, key) {
            Some(session) => Call { session, ..call },
            None => call,
        }
    }

    fn run(&mut self, who: &Who<'_>, session: &Session, at: Millis, key: &TenantKey) -> Option<Session> {
        let run = self.runs.of(states::of_session(key, who));
        if run.last.is_some_and(|last| at.since(last) > self.idle_ms) {
            run.from = Some(at);
        }
        run.last = run.last.max(Some(at));
        // INVARIANT: a derived session is far shorter than the bound, so the longer one fits.
        after_gap(session, run.from?).ok()
    }

    /// It is `now`, by the clock that stamps records.
    pub fn tick(&mut self, now: Millis) {
        self.runs.tick(now);
    }

    /// Remembers from now on what changes.
    pub fn track(&mut self) {
        self.runs.track();
    }

    /// The runs, or those that changed.
    pub fn entries(&mut self, scope: Scope, out: &mut Entries) {
        self.runs.entries(RUN, scope, out);
    }

    /// Takes in an entry of a checkpoint, if it is a run.
    pub fn restore(&mut self, entry: (&[u8], Option<&[u8]>)) -> Result<bool, RestoreError> {
        self.runs.restore(RUN, entry)
    }

    /// Bytes of what is spilled to disk.
    pub fn spilled_bytes(&self) -> u64 {
        self.runs.spilled_bytes()
    }
}

/// Kind of its entries in a checkpoint.
const RUN: u8 = b'g';

#[cfg(test)]
mod tests {
    use super::*;
    use schema::decode::{Received, native};

    fn key() -> TenantKey {
        TenantKey::new([7; 32])
    }

    fn call(at: u64, who: &str) -> RawCall {
        let record = serde_json::json!({"at": at, "tool": "t", "principal": who}).to_string();
        native::decode(record.as_bytes(), &Received { at: Millis(at), id: format!("t/0/{at}") }).unwrap()
    }

    #[test]
    fn a_session_ends_where_it_was_idle_and_a_late_call_joins_the_run_under_way() {
        let mut gaps = Gaps::new(1_000, NonZeroU32::new(8).unwrap());
        let mut session = |at, who| gaps.cut(&call(at, who), &key()).map(|call| call.session.to_string());
        assert_eq!(session(10_000, "a"), None);
        assert_eq!(session(11_000, "a"), None, "exactly the gap is none");
        let second = session(12_001, "a").unwrap();
        assert!(second.ends_with("-12001"), "{second}");
        assert_eq!(session(11_500, "a"), Some(second.clone()), "late");
        assert_eq!(session(12_500, "b"), None, "another principal has runs of its own");
        assert_eq!(session(13_000, "a"), Some(second.clone()));
        assert_ne!(session(90_000, "a"), Some(second));
    }

    #[test]
    fn a_named_session_is_never_cut() {
        let mut gaps = Gaps::new(1, NonZeroU32::new(8).unwrap());
        let named = |at| RawCall { how: How::Explicit, ..call(at, "a") };
        assert!(gaps.cut(&named(1), &key()).is_none() && gaps.cut(&named(9_000_000), &key()).is_none());
    }
}
