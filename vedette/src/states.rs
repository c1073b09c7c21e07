//! What is remembered of each session and principal: bounded, the least recently seen goes first.

use lru::LruCache;
use schema::{Call, Device, Principal, RawCall, Session, Tenant};
use std::hash::Hash;
use std::num::NonZeroU32;

/// Whose session a state belongs to. An agent chooses its session id but not the rest, so it can neither join nor
/// leave another's state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionKey {
    tenant: Tenant,
    principal: Option<Principal>,
    device: Option<Device>,
    session: Session,
}

impl SessionKey {
    /// The state that `call` moves.
    pub fn of(call: &Call) -> Self {
        Self {
            tenant: call.tenant.clone(),
            principal: call.principal.clone(),
            device: call.device.clone(),
            session: call.session.clone(),
        }
    }
}

impl From<&RawCall> for SessionKey {
    fn from(call: &RawCall) -> Self {
        Self {
            tenant: call.tenant.clone(),
            principal: call.principal.clone(),
            device: call.device.clone(),
            session: call.session.clone(),
        }
    }
}

/// Who answers for calls across sessions. Where no principal is known each session stands for itself: sessions that
/// merely share an agent stay independent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PrincipalKey {
    tenant: Tenant,
    who: Who,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Principal(Principal),
    Session(Session),
}

impl PrincipalKey {
    /// The state that the query of `call` moves.
    pub fn of(call: &Call) -> Self {
        let who = match &call.principal {
            Some(principal) => Who::Principal(principal.clone()),
            None => Who::Session(call.session.clone()),
        };
        Self { tenant: call.tenant.clone(), who }
    }
}

/// At most `max` states by key.
pub struct Bounded<K: Hash + Eq, S> {
    states: LruCache<K, S>,
    max: usize,
    evicted: u64,
}

impl<K: Hash + Eq, S: Default> Bounded<K, S> {
    /// Empty; takes no memory until used.
    pub fn new(max: NonZeroU32) -> Self {
        Self { states: LruCache::unbounded(), max: max.get() as usize, evicted: 0 }
    }

    /// The state of `key`, a new one where there is none; the least recently used goes when there are too many.
    pub fn of(&mut self, key: K) -> &mut S {
        if !self.states.contains(&key) && self.states.len() >= self.max {
            self.states.pop_lru();
            self.evicted += 1;
        }
        self.states.get_or_insert_mut(key, S::default)
    }

    /// States that had to go.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_seen_goes_first() {
        let mut states: Bounded<u8, u32> = Bounded::new(NonZeroU32::new(2).unwrap());
        *states.of(1) = 10;
        *states.of(2) = 20;
        assert_eq!(*states.of(1), 10);
        *states.of(3) = 30;
        assert_eq!((*states.of(1), *states.of(3), states.evicted()), (10, 30, 1));
        assert_eq!(*states.of(2), 0, "session 2 was seen longest ago");
    }
}
