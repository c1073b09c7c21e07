//! Calls of a session in the order in which their gateway numbered them (`seq`): one that comes before its turn waits, sealed,
//! for what is missing, at most [`Bounds::ms`] by the clock that stamps records. What waits is part of the state.

use ingest::RestoreError;
use ingest::checkpoint::{Entries, Scope};
use ingest::hold::{Bounds, Counts, Held, Hold, Turn};
use schema::{Call, Millis, StateId};

/// What waits on one partition.
pub struct Turns {
    hold: Hold<StateId, Call>,
    /// Latest time of a record: a clock that stamps backwards lets nothing wait longer.
    clock: Millis,
}

/// When a call came, and how large its record was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Came {
    /// By the clock that stamps records.
    pub at: Millis,
    /// Bytes of the record.
    pub bytes: usize,
}

impl Turns {
    /// Nothing waits. With a bound of 0 ms nothing ever does: calls are taken as they come.
    pub fn new(bounds: Bounds) -> Self {
        Self { hold: Hold::new(bounds), clock: Millis(0) }
    }

    /// The call, if it need not wait.
    pub fn take(&mut self, session: StateId, turn: &mut Turn, call: Call, came: Came) -> Option<Call> {
        let bounds = self.hold.bounds();
        let Some(seq) = call.seq.filter(|_| bounds.ms > 0) else { return Some(call) };
        if turn.has_come(seq, bounds) {
            turn.pass(seq, bounds);
            return Some(call);
        }
        self.hold.put(session, Held { seq, at: came.at, bytes: came.bytes, item: call });
        None
    }

    /// The next call of `session` whose turn has come.
    pub fn in_turn(&mut self, session: StateId, turn: &mut Turn) -> Option<Call> {
        self.hold.in_turn(session, turn)
    }

    /// Whether anything waits, and so anything could be due.
    pub fn waits(&self) -> bool {
        self.hold.load().items > 0
    }

    /// It is `now`: a session of which a call has waited for long enough, or for which there is no room.
    pub fn overdue(&mut self, now: Millis) -> Option<StateId> {
        self.clock = self.clock.max(now);
        self.hold.overdue(self.clock)
    }

    /// The first call of `session` that waits; what is missing before it is passed over.
    pub fn let_go(&mut self, session: StateId, turn: &mut Turn) -> Option<Call> {
        self.hold.let_go(session, turn)
    }

    /// Calls that wait.
    pub fn held(&self) -> usize {
        self.hold.load().items
    }

    /// What came of calls that waited.
    pub fn counts(&self) -> Counts {
        self.hold.counts()
    }

    /// What waits, or what of it is new; by rising key.
    pub fn entries(&mut self, scope: Scope, out: &mut Entries) {
        let changed = self.hold.take_changed();
        if self.hold.bounds().ms > 0 {
            out.push(&[HELD], Some(&self.clock.0.to_le_bytes()));
        }
        let mut sessions: Vec<StateId> = match scope {
            Scope::All => self.hold.keys().collect(),
            Scope::Changed => changed.into_iter().collect(),
        };
        sessions.sort_unstable_by_key(|session| session.0.to_le_bytes());
        for session in sessions {
            let mut key = [HELD; 17];
            let (_, id) = key.split_at_mut(1);
            id.copy_from_slice(&session.0.to_le_bytes());
            let calls = self.hold.of(session);
            // INVARIANT: maps, lists, strings and numbers only, so a call is always representable.
            let value = (!calls.is_empty()).then(|| rmp_serde::to_vec_named(calls).unwrap_or_default());
            out.push(&key, value.as_deref());
        }
    }

    /// Takes in an entry of a checkpoint, if it is one of these.
    pub fn restore(&mut self, (key, value): (&[u8], Option<&[u8]>)) -> Result<bool, RestoreError> {
        let Some((&HELD, id)) = key.split_first() else { return Ok(false) };
        if id.is_empty() {
            let clock = value.and_then(|value| value.try_into().ok());
            self.clock = Millis(u64::from_le_bytes(clock.ok_or_else(|| RestoreError::new("a clock is not 8 bytes"))?));
            return Ok(true);
        }
        let id = id.try_into().map_err(|_| RestoreError::new("the key of a session that waits is not 16 bytes"))?;
        let calls = match value {
            None => Vec::new(),
            Some(value) => rmp_serde::from_slice(value)
                .map_err(|error| RestoreError::new(format!("calls that wait do not fit this build: {error}")))?,
        };
        self.hold.restore(StateId(u128::from_le_bytes(id)), calls);
        Ok(true)
    }
}

/// Kind of its entries in a checkpoint; the one without a session is the clock.
const HELD: u8 = b'h';
