//! What a sample of a log says of itself: the calls in it, how their sessions were derived, what is missing and what that
//! costs. Names, shapes and sizes only: no value of any call.

mod cost;
mod told;

pub use told::told;

use schema::decode::{DecodeError, Decoded, route};
use schema::{DeadReason, How, Millis, Phase, RawCall, Status, TenantKey};
use std::collections::{BTreeMap, HashSet, VecDeque};

/// What was seen, as it is added up.
pub struct Inspection {
    /// Records looked at.
    pub records: u64,
    /// Parts that are no calls by right.
    pub other: u64,
    /// Calls.
    pub calls: u64,
    /// The newest calls, at most as many as asked for.
    pub newest: VecDeque<Seen>,
    /// Parts that could not be read: how many for each reason, and the first detail.
    pub dead: BTreeMap<String, (u64, String)>,
    /// Calls and sessions by how the session was derived.
    pub derived: BTreeMap<&'static str, Derived>,
    /// Calls that carry a part.
    pub has: BTreeMap<Part, u64>,
    shown: usize,
    key: TenantKey,
    requests: Vec<(String, String)>,
    finished: u64,
}

/// Sessions derived in one way.
#[derive(Default)]
pub struct Derived {
    /// Calls in them.
    pub calls: u64,
    /// How sure.
    pub sure: f64,
    sessions: HashSet<String>,
}

/// A part of a call whose absence costs something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// An id of the gateway's own.
    Id,
    /// On whose behalf.
    Principal,
    /// The agent's name.
    Agent,
    /// The device.
    Device,
    /// Arguments.
    Arguments,
    /// What the user asked, in the call's session.
    Mission,
    /// How the call ended.
    Status,
    /// What came back.
    Result,
}

/// One call, as it is shown.
pub struct Seen {
    /// When.
    pub at: Millis,
    /// Its session.
    pub session: String,
    /// How that was derived.
    pub how: How,
    /// Its agent.
    pub agent: String,
    /// Its tool.
    pub tool: String,
    /// Arguments: path and shape of each.
    pub args: Vec<String>,
    /// How it ended.
    pub status: Option<Status>,
    /// Bytes and sentences of the result, where there is one.
    pub result: Option<(u64, usize)>,
    /// Which part of the call was seen.
    pub phase: Phase,
}

impl Inspection {
    /// Nothing seen yet; `shown` calls will be shown.
    pub fn new(shown: usize, key: TenantKey) -> Self {
        Self {
            records: 0,
            other: 0,
            calls: 0,
            newest: VecDeque::new(),
            dead: BTreeMap::new(),
            derived: BTreeMap::new(),
            has: BTreeMap::new(),
            shown,
            key,
            requests: Vec::new(),
            finished: 0,
        }
    }

    /// Adds what one record held. `record` is the id that its call has where it names none; empty: all are named.
    pub fn add(&mut self, decoded: &Decoded, record: &str) {
        self.records += 1;
        self.other += u64::from(decoded.other);
        decoded.dead.iter().for_each(|error| self.dead(error));
        decoded.calls.iter().for_each(|call| self.call(call, record));
    }

    fn dead(&mut self, error: &DecodeError) {
        let of = self.dead.entry(word(error.reason)).or_insert_with(|| (0, error.detail.clone()));
        of.0 += 1;
    }

    fn call(&mut self, call: &RawCall, record: &str) {
        self.calls += 1;
        self.finished += u64::from(call.phase != Phase::Request);
        let derived = self.derived.entry(how_word(call.how)).or_default();
        derived.calls += 1;
        derived.sure = call.how.sure();
        derived.sessions.insert(call.session.to_string());
        for (part, there) in [
            (Part::Id, record.is_empty() || !call.id.as_str().starts_with(record)),
            (Part::Principal, call.principal.is_some()),
            (Part::Agent, call.agent.as_str() != "unknown"),
            (Part::Device, call.device.is_some()),
            (Part::Arguments, !call.args.is_null()),
            (Part::Mission, call.mission.is_some()),
            (Part::Status, call.status.is_some()),
            (Part::Result, call.result.is_some()),
        ] {
            *self.has.entry(part).or_default() += u64::from(there);
        }
        if let Some((method, path)) = call.tool.as_str().split_once(" /") {
            self.requests.push((method.to_owned(), format!("/{path}")));
        }
        // As anything behind the seal will see it.
        let sealed = schema::seal(call, &self.key);
        if self.newest.len() >= self.shown {
            self.newest.pop_front();
        }
        let shape = |leaf: &schema::Leaf| format!("{}:{}", leaf.path, format!("{:?}", leaf.shape).to_lowercase());
        self.newest.push_back(Seen {
            at: call.at,
            session: call.session.to_string(),
            how: call.how,
            agent: call.agent.to_string(),
            tool: call.tool.to_string(),
            args: sealed.args.iter().map(shape).collect(),
            status: call.status,
            result: sealed.result.map(|text| (u64::from(text.bytes), text.sentences.len())),
            phase: call.phase,
        });
        self.newest.truncate(self.shown);
    }

    /// Share of calls that carry `part`; of those whose end was seen, for what only an end has.
    pub fn share(&self, part: Part) -> f64 {
        let of = if matches!(part, Part::Status | Part::Result) { self.finished } else { self.calls };
        let has = self.has.get(&part).copied().unwrap_or(0);
        if of == 0 { 0.0 } else { has.min(of) as f64 / of as f64 }
    }

    /// Sessions seen, and those in which the user's wish was.
    pub fn sessions(&self) -> usize {
        self.derived.values().map(Derived::sessions).sum()
    }

    /// Routes that the paths suggest.
    pub fn routes(&self) -> Vec<String> {
        route::learn(self.requests.iter().map(|(method, path)| (method.as_str(), path.as_str())))
    }
}

impl Derived {
    /// How many sessions.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }
}

/// How a session was derived, in words.
pub fn how_word(how: How) -> &'static str {
    match how {
        How::Explicit => "named by the record",
        How::Conversation => "by conversation, MCP session or A2A context",
        How::Trace => "by trace id",
        How::Token => "by token or login",
        How::Idle => "by who calls, cut where idle",
    }
}

fn word(reason: DeadReason) -> String {
    // As the dead letter spells it.
    serde_json::to_value(reason).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
