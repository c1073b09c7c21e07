//! Where decisions bind: one default, exceptions by route, tenant or agent that expire, and one switch back.

use crate::limits::ROUTES_MAX;
use schema::{Call, Millis, Mode};
use serde::{Deserialize, Serialize};

/// An exception. A field that is left out matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ModeRule {
    /// The route, as the gateway names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The agent; `travel-planner` also covers `travel-planner@3.2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The mode there.
    pub mode: Mode,
    /// Until when (exclusive); after that the rule is as if it were not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
}

/// Why modes are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} mode rules, over the limit of {ROUTES_MAX}")]
pub struct TooManyModeRules(usize);

/// The modes in force. The default is shadow everywhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Modes {
    /// Where no rule matches.
    pub default: Mode,
    /// The first that matches counts.
    pub rules: Vec<ModeRule>,
    /// The one switch: everything is observed only, whatever the rules say.
    pub observe_all: bool,
}

impl Modes {
    /// One mode everywhere.
    pub fn only(mode: Mode) -> Self {
        Self { default: mode, ..Self::default() }
    }

    /// Checks the number of rules.
    pub fn check(self) -> Result<Self, TooManyModeRules> {
        if self.rules.len() > ROUTES_MAX { Err(TooManyModeRules(self.rules.len())) } else { Ok(self) }
    }

    /// The mode for `call` on `route`; `None` asks for a call that could not be sealed.
    pub fn at(&self, route: Option<&str>, call: Option<(&str, &str)>, now: Millis) -> Mode {
        if self.observe_all {
            return Mode::Observe;
        }
        let applies = |rule: &&ModeRule| {
            rule.until.is_none_or(|until| now < until)
                && rule.route.as_deref().is_none_or(|wanted| route == Some(wanted))
                && rule.tenant.as_deref().is_none_or(|wanted| call.is_some_and(|(tenant, _)| tenant == wanted))
                && rule.agent.as_deref().is_none_or(|wanted| call.is_some_and(|(_, agent)| is_agent(agent, wanted)))
        };
        self.rules.iter().find(applies).map_or(self.default, |rule| rule.mode)
    }

    /// The mode for a sealed call.
    pub fn of(&self, route: Option<&str>, call: &Call, now: Millis) -> Mode {
        self.at(route, Some((call.tenant.as_str(), call.agent.as_str())), now)
    }
}

fn is_agent(agent: &str, wanted: &str) -> bool {
    agent.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(agent: &str, mode: Mode, until: Option<u64>) -> ModeRule {
        ModeRule { route: None, tenant: None, agent: Some(agent.to_owned()), mode, until: until.map(Millis) }
    }

    fn check(modes: &Modes, agent: &str, now: u64, want: Mode) {
        assert_eq!(modes.at(Some("r"), Some(("acme", agent)), Millis(now)), want, "{agent} at {now}");
    }

    #[test]
    fn nothing_binds_until_told_otherwise() {
        check(&Modes::default(), "planner", 0, Mode::Shadow);
    }

    #[test]
    fn enforcement_for_one_agent_covers_its_versions_and_ends_when_it_expires() {
        let modes = Modes { rules: vec![rule("planner", Mode::Enforce, Some(100))], ..Modes::default() };
        check(&modes, "planner@3.2", 99, Mode::Enforce);
        check(&modes, "planner@3.2", 100, Mode::Shadow);
        check(&modes, "planners", 99, Mode::Shadow);
    }

    #[test]
    fn one_switch_takes_everything_back_to_observe() {
        let modes = Modes { rules: vec![rule("planner", Mode::Enforce, None)], observe_all: true, ..Modes::default() };
        check(&modes, "planner", 0, Mode::Observe);
    }
}
