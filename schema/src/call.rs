//! The sealed call: all that anything behind the seal ever sees of one.

use crate::{
    Agent, App, CallId, Cues, Device, Fp, How, KeyId, Millis, NameHash, Path, Principal, QuerySketch, Session, Tenant,
    Text, Token, Tool, TraceParent,
};
use serde::{Deserialize, Serialize};

/// Which part of a call a sighting shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Before it went through: no status, no result.
    Request,
    /// Its answer only.
    Result,
    /// The finished call.
    #[default]
    Done,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It worked.
    Ok,
    /// The tool failed.
    Error,
    /// A gateway or policy stopped it.
    Denied,
}

/// One call, sealed: identifiers in clear, every value as keyed fingerprints, shapes and sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Record version, [`crate::RECORD_VERSION`].
    pub v: u8,
    /// Shared by all sightings.
    pub id: CallId,
    /// When it was seen.
    pub at: Millis,
    /// Whose traffic.
    pub tenant: Tenant,
    /// Which session.
    pub session: Session,
    /// How the session was derived.
    pub how: How,
    /// The session that started this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Session>,
    /// Place in the session, where the gateway counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Which part of the call this shows.
    pub phase: Phase,
    /// The agent.
    pub agent: Agent,
    /// On whose behalf.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Principal>,
    /// Delegation chain, outermost first, at most [`crate::limits::ACTORS_MAX`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actor: Vec<Agent>,
    /// Certificate subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<Device>,
    /// Application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<App>,
    /// The tool.
    pub tool: Tool,
    /// Stems of the tool's name, fingerprinted like text so that a sentence can be found to name it.
    pub tool_stems: Vec<Token>,
    /// Stems of the tool's description, where the record carries one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_description: Vec<Token>,
    /// The tool says it changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Which key made the fingerprints.
    pub fpk: KeyId,
    /// One a scalar of the arguments, in document order, at most [`crate::limits::LEAVES_MAX`].
    pub args: Vec<Leaf>,
    /// Leaves that were cut.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub args_cut: u32,
    /// What the user asked since the last call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mission: Option<Text>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// What came back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Text>,
    /// Length of the result in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_bytes: Option<u64>,
    /// Sketch of the query, where the arguments are one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<QuerySketch>,
    /// Where the time went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments_ms: Option<Segments>,
    /// What the agent said of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<Telemetry>,
    /// What it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// Trace context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceParent>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// One scalar of the arguments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leaf {
    /// Where it stands, array indices left out: `participants[].email`. Keys that do not look like names read `*`.
    pub path: Path,
    /// What it looks like.
    pub shape: Shape,
    /// [`Cues::HIDDEN`] and [`Cues::ENCODED`], where they are so.
    #[serde(default, skip_serializing_if = "Cues::is_empty")]
    pub cues: Cues,
    /// Length in bytes as written.
    pub bytes: u32,
    /// Fingerprint of the whole normalised value.
    pub whole: Fp,
    /// Its words and entities, then those of what it holds encoded; at most [`crate::limits::LEAF_TOKENS_MAX`].
    #[serde(with = "crate::text::packed")]
    pub tokens: Vec<Token>,
}

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Null or the empty string, object or list.
    Empty,
    /// True or false.
    Bool,
    /// A number, also one written as text.
    Number,
    /// A date or time.
    Date,
    /// An e-mail address or handle.
    Address,
    /// A URL or host name.
    Url,
    /// A file path.
    Path,
    /// Letters and digits mixed, or a long code.
    Id,
    /// One word.
    Word,
    /// Two to six words.
    Phrase,
    /// More than six words.
    Prose,
    /// Mostly not text.
    Blob,
}

impl Shape {
    /// All shapes, in order.
    pub const ALL: [Shape; 12] = [
        Shape::Empty,
        Shape::Bool,
        Shape::Number,
        Shape::Date,
        Shape::Address,
        Shape::Url,
        Shape::Path,
        Shape::Id,
        Shape::Word,
        Shape::Phrase,
        Shape::Prose,
        Shape::Blob,
    ];
}

/// Milliseconds spent in each segment of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Segments {
    /// On the device.
    pub device: f32,
    /// On the way.
    pub transit: f32,
    /// In the tool.
    pub tool: f32,
}

/// The agent's own telemetry, declared and therefore never trusted to lower a risk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Telemetry {
    /// Declared confidence, 0..1.
    pub confidence: Option<f32>,
    /// Declared intent, as a name.
    pub intent: Option<NameHash>,
    /// Kinds of plan steps, as names.
    pub steps: Vec<NameHash>,
    /// Generation speed.
    pub tokens_per_s: Option<f32>,
    /// Thermal state, as a name.
    pub thermal: Option<NameHash>,
    /// Memory state, as a name.
    pub memory: Option<NameHash>,
    /// Model and version, as a name.
    pub model: Option<NameHash>,
}

/// What a call cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Tokens.
    pub tokens: u64,
    /// Units of the operator's currency.
    pub units: f64,
}
