//! What annotations add to a Cedar policy: its place on the ladder, and how to answer.

use super::PolicyError;
use crate::limits::RETRY_AFTER_MS_MAX;
use cedar_policy::{Effect, Policy};
use schema::{Ladder, PolicyId};

/// One policy, as its annotations describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// `@id`; without one, `policy` and its place in the file from 0.
    pub id: PolicyId,
    /// Place in the file, from 0.
    pub order: usize,
    /// What it asks for: `allow` for a permit; for a forbid `@ladder`, and deny without one.
    pub ladder: Ladder,
    /// `@retry_after_ms` of a throttle.
    pub retry_after_ms: Option<u64>,
    /// `@acr_values` of a step-up (RFC 9470, section 3).
    pub acr_values: Option<String>,
    /// `@max_age_s` of a step-up (RFC 9470, section 3).
    pub max_age_s: Option<u32>,
    /// `@while_learning("binds")`.
    pub binds_while_learning: bool,
    /// `@why`, for people.
    pub why: Option<String>,
}

impl Rule {
    pub(super) fn read(text: &str, policy: &Policy) -> Result<Self, PolicyError> {
        let wrong = |message: String| PolicyError::annotation(text, policy, message);
        let cedar_id = policy.id().to_string();
        let order = cedar_id.strip_prefix("policy").and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
        let name = policy.annotation("id").unwrap_or(&cedar_id);
        let mut rule = Self {
            id: PolicyId::new(name).map_err(|error| wrong(format!("@id: {error}")))?,
            order,
            ladder: if policy.effect() == Effect::Permit { Ladder::Allow } else { Ladder::Deny },
            retry_after_ms: None,
            acr_values: None,
            max_age_s: None,
            binds_while_learning: false,
            why: policy.annotation("why").map(str::to_owned),
        };
        if let Some(ladder) = policy.annotation("ladder") {
            rule.ladder = ladder_of(ladder, policy.effect()).map_err(&wrong)?;
        }
        for (key, value) in policy.annotations() {
            rule.annotate(key, value).map_err(&wrong)?;
        }
        Ok(rule)
    }

    fn annotate(&mut self, key: &str, value: &str) -> Result<(), String> {
        let only = |ladder: Ladder, name: &str| match self.ladder == ladder {
            true => Ok(()),
            false => Err(format!("@{key} belongs to a policy with @ladder(\"{name}\")")),
        };
        match key {
            "id" | "ladder" | "why" => {}
            "retry_after_ms" => {
                only(Ladder::Throttle, "throttle")?;
                self.retry_after_ms = Some(number(key, value, RETRY_AFTER_MS_MAX)?);
            }
            "max_age_s" => {
                only(Ladder::StepUp, "step_up")?;
                self.max_age_s = Some(number(key, value, u64::from(u32::MAX))? as u32);
            }
            "acr_values" => {
                only(Ladder::StepUp, "step_up")?;
                // It travels inside a quoted string of a header (RFC 9110, section 5.6.4).
                if value.is_empty() || !value.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\') {
                    return Err("@acr_values takes printable ASCII without quotes and backslashes".to_owned());
                }
                self.acr_values = Some(value.to_owned());
            }
            "while_learning" if value == "binds" => self.binds_while_learning = true,
            "while_learning" => return Err(format!("@while_learning takes \"binds\", not `{value}`")),
            _ => {
                return Err(format!(
                    "unknown annotation `@{key}`: known are id, ladder, retry_after_ms, acr_values, max_age_s, while_learning, why"
                ));
            }
        }
        Ok(())
    }
}

fn ladder_of(text: &str, effect: Effect) -> Result<Ladder, String> {
    match (effect, text) {
        (Effect::Permit, "allow") => Ok(Ladder::Allow),
        (Effect::Permit, _) => Err("a permit lets calls through: put @ladder on a forbid".to_owned()),
        (Effect::Forbid, "throttle") => Ok(Ladder::Throttle),
        (Effect::Forbid, "step_up") => Ok(Ladder::StepUp),
        (Effect::Forbid, "deny") => Ok(Ladder::Deny),
        (Effect::Forbid, _) => Err(format!("@ladder takes \"throttle\", \"step_up\" or \"deny\", not `{text}`")),
    }
}

fn number(key: &str, value: &str, max: u64) -> Result<u64, String> {
    value
        .parse()
        .ok()
        .filter(|n| *n <= max)
        .ok_or_else(|| format!("@{key} takes a whole number up to {max}, not `{value}`"))
}
