//! What is remembered of each session and principal. The busy ones are in memory; the least recently seen are spilled
//! to disk and brought back as they were. Spilling changes nothing that anyone can see.

mod spill;

use ingest::RestoreError;
use ingest::checkpoint::{Entries, Scope};
use lru::LruCache;
use schema::{Call, Device, Millis, Principal, RawCall, Session, StateId, Tenant, TenantKey, Uniform};
use serde::Serialize;
use serde::de::DeserializeOwned;
use spill::Spill;
use std::num::NonZeroU32;

/// Whose a call is. An agent chooses its session id but not the rest, so it can neither join nor leave another's state.
pub struct Who<'a> {
    tenant: &'a Tenant,
    principal: Option<&'a Principal>,
    device: Option<&'a Device>,
    session: &'a Session,
}

impl<'a> Who<'a> {
    /// By its parts.
    pub fn new(
        tenant: &'a Tenant,
        principal: Option<&'a Principal>,
        device: Option<&'a Device>,
        session: &'a Session,
    ) -> Self {
        Self { tenant, principal, device, session }
    }
}

impl<'a> From<&'a RawCall> for Who<'a> {
    fn from(call: &'a RawCall) -> Self {
        let (principal, device) = (call.principal.as_ref(), call.device.as_ref());
        Self { tenant: &call.tenant, principal, device, session: &call.session }
    }
}

impl<'a> From<&'a Call> for Who<'a> {
    fn from(call: &'a Call) -> Self {
        let (principal, device) = (call.principal.as_ref(), call.device.as_ref());
        Self { tenant: &call.tenant, principal, device, session: &call.session }
    }
}

/// The state that a call of `who` moves.
pub fn of_session(key: &TenantKey, who: &Who<'_>) -> StateId {
    key.state_id([
        Some("session"),
        Some(who.tenant.as_str()),
        who.principal.map(AsRef::as_ref),
        who.device.map(AsRef::as_ref),
        Some(who.session.as_str()),
    ])
}

/// Who answers for calls across sessions. Where no principal is known each session stands for itself: sessions that
/// merely share an agent stay independent.
pub fn of_principal(key: &TenantKey, who: &Who<'_>) -> StateId {
    let (kind, name) = match who.principal {
        Some(principal) => ("principal", principal.as_str()),
        None => ("alone", who.session.as_str()),
    };
    key.state_id([Some(kind), Some(who.tenant.as_str()), Some(name)])
}

/// The principals of `tenant` that ask the API of that number.
pub fn of_links(key: &TenantKey, tenant: &Tenant, api: u64) -> StateId {
    key.state_id([Some("links"), Some(tenant.as_str()), Some(&api.to_string())])
}

/// States by id, at most so many of them in memory.
pub struct States<S> {
    busy: LruCache<StateId, Busy<S>, Uniform>,
    busy_max: usize,
    spill: Spill,
    /// States that differ from the last checkpoint, perhaps more than once; empty unless [`States::track`]ed.
    changed: Vec<StateId>,
    tracked: bool,
    /// Where a state is written before it is put anywhere.
    written: Vec<u8>,
    /// Time of the last records, by the clock that stamps them.
    now: Millis,
}

/// A state in memory.
#[derive(Default)]
struct Busy<S> {
    state: S,
    /// When it was last asked for.
    seen: Millis,
    /// It is in `changed`.
    changed: bool,
}

impl<S: Default + Serialize + DeserializeOwned> States<S> {
    /// Empty; takes no memory until used.
    pub fn new(busy_max: NonZeroU32) -> Self {
        Self {
            busy: LruCache::unbounded_with_hasher(Uniform::default()),
            busy_max: busy_max.get() as usize,
            spill: Spill::default(),
            changed: Vec::new(),
            tracked: false,
            written: Vec::new(),
            now: Millis(0),
        }
    }

    /// Remembers from now on what changes, for [`States::entries`].
    pub fn track(&mut self) {
        self.tracked = true;
    }

    /// It is `now`; what nobody asked for in a while waits on disk from here on.
    pub fn tick(&mut self, now: Millis) {
        self.now = self.now.max(now);
        while self.busy.peek_lru().is_some_and(|(_, oldest)| self.now.since(oldest.seen) > BUSY_MS) {
            self.spill_one();
        }
    }

    /// The state of `id`, a new one where there is none, to be changed.
    pub fn of(&mut self, id: StateId) -> &mut S {
        if self.busy.len() >= self.busy_max && !self.busy.contains(&id) {
            self.spill_one();
        }
        let spill = &mut self.spill;
        let busy = self.busy.get_or_insert_mut(id, || {
            let state = spill.take(id).and_then(|bytes| decode(&bytes)).unwrap_or_default();
            Busy { state, ..Busy::default() }
        });
        busy.seen = self.now;
        if self.tracked && !busy.changed {
            busy.changed = true;
            self.changed.push(id);
        }
        &mut busy.state
    }

    /// States in memory and on disk.
    pub fn count(&self) -> (usize, usize) {
        (self.busy.len(), self.spill.len())
    }

    /// Bytes of what is on disk.
    pub fn spilled_bytes(&self) -> u64 {
        self.spill.live_bytes()
    }

    /// The states, or those that changed, under `kind` and their id; by rising key.
    pub fn entries(&mut self, kind: u8, scope: Scope, out: &mut Entries) {
        let changed = std::mem::take(&mut self.changed);
        let mut ids: Vec<StateId> = match scope {
            Scope::All => self.busy.iter().map(|(id, _)| *id).chain(self.spill.ids()).collect(),
            Scope::Changed => changed,
        };
        ids.sort_unstable_by_key(|id| key(kind, *id));
        ids.dedup();
        for id in ids {
            match self.busy.peek_mut(&id) {
                Some(busy) => {
                    busy.changed = false;
                    out.push(&key(kind, id), Some(encode(&busy.state, &mut self.written)));
                }
                None => out.push(&key(kind, id), self.spill.get(id).as_deref()),
            }
        }
    }

    /// Takes in an entry of a checkpoint, if it is one of `kind`.
    pub fn restore(&mut self, kind: u8, entry: (&[u8], Option<&[u8]>)) -> Result<bool, RestoreError> {
        let Some((found, id)) = entry.0.split_first() else { return Ok(false) };
        if *found != kind {
            return Ok(false);
        }
        let id = id.try_into().map_err(|_| RestoreError::new("the key of a state is not 16 bytes"))?;
        let id = StateId(u128::from_le_bytes(id));
        self.busy.pop(&id);
        match entry.1 {
            Some(state) => self.spill.put(id, state), // read when it is needed
            None => self.spill.remove(id),
        }
        Ok(true)
    }

    fn spill_one(&mut self) {
        if let Some((id, busy)) = self.busy.pop_lru() {
            self.spill.put(id, encode(&busy.state, &mut self.written));
        }
        if self.spill.len() > SPILLED_MAX
            && let Some(id) = self.spill.forget_oldest()
            && self.tracked
        {
            self.changed.push(id);
        }
    }
}

fn key(kind: u8, id: StateId) -> [u8; 17] {
    let mut key = [kind; 17];
    let (_, bytes) = key.split_at_mut(1);
    bytes.copy_from_slice(&id.0.to_le_bytes());
    key
}

/// Fields by name (MessagePack): a state with a field more, or one less, is still read.
fn encode<'w, S: Serialize>(state: &S, written: &'w mut Vec<u8>) -> &'w [u8] {
    written.clear();
    // INVARIANT: maps, lists, strings and numbers only, so a state is always representable, and memory takes it.
    let _ = rmp_serde::encode::write_named(written, state);
    written
}

fn decode<S: DeserializeOwned>(bytes: &[u8]) -> Option<S> {
    rmp_serde::from_slice(bytes)
        .inspect_err(|error| tracing::error!(%error, "a state does not fit this build: its session begins anew"))
        .ok()
}

/// A state that nobody asked for in this time goes to disk.
const BUSY_MS: u64 = 60_000;
/// States on disk, at most; the one not seen for longest is forgotten.
const SPILLED_MAX: usize = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn states(busy_max: u32) -> States<Vec<u32>> {
        States::new(NonZeroU32::new(busy_max).unwrap())
    }

    fn all(states: &mut States<Vec<u32>>) -> Entries {
        let mut entries = Entries::default();
        states.entries(b's', Scope::All, &mut entries);
        Entries::folded([&entries])
    }

    proptest! {
        /// Two in memory, or all of them; checkpoints anywhere; a successor that takes over from the segments.
        #[test]
        fn spilling_and_checkpoints_change_nothing(steps in proptest::collection::vec((0u128..9, any::<u32>(), 0u8..8), 1..120)) {
            let (mut roomy, mut tight) = (states(100), states(2));
            tight.track();
            let mut segments = Vec::new();
            for ((id, word, dice), now) in steps.into_iter().zip(0..) {
                tight.tick(Millis(now * BUSY_MS / 3));
                roomy.of(StateId(id)).push(word);
                tight.of(StateId(id)).push(word);
                if dice == 0 {
                    let mut segment = Entries::default();
                    tight.entries(b's', Scope::Changed, &mut segment);
                    segments.push(segment);
                }
                if dice == 1 {
                    let mut segment = Entries::default();
                    tight.entries(b's', Scope::Changed, &mut segment);
                    segments.push(segment);
                    tight = states(2);
                    tight.track();
                    for entry in segments.iter().flat_map(Entries::iter) {
                        prop_assert!(tight.restore(b's', entry).unwrap());
                    }
                }
                prop_assert_eq!(roomy.of(StateId(id)), tight.of(StateId(id)));
            }
            prop_assert_eq!(all(&mut roomy), all(&mut tight));
        }
    }

    #[test]
    fn entries_of_another_kind_are_left_to_others_and_broken_ones_refused() {
        let mut states = states(2);
        assert!(!states.restore(b's', (&key(b'p', StateId(1)), Some(b""))).unwrap());
        assert!(!states.restore(b's', (b"", Some(b""))).unwrap());
        assert!(states.restore(b's', (b"s123", Some(b""))).is_err());
    }
}
