//! Which replica answers for which session, where there is more than one. Pure: records in, an owner out.
//!
//! A replica says that it lives by a record on `agent.members`, again and again, and hears those of all. Time is counted
//! in its own records as they come back: whoever was not heard between so many of them is gone. So no two clocks are
//! compared, and where Kafka is away nothing comes back and everything stays as it was.
//!
//! Owners are found by the highest random weight (Thaler and Ravishankar, IEEE/ACM Transactions on Networking 6(1), 1998):
//! whoever knows of the same replicas finds the same owner, and one that comes or goes moves its own sessions and no others.

mod topic; // the same, kept up to date from Kafka

pub use topic::{Ignored, Membership, parse};

use crate::states::{self, Who};
use policy::Mission;
use schema::{Member, NameHash, StateId, Tenant, TenantKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The replicas that are known to live, as one of them knows them.
#[derive(Debug, Clone)]
pub struct Members {
    own: Member,
    weight: u64,
    misses_max: u32,
    others: BTreeMap<Arc<str>, Other>,
    /// Own records that came back.
    rounds: u64,
}

#[derive(Debug, Clone, Copy)]
struct Other {
    weight: u64,
    /// Own records that came back since it was heard of.
    missed: u32,
}

impl Members {
    /// Knows of nobody but the replica that `own` describes. One that misses more than `misses_max` rounds is gone.
    pub fn new(own: Member, misses_max: u32) -> Self {
        let weight = weight(&own.address);
        Self { own, weight, misses_max, others: BTreeMap::new(), rounds: 0 }
    }

    /// A replica says that it lives. Whether that changes who owns what.
    pub fn heard(&mut self, member: &Member) -> bool {
        if member.address != self.own.address {
            let known = self.others.len();
            if known >= MEMBERS_MAX && !self.others.contains_key(member.address.as_str()) {
                return false;
            }
            let weight = weight(&member.address);
            self.others.insert(member.address.as_str().into(), Other { weight, missed: 0 });
            return self.others.len() > known;
        }
        // What an earlier process at this address wrote says nothing of now.
        if member.since != self.own.since {
            return false;
        }
        self.rounds += 1;
        let (known, max) = (self.others.len(), self.misses_max);
        self.others.retain(|_, other| {
            other.missed += 1;
            other.missed <= max
        });
        self.others.len() < known
    }

    /// A replica says that it leaves. Whether that changes who owns what.
    pub fn left(&mut self, address: &str) -> bool {
        self.others.remove(address).is_some()
    }

    /// Where the sessions of that name are answered for; none: here.
    pub fn owner(&self, of: StateId) -> Option<&Arc<str>> {
        let drawn = |weight: u64| mixed(weight ^ of.0 as u64);
        // Of equal ones the last, which has the greatest address.
        let (address, other) = self.others.iter().max_by_key(|(_, other)| drawn(other.weight))?;
        let (here, there) = ((drawn(self.weight), self.own.address.as_str()), (drawn(other.weight), &**address));
        (there > here).then_some(address)
    }

    /// The replica itself.
    pub fn own(&self) -> &Member {
        &self.own
    }

    /// Replicas that live, this one included.
    pub fn count(&self) -> usize {
        self.others.len() + 1
    }

    /// It has been heard twice by itself: whoever lives was heard between.
    pub fn settled(&self) -> bool {
        self.rounds > 1
    }
}

/// What the calls of `who` are owned by: what their principal's other sessions show is in one place, as their records are
/// in one partition.
pub fn owned_by<'a>(key: &TenantKey, who: impl Into<Who<'a>>) -> StateId {
    states::of_principal(key, &who.into())
}

/// The same of a session that a mission is declared for.
pub fn owned_by_mission(key: &TenantKey, mission: &Mission) -> StateId {
    // As a call that names no tenant.
    let none = || Tenant::new("default").ok();
    let Some(tenant) = mission.tenant.clone().or_else(none) else { return StateId(0) };
    owned_by(key, Who::new(&tenant, mission.principal.as_ref(), mission.device.as_ref(), &mission.session))
}

/// The same in every process and build.
fn weight(address: &str) -> u64 {
    NameHash::of("member", address).0
}

/// The last step of SplitMix64 (Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014).
fn mixed(word: u64) -> u64 {
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// Other replicas that are believed in.
pub const MEMBERS_MAX: usize = 256;

#[cfg(test)]
mod tests;
