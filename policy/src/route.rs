//! Routes of a gateway: how long an answer may take there, and what happens when it takes longer.

use crate::Fallback;
use crate::limits::{DEADLINE_MS_MAX, ROUTES_MAX};
use schema::RawSegments;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// One route, as the gateway names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// An answer takes no longer than this. Default: 5 ms.
    pub deadline_ms: u64,
    /// What happens when it does. Default: what was last known of the session decides.
    pub fallback: Fallback,
    /// What each part of a call may take; more is counted. Default: nothing is.
    pub budgets_ms: BudgetsMs,
}

/// Milliseconds that each part of a call may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetsMs {
    /// On the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<u32>,
    /// On the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transit: Option<u32>,
    /// In the tool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool: Option<u32>,
}

impl BudgetsMs {
    /// The parts of a call that took longer.
    pub fn breaches(&self, took: &RawSegments) -> impl Iterator<Item = &'static str> {
        let parts = [
            ("device", self.device, took.device),
            ("transit", self.transit, took.transit),
            ("tool", self.tool, took.tool),
        ];
        parts
            .into_iter()
            .filter(|(_, max, took)| max.zip(*took).is_some_and(|(max, took)| took > f64::from(max)))
            .map(|(name, ..)| name)
    }
}

impl Default for Route {
    fn default() -> Self {
        Self { deadline_ms: 5, fallback: Fallback::default(), budgets_ms: BudgetsMs::default() }
    }
}

/// Why routes are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// A deadline is zero or too long.
    #[error("route `{route}`: deadline_ms must lie in 1..={DEADLINE_MS_MAX}, got {found}")]
    Deadline {
        /// Which route; `*` is the default.
        route: String,
        /// What was given.
        found: u64,
    },
    /// Too many routes.
    #[error("{0} routes, over the limit of {ROUTES_MAX}")]
    TooMany(usize),
}

/// All routes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Routes {
    /// A call whose route is not listed, or not told.
    pub default: Route,
    /// By name.
    pub named: BTreeMap<String, Route>,
}

impl Routes {
    /// Checks every bound.
    pub fn check(self) -> Result<Self, RouteError> {
        if self.named.len() > ROUTES_MAX {
            return Err(RouteError::TooMany(self.named.len()));
        }
        let all =
            std::iter::once(("*", &self.default)).chain(self.named.iter().map(|(name, route)| (name.as_str(), route)));
        for (name, route) in all {
            if !(1..=DEADLINE_MS_MAX).contains(&route.deadline_ms) {
                return Err(RouteError::Deadline { route: name.to_owned(), found: route.deadline_ms });
            }
        }
        Ok(self)
    }

    /// The route called `name`.
    pub fn of(&self, name: Option<&str>) -> Route {
        name.and_then(|name| self.named.get(name)).copied().unwrap_or(self.default)
    }
}

impl Route {
    /// How long an answer may take when the caller itself waits no longer than `caller`.
    pub fn deadline(&self, caller: Option<Duration>) -> Duration {
        let own = Duration::from_millis(self.deadline_ms);
        caller.map_or(own, |caller| own.min(caller))
    }

    /// How long a score is waited for: an answer without it has to be there by the deadline, and timers are a
    /// millisecond late.
    pub(crate) fn patience(&self, caller: Option<Duration>) -> Duration {
        let deadline = self.deadline(caller);
        deadline - TIMER_GRAIN.min(deadline / 2)
    }
}

/// What tokio's timers resolve.
const TIMER_GRAIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unlisted_route_has_five_milliseconds_and_falls_back_on_the_standing() {
        let route = Routes::default().check().unwrap().of(Some("payments"));
        assert_eq!(route, Route { deadline_ms: 5, fallback: Fallback::LastStanding, ..Route::default() });
    }

    #[test]
    fn a_route_that_never_answers_is_refused() {
        let named = BTreeMap::from([("slow".to_owned(), Route { deadline_ms: 0, ..Route::default() })]);
        let error = Routes { named, ..Routes::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "route `slow`: deadline_ms must lie in 1..=60000, got 0");
    }

    #[test]
    fn a_part_of_a_call_over_its_budget_is_named() {
        let budgets = BudgetsMs { tool: Some(80), transit: Some(20), device: None };
        let took = RawSegments { device: Some(9e9), transit: Some(20.0), tool: Some(80.5) };
        assert_eq!(budgets.breaches(&took).collect::<Vec<_>>(), ["tool"]);
    }

    #[test]
    fn the_shorter_of_two_deadlines_counts() {
        let route = Route { deadline_ms: 50, ..Route::default() };
        assert_eq!(route.deadline(Some(Duration::from_millis(3))), Duration::from_millis(3));
        assert_eq!(route.deadline(Some(Duration::from_secs(3))), Duration::from_millis(50));
        assert_eq!(route.patience(None), Duration::from_millis(49));
        assert_eq!(route.patience(Some(Duration::from_micros(300))), Duration::from_micros(150));
    }
}
