//! Identities that copy one API together, each with too few queries to be seen by itself.
//!
//! Who sends strange queries is remembered for a day. Those whose queries lie on the same side of what honest clients send are
//! judged as one client: attackers split a plan, and its parts look alike; honest clients that are strange are each so in a
//! way of their own. Identities that share nothing but the time stay apart.

use super::judge::Judge;
use super::walk::{Sums, Walk};
use schema::Millis;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Identities of one API that were strange of late, at most 64, least lately seen first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinksState {
    members: VecDeque<Member>,
}

/// What the principals stage passes on of an identity whose queries are strange.
#[derive(Debug, Clone, PartialEq)]
pub struct Delta {
    pub(super) api: super::Api,
    pub(super) member: Member,
}

/// One identity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Member {
    pub(super) id: u64,
    pub(super) at: Millis,
    pub(super) sums: Sums,
    /// Where its queries lie on the whole, a unit vector.
    pub(super) direction: Vec<f32>,
}

/// What an identity and those that go with it come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Together {
    /// In deviations of honest queries.
    pub(super) value: f64,
    /// Identities.
    pub(super) identities: usize,
}

/// Identities remembered of one API.
const MEMBERS_MAX: usize = 64;
/// For how long after its last query.
const MEMBERS_MS: u64 = 86_400_000;
/// Cosine between two identities' directions from which they go together.
const ALIKE: f64 = 0.8;

impl Delta {
    /// The API that it is about: links are kept by it.
    pub fn api(&self) -> u64 {
        self.api.0
    }
}

impl Member {
    /// What is passed on of a walk; `None` where it is not strange enough to be linked to others.
    pub(super) fn of(walk: &Walk, id: u64, at: Millis, judge: &Judge) -> Option<Self> {
        let direction = judge.links(&walk.all).then(|| walk.direction())??;
        Some(Self { id, at, sums: walk.all, direction })
    }
}

impl LinksState {
    /// Takes in an identity; `None` while it is alone.
    pub(super) fn take(&mut self, member: Member, judge: &Judge) -> Option<Together> {
        self.members.retain(|known| known.id != member.id && member.at.since(known.at) <= MEMBERS_MS);
        let (mut sums, mut squared, mut identities) = (member.sums, member.sums.weight * member.sums.weight, 1);
        for known in self.members.iter().filter(|known| known.alike(&member)) {
            sums.join(&known.sums);
            squared += known.sums.weight * known.sums.weight;
            identities += 1;
        }
        if self.members.len() >= MEMBERS_MAX {
            self.members.pop_front();
        }
        self.members.push_back(member);
        (identities > 1).then(|| Together { value: judge.together(&sums, squared), identities })
    }

    /// Things kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.members.len()
    }
}

impl Member {
    /// Whether both were strange on the same side, and at about the same time: what a device brings weeks late is of then.
    fn alike(&self, other: &Self) -> bool {
        if self.at.since(other.at).max(other.at.since(self.at)) > MEMBERS_MS {
            return false;
        }
        let dot = self.direction.iter().zip(&other.direction).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        dot >= ALIKE
    }
}
