//! Missions: what a session was started for, as its operator declares it. A call outside is scored like any other; that
//! it is outside is one more fact for the policies, and raises its session's risk.

use crate::circumstances::Fit;
use crate::limits::{MISSION_TEXT_BYTES_MAX, MISSION_TOOLS_MAX, MISSIONS_MAX};
use crate::shards::Shards;
use schema::{Budgets, Call, Device, Millis, Principal, RawCall, Session, Tenant, Tool};
use serde::{Deserialize, Serialize};

/// What a session may do. Everything that is left out is not limited.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
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
    /// What the user asked, in the user's words. It goes with the session's next call, is sealed with it, and is gone
    /// from here then: values the user named are not foreign to the task. Declaring again says what was asked next.
    #[serde(default)]
    pub text: Option<String>,
}

/// Without the user's words.
impl std::fmt::Debug for Mission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mission({}, ..)", self.session)
    }
}

/// Why a mission is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MissionError {
    /// It names too many tools.
    #[error("{0} tools in a mission, over the limit of {MISSION_TOOLS_MAX}")]
    TooManyTools(usize),
    /// Its text is too long.
    #[error("a mission's text of {0} bytes, over the limit of {MISSION_TEXT_BYTES_MAX}")]
    TooLong(usize),
}

/// The missions declared: the least recently used go first.
pub struct Missions(Shards<Option<Box<Mission>>>);

impl Default for Missions {
    fn default() -> Self {
        Self(Shards::new(MISSIONS_MAX))
    }
}

impl Missions {
    /// Declares a mission; a later one for the same session takes its place.
    pub fn declare(&self, mut mission: Mission) -> Result<(), MissionError> {
        mission.check()?;
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

    /// What was asked of the session of `raw` since its last call: handed out once.
    pub fn take_text(&self, raw: &RawCall) -> Option<String> {
        self.take(self.key(raw.tenant.as_str(), raw.principal.as_ref(), raw.device.as_ref(), &raw.session))
    }

    /// The same for a call that was sealed before what was asked was known.
    pub fn take_text_of(&self, call: &Call) -> Option<String> {
        self.take(self.key(call.tenant.as_str(), call.principal.as_ref(), call.device.as_ref(), &call.session))
    }

    fn take(&self, key: u64) -> Option<String> {
        self.0.change(key, |declared| declared.as_mut()?.text.take()).flatten()
    }

    fn key(&self, tenant: &str, who: Option<&Principal>, device: Option<&Device>, session: &Session) -> u64 {
        self.0.key(&(tenant, who, device, session))
    }
}

impl Mission {
    /// Whether it keeps within its bounds.
    pub fn check(&self) -> Result<(), MissionError> {
        if let Some(tools) = self.tools.as_ref().filter(|tools| tools.len() > MISSION_TOOLS_MAX) {
            return Err(MissionError::TooManyTools(tools.len()));
        }
        if let Some(text) = self.text.as_ref().filter(|text| text.len() > MISSION_TEXT_BYTES_MAX) {
            return Err(MissionError::TooLong(text.len()));
        }
        Ok(())
    }

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
    fn what_the_user_asked_goes_with_one_call_of_that_session_and_is_printed_nowhere() {
        let raw = |session: &str| {
            let json = format!(r#"{{"session":"{session}","principal":"u","tool":"pay","at":1}}"#);
            native::decode(json.as_bytes(), &Received { at: Millis(1), id: "0".to_owned() }).unwrap()
        };
        let missions = Missions::default();
        let mission: Mission =
            serde_json::from_str(r#"{"session":"s","principal":"u","tools":["pay"],"text":"pay Ada"}"#).unwrap();
        assert!(!format!("{mission:?}").contains("Ada"));
        missions.declare(mission.clone()).unwrap();
        assert_eq!(missions.take_text(&raw("other")), None);
        assert_eq!(missions.take_text(&raw("s")).as_deref(), Some("pay Ada"));
        assert_eq!(missions.take_text(&raw("s")), None);
        assert_eq!(missions.fit(&call("s", "u", "read"), Budgets::default(), Millis(0)), Fit::Tool, "the rest stays");
        let long = Mission { text: Some("x".repeat(MISSION_TEXT_BYTES_MAX + 1)), ..mission };
        assert_eq!(missions.declare(long), Err(MissionError::TooLong(MISSION_TEXT_BYTES_MAX + 1)));
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
