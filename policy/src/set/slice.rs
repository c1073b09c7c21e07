//! The policies that can speak of a call. Most of a set can be ruled out by single facts ([`Guard`]); Cedar evaluates the
//! others, over as much of the request as they read. What it says is what it would say with the whole set (policy
//! slicing: Cutler et al., "Cedar: A New Language for Expressive, Fast, Safe, and Analyzable Authorization", OOPSLA 2024);
//! a test compares both.

use super::guard::{Guard, attribute};
use crate::facts::{Asked, Attribute, FactsError, Names};
use crate::limits::{SLICED_BYTES_MAX, SLICED_POLICIES_MAX, SLICES_MAX};
use cedar_policy::{Authorizer, Entities, Policy, PolicySet, Response};
use lru::LruCache;
use serde_json::Value;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// All policies with what each demands, and the slices asked for last.
pub(super) struct Slices {
    policies: Vec<Guarded>,
    asked: Mutex<LruCache<Box<[u64]>, Arc<Slice>>>,
}

struct Guarded {
    policy: Policy,
    guards: Vec<Guard>,
    reads: Reads,
}

/// Policies that Cedar evaluates together.
pub(super) struct Slice {
    cedar: PolicySet,
    reads: Reads,
    /// What they say, once they were asked, where they look at nothing: they say it of every call.
    constant: OnceLock<Response>,
}

/// What a policy looks at.
#[derive(Default)]
struct Reads {
    attributes: Vec<Attribute>,
    /// Who calls what.
    names: bool,
    /// And where these belong.
    entities: bool,
}

impl Slices {
    pub(super) fn of(cedar: &PolicySet) -> Self {
        let guarded = |policy: &Policy| {
            let is_short = policy.to_cedar().is_some_and(|text| text.len() <= SLICED_BYTES_MAX);
            match is_short.then(|| policy.to_json().ok()).flatten() {
                Some(json) => Guarded { policy: policy.clone(), guards: Guard::of(&json), reads: Reads::of(&json) },
                // What is not looked into is always asked, about everything.
                None => Guarded { policy: policy.clone(), guards: vec![], reads: Reads::all() },
            }
        };
        let policies: Vec<Guarded> = cedar.policies().map(guarded).collect();
        let slices = SLICED_POLICIES_MAX / policies.len().max(1) + 1;
        let slices = NonZeroUsize::new(slices.min(SLICES_MAX)).unwrap_or(NonZeroUsize::MIN);
        Self { policies, asked: Mutex::new(LruCache::new(slices)) }
    }

    /// The policies that no single fact of the request rules out.
    pub(super) fn for_call(&self, asked: &Asked<'_>) -> Arc<Slice> {
        let speaks = |guarded: &Guarded| guarded.guards.iter().all(|guard| guard.holds(asked));
        let bits = |some: &[Guarded]| some.iter().rev().fold(0, |bits, one| bits << 1 | u64::from(speaks(one)));
        let chosen: Box<[u64]> = self.policies.chunks(64).map(bits).collect();
        let mut known = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slice) = known.get(&chosen) {
            return Arc::clone(slice);
        }
        let slice = Arc::new(self.slice(&chosen));
        known.put(chosen, Arc::clone(&slice));
        slice
    }

    fn slice(&self, chosen: &[u64]) -> Slice {
        let mut slice = Slice { cedar: PolicySet::new(), reads: Reads::default(), constant: OnceLock::new() };
        let is_chosen = |at: usize| chosen.get(at / 64).is_some_and(|bits| bits >> (at % 64) & 1 == 1);
        for (_, guarded) in self.policies.iter().enumerate().filter(|(at, _)| is_chosen(*at)) {
            // INVARIANT: ids were unique in the set these come from, and none of them is a template.
            if slice.cedar.add(guarded.policy.clone()).is_ok() {
                slice.reads.join(&guarded.reads);
            }
        }
        slice
    }
}

impl std::fmt::Debug for Slices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Slices({} policies)", self.policies.len())
    }
}

impl Slice {
    pub(super) fn ask(&self, asked: &Asked<'_>, names: &Names) -> Result<Response, FactsError> {
        if let Some(constant) = self.constant.get() {
            return Ok(constant.clone());
        }
        let question = names.question(asked, &self.reads.attributes)?;
        let entities = if self.reads.entities { names.entities(asked)? } else { Entities::empty() };
        let response = Authorizer::new().is_authorized(&question, &self.cedar, &entities);
        if self.reads.attributes.is_empty() && !self.reads.names {
            let _ = self.constant.set(response.clone()); // another call may have been first, with the same
        }
        Ok(response)
    }
}

impl Reads {
    fn all() -> Self {
        Self { attributes: Attribute::all().collect(), names: true, entities: true }
    }

    /// Of a policy in Cedar's JSON form.
    fn of(policy: &Value) -> Self {
        let mut reads = Self::default();
        for scope in ["principal", "resource"].iter().filter_map(|of| policy.get(of)) {
            let op = scope.get("op").and_then(Value::as_str);
            reads.names |= op != Some("All");
            reads.entities |= scope.get("in").is_some() || op == Some("in");
        }
        reads.walk(policy.get("conditions").unwrap_or(&Value::Null));
        reads
    }

    fn walk(&mut self, node: &Value) {
        if let Some(attribute) = attribute(node) {
            return self.attribute(attribute);
        }
        match (node, node.get("Var").and_then(Value::as_str)) {
            (_, Some("context")) => self.join(&Self { names: false, entities: false, ..Self::all() }),
            (_, Some(_)) => (self.names, self.entities) = (true, true),
            (Value::Object(fields), None) => fields.values().for_each(|field| self.walk(field)),
            (Value::Array(items), None) => items.iter().for_each(|item| self.walk(item)),
            _ => {}
        }
    }

    fn attribute(&mut self, attribute: Attribute) {
        if !self.attributes.contains(&attribute) {
            self.attributes.push(attribute);
        }
    }

    fn join(&mut self, other: &Self) {
        other.attributes.iter().for_each(|attribute| self.attribute(*attribute));
        self.names |= other.names;
        self.entities |= other.entities;
    }
}

#[cfg(test)]
mod tests;
