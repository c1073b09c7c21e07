//! Missions: what a session was started for, as its operator declares it. A call outside is scored like any other; that
//! it is outside is one more fact for the policies, and raises its session's risk.

use crate::circumstances::Fit;
use crate::limits::{MISSION_TOOLS_MAX, MISSIONS_MAX};
use crate::shards::Shards;
use schema::{Budgets, Call, Device, Millis, Principal, Session, Tenant, Tool};
use serde::Deserialize;

/// What a session may do. Everything that is left out is not limited.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mission {
    /// Whose traffic. Default: `default`.
    #[serde(default)]
    pub tenant: Option<Tenant>,
    /// On whose behalf.
    #[serde(default)]
    pub principal: Option<Principal>,
    /// The device it runs on.
    #[serde(default)]
    pub device: Option<Device>,
    /// The session.
    pub session: Session,
    /// Tools it may call.
    #[serde(default)]
    pub tools: Option<Vec<Tool>>,
    /// Calls it may make.
    #[serde(default)]
    pub calls: Option<u32>,
    /// What it may cost, in thousandths of the operator's currency unit.
    #[serde(default)]
    pub milliunits: Option<u64>,
    /// Until when (exclusive), in ms since the epoch.
    #[serde(default)]
    pub until: Option<Millis>,
}

/// Why a mission is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} tools in a mission, over the limit of {MISSION_TOOLS_MAX}")]
pub struct TooManyTools(usize);

/// The missions declared: the least recently used go first.
pub struct Missions(Shards<Option<Box<Mission>>>);

impl Default for Missions {
    fn default() -> Self {
        Self(Shards::new(MISSIONS_MAX))
    }
}

impl Missions {
    /// Declares a mission; a later one for the same session takes its place.
    pub fn declare(&self, mut mission: Mission) -> Result<(), TooManyTools> {
        if let Some(tools) = mission.tools.as_ref().filter(|tools| tools.len() > MISSION_TOOLS_MAX) {
            return Err(TooManyTools(tools.len()));
        }
        let tenant = mission.tenant.take().map_or_else(|| "default".to_owned(), String::from);
        let key = self.key(&tenant, mission.principal.as_ref(), mission.device.as_ref(), &mission.session);
        self.0.with(key, |declared| *declared = Some(Box::new(mission)));
        Ok(())
    }

    /// How `call` fits, when its session has used `used` before it.
    pub fn fit(&self, call: &Call, used: Budgets, now: Millis) -> Fit {
        let key = self.key(call.tenant.as_str(), call.principal.as_ref(), call.device.as_ref(), &call.session);
        let fit = self.0.read(key, |declared| declared.as_ref().map(|mission| mission.fit(call, used, now)));
        fit.flatten().unwrap_or_default()
    }

    fn key(&self, tenant: &str, who: Option<&Principal>, device: Option<&Device>, session: &Session) -> u64 {
        self.0.key(&(tenant, who, device, session))
    }
}

impl Mission {
    fn fit(&self, call: &Call, used: Budgets, now: Millis) -> Fit {
        if self.until.is_some_and(|until| now >= until) {
            Fit::Deadline
        } else if self.tools.as_ref().is_some_and(|tools| !tools.contains(&call.tool)) {
            Fit::Tool
        } else if self.calls.is_some_and(|max| used.calls >= max)
            || self.milliunits.is_some_and(|max| used.milliunits >= max)
        {
            Fit::Budget
        } else {
            Fit::Inside
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::decode::{Received, native};
    use schema::{TenantKey, seal};

    fn call(session: &str, principal: &str, tool: &str) -> Call {
        let json = format!(r#"{{"session":"{session}","principal":"{principal}","tool":"{tool}","at":1}}"#);
        let raw = native::decode(json.as_bytes(), &Received { at: Millis(1), id: "0".to_owned() }).unwrap();
        seal(&raw, &TenantKey::new([7; 32]))
    }

    fn check(call: &Call, calls: u32, now: u64, want: Fit) {
        let missions = Missions::default();
        let declared = r#"{"session":"s","principal":"u","tools":["read","book"],"calls":3,"until":1000}"#;
        missions.declare(serde_json::from_str(declared).unwrap()).unwrap();
        assert_eq!(missions.fit(call, Budgets { calls, ..Budgets::default() }, Millis(now)), want);
    }

    #[test]
    fn a_call_is_held_against_what_was_declared_for_its_session() {
        check(&call("s", "u", "book"), 2, 999, Fit::Inside);
        check(&call("s", "u", "pay"), 0, 0, Fit::Tool);
        check(&call("s", "u", "book"), 3, 0, Fit::Budget);
        check(&call("s", "u", "book"), 0, 1_000, Fit::Deadline);
        check(&call("other", "u", "pay"), 9, 9_999, Fit::Undeclared);
        // Naming another's session does not bring its mission.
        check(&call("s", "mallory", "book"), 0, 0, Fit::Undeclared);
    }
}
