//! Copies of a model through its API, judged per principal across its sessions.
//!
//! One query: sketch → distances to what honest clients send → what it adds → the last ones together → risk.
//! Only distinct queries count, and little where a client stays in one region or varies what it asked before: load tests,
//! canaries and explanations ask the same thing again. Queries drawn from the victim's own data look honest one by one; only many of them show.

mod fit; // honest clients → model
mod judge; // sums → score → risk
mod links; // identities that copy together
mod sketch; // vectors and their distance
mod space; // where honest queries lie
mod walk; // what one principal left behind

use crate::conformal;
use judge::{Judge, NAMES, STATISTICS};
use links::Member;
pub use links::{Delta, LinksState};
use schema::{Call, Evidence, NameHash, PValue, Principal, QueryRecord, Risk, Status};
use serde::{Deserialize, Serialize};
use space::Space;
use std::collections::{BTreeMap, VecDeque};
use walk::Walk;

/// What honest clients of each API send.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Honest {
    apis: BTreeMap<Api, Known>,
}

/// Queries that can be compared: one tenant, app, tool and number of numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Api(u64);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    space: Space,
    judge: Judge,
}

/// One honest principal to learn from.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    /// Its queries in time order, sealed for the tenant.
    pub queries: Vec<QueryRecord>,
    /// Calibration group: one of several is stored, the others are judged by it, and the other way round.
    pub pool: Option<String>,
}

/// What is kept of one principal's queries, at most `APIS_MAX` APIs at some 60 KB.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PrincipalState {
    /// The API asked last comes last.
    walks: VecDeque<(Api, Walk)>,
}

/// What a query makes of its principal.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub risk: Risk,
    pub p_value: PValue,
    pub evidence: Vec<Evidence>,
}

/// An identity of a principal's, for [`Delta`].
fn identity(query: &QueryRecord) -> u64 {
    NameHash::of("query principal", query.principal.as_str()).0
}

/// APIs remembered of one principal.
const APIS_MAX: usize = 4;
/// p-values above this name nothing.
const NAMED_BELOW: f64 = 0.25;
/// Reasons below this share are left out.
const SHARE_MIN: f64 = 0.05;

impl Honest {
    /// Learns from honest clients; `None` where no API has enough of them.
    pub(crate) fn fit(clients: &[Client], seed: u64) -> Option<Self> {
        fit::fit(clients, seed)
    }

    /// Moves `state` past one query and says how unlike an honest client its principal now looks.
    ///
    /// An API that was not seen in the fit says nothing either way: risk 0, p-value 1.
    ///
    /// What is to be taken to [`Honest::observe_links`] comes with it, where there is anything.
    pub(crate) fn observe(&self, state: &mut PrincipalState, query: &QueryRecord) -> (Finding, Option<Delta>) {
        let api = Api::of(query);
        let Some(Known { space, judge }) = self.apis.get(&api) else { return (Finding::nothing(), None) };
        let mut walk = state.take(api);
        if let Some((step, placed)) = walk.step(&query.query, space) {
            let step = judge.weigh(step, &mut walk.varied);
            walk.keep(judge.standardise(step), &placed.offset);
        }
        let statistics = judge.statistics(&walk);
        let (score, parts) = judge.score(statistics);
        let finding = match judge.hears(statistics) {
            true => Finding::of(judge, score, || reasons(statistics, parts, walk.distinct)),
            false => Finding::nothing(),
        };
        let member = Member::of(&walk, identity(query), query.at, judge);
        state.put(api, walk);
        (finding, member.map(|member| Delta { api, member }))
    }

    /// Moves the `state` of an API's links past what one of its principals' queries added, and says how unlike honest clients
    /// those look that go with it.
    pub(crate) fn observe_links(&self, state: &mut LinksState, delta: Delta) -> Finding {
        let Some(Known { judge, .. }) = self.apis.get(&delta.api) else { return Finding::nothing() };
        let Some(together) = state.take(delta.member, judge) else { return Finding::nothing() };
        if !judge.links.hears(together.value) {
            return Finding::nothing();
        }
        let name = "linked_identities".to_owned();
        let linked = Evidence::Feature { name, value: together.identities as f64, share: 1.0 };
        Finding::of(judge, judge.links.of(together.value), || vec![linked])
    }
}

impl Finding {
    fn of(judge: &Judge, score: f64, evidence: impl FnOnce() -> Vec<Evidence>) -> Self {
        let p_value = judge.calibration.p_value(score, false);
        let evidence = if p_value.get() <= NAMED_BELOW { evidence() } else { Vec::new() };
        Self { risk: conformal::risk(score), p_value, evidence }
    }

    fn nothing() -> Self {
        Self { risk: Risk::clamped(0.0), p_value: PValue::clamped(1.0), evidence: Vec::new() }
    }
}

/// The statistics beyond the honest middle, strongest first, and how many distinct queries they rest on.
fn reasons(statistics: [f64; STATISTICS], parts: [f64; STATISTICS], distinct: u64) -> Vec<Evidence> {
    let above = parts.map(|part| (part + 1.0).max(0.0));
    let total: f64 = above.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let mut out: Vec<(f64, Evidence)> = Vec::with_capacity(STATISTICS + 1);
    for ((name, value), part) in NAMES.iter().zip(statistics).zip(above) {
        let share = part / total;
        if share >= SHARE_MIN {
            out.push((share, Evidence::Feature { name: (*name).to_owned(), value, share }));
        }
    }
    out.sort_by(|a, b| b.0.total_cmp(&a.0));
    out.push((0.0, Evidence::Feature { name: "distinct_queries".to_owned(), value: distinct as f64, share: 0.0 }));
    out.into_iter().map(|(_, evidence)| evidence).collect()
}

impl Api {
    fn of(query: &QueryRecord) -> Self {
        let app = query.app.as_ref().map_or("", |app| app.as_str());
        let name = format!("{}\u{1f}{app}\u{1f}{}\u{1f}{}", query.tenant, query.tool, query.query.numbers);
        Self(NameHash::of("query api", &name).0)
    }
}

impl PrincipalState {
    fn take(&mut self, api: Api) -> Walk {
        let at = self.walks.iter().position(|(known, _)| *known == api);
        at.and_then(|at| self.walks.remove(at)).map(|(_, walk)| walk).unwrap_or_default()
    }

    fn put(&mut self, api: Api, walk: Walk) {
        if self.walks.len() >= APIS_MAX {
            self.walks.pop_front();
        }
        self.walks.push_back((api, walk));
    }
}

/// The call as the principals stage sees it; `None` when its arguments are no query.
pub fn query_record(call: &Call) -> Option<QueryRecord> {
    let query = call.query.clone()?;
    let principal = call.principal.clone().or_else(|| Principal::new(call.agent.as_str()).ok())?;
    Some(QueryRecord {
        v: schema::RECORD_VERSION,
        id: call.id.clone(),
        at: call.at,
        tenant: call.tenant.clone(),
        principal,
        session: call.session.clone(),
        agent: call.agent.clone(),
        device: call.device.clone(),
        app: call.app.clone(),
        tool: call.tool.clone(),
        query,
        failed: call.status == Some(Status::Error),
        result_bytes: call.result_bytes,
    })
}

#[cfg(test)]
mod tests;
