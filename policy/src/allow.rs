//! Allowlists: calls that go through whatever the policies say, because somebody answers for it, for a reason, until a
//! day. They change decisions and never scores: what was suppressed stays in the decision's reasons.

use crate::limits::{ALLOW_BYTES_MAX, ALLOW_ENTRIES_MAX};
use schema::{Call, Decision, Ladder, Millis, Mode, PolicyId};
use serde::{Deserialize, Serialize};

/// One entry. A field of the scope that is left out matches everything; one at least has to be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Its name, shown as `allow:<id>` in the reasons.
    pub id: PolicyId,
    /// What it covers.
    #[serde(flatten)]
    pub scope: Scope,
    /// Who answers for it.
    pub owner: String,
    /// Why.
    pub reason: String,
    /// Until when (exclusive), in ms since the epoch.
    pub expires: Millis,
}

/// Which calls an entry covers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The agent; `travel-planner` also covers `travel-planner@3.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The principal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// The policy whose word is suppressed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
}

/// Why an allowlist is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AllowError {
    /// A line is no entry.
    #[error("line {line}: {message}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// An entry that would let everything through.
    #[error("entry `{0}` covers every call there is: name a tenant, agent, principal, session, tool or policy")]
    Everything(PolicyId),
    /// An entry that nobody answers for.
    #[error("entry `{0}` has no owner or no reason")]
    Nobody(PolicyId),
    /// An id that stands twice.
    #[error("entry `{0}` stands twice")]
    Twice(PolicyId),
    /// Too long.
    #[error("{0} bytes, over the limit of {ALLOW_BYTES_MAX}")]
    TooLong(usize),
    /// Too many.
    #[error("{0} entries, over the limit of {ALLOW_ENTRIES_MAX}")]
    TooMany(usize),
}

/// A checked allowlist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowlist(Vec<Allow>);

impl Allowlist {
    /// Reads one JSON object a line; empty lines are passed over.
    pub fn parse(text: &str) -> Result<Self, AllowError> {
        if text.len() > ALLOW_BYTES_MAX {
            return Err(AllowError::TooLong(text.len()));
        }
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let entries = lines.map(|(at, line)| {
            serde_json::from_str(line).map_err(|error| AllowError::Line { line: at + 1, message: error.to_string() })
        });
        Self::check(entries.collect::<Result<_, _>>()?)
    }

    /// Checks entries that were read already.
    pub fn check(entries: Vec<Allow>) -> Result<Self, AllowError> {
        if entries.len() > ALLOW_ENTRIES_MAX {
            return Err(AllowError::TooMany(entries.len()));
        }
        let mut ids = std::collections::HashSet::new();
        for entry in &entries {
            if entry.scope == Scope::default() {
                return Err(AllowError::Everything(entry.id.clone()));
            }
            if entry.owner.trim().is_empty() || entry.reason.trim().is_empty() {
                return Err(AllowError::Nobody(entry.id.clone()));
            }
            if !ids.insert(&entry.id) {
                return Err(AllowError::Twice(entry.id.clone()));
            }
        }
        Ok(Self(entries))
    }

    /// All entries, as they stand.
    pub fn entries(&self) -> &[Allow] {
        &self.0
    }

    /// As [`Self::parse`] reads it.
    pub fn write(&self) -> String {
        // INVARIANT: strings and numbers only, so an entry is always representable.
        self.0.iter().filter_map(|entry| serde_json::to_string(entry).ok()).map(|line| line + "\n").collect()
    }

    /// The decision, let through where an entry in force covers it. Its reasons are kept behind the entry's name.
    pub fn apply(&self, decision: Decision, call: &Call, now: Millis) -> Decision {
        if decision.would == Ladder::Allow || decision.mode == Mode::Observe {
            return decision;
        }
        let Some(entry) = self.0.iter().find(|entry| now < entry.expires && entry.scope.covers(&decision, call)) else {
            return decision;
        };
        let Ok(name) = PolicyId::new(&format!("allow:{}", entry.id)) else { return decision };
        let reasons = std::iter::once(name).chain(decision.reasons).collect();
        Decision { decision: Ladder::Allow, would: Ladder::Allow, reasons, retry_after_ms: None, ..decision }
    }
}

impl Scope {
    fn covers(&self, decision: &Decision, call: &Call) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|w| found == Some(w));
        let agent = |wanted: &str| {
            call.agent.as_str().strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
        };
        is(&self.tenant, Some(call.tenant.as_str()))
            && self.agent.as_deref().is_none_or(agent)
            && is(&self.principal, call.principal.as_ref().map(AsRef::as_ref))
            && is(&self.session, Some(call.session.as_str()))
            && is(&self.tool, Some(call.tool.as_str()))
            && is(&self.policy, decision.reasons.first().map(AsRef::as_ref))
    }
}
