//! What a decoder yields: the call record of DESIGN as it came, raw text and all. It lives between a decoder and
//! [`crate::seal`], is never stored, and does not print its contents.

use crate::{Agent, App, CallId, Device, Millis, Phase, Principal, Session, Status, Tenant, Tool, TraceParent};
use serde_json::Value;

/// One sighting of a call, unsealed.
#[derive(Clone)]
pub struct RawCall {
    /// Shared by all sightings of the call.
    pub id: CallId,
    /// When it was seen.
    pub at: Millis,
    /// Whose traffic.
    pub tenant: Tenant,
    /// Which session, and how that was found out.
    pub session: Session,
    /// How the session was derived.
    pub how: crate::How,
    /// The session that started this one.
    pub parent: Option<Session>,
    /// Place in the session, where the gateway counts.
    pub seq: Option<u64>,
    /// Which part of the call this sighting shows.
    pub phase: Phase,
    /// The agent's name; empty logs yield `unknown`.
    pub agent: Agent,
    /// On whose behalf.
    pub principal: Option<Principal>,
    /// Delegation chain, outermost first.
    pub actor: Vec<Agent>,
    /// Certificate subject.
    pub device: Option<Device>,
    /// Application.
    pub app: Option<App>,
    /// The tool called.
    pub tool: Tool,
    /// What the tool says of itself.
    pub tool_info: Option<RawToolInfo>,
    /// Arguments, any JSON.
    pub args: Value,
    /// What the user asked since the last call: the mission on the first, further turns later.
    pub mission: Option<String>,
    /// How it ended.
    pub status: Option<Status>,
    /// What came back, any JSON; a string is read as text.
    pub result: Option<Value>,
    /// Length of the result in bytes.
    pub result_bytes: Option<u64>,
    /// Where the time went.
    pub segments_ms: Option<RawSegments>,
    /// What the agent said of itself.
    pub telemetry: Option<RawTelemetry>,
    /// What the call cost.
    pub cost: Option<RawCost>,
    /// Trace context.
    pub traceparent: Option<TraceParent>,
}

impl std::fmt::Debug for RawCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RawCall({}, {}, ..)", self.id, self.tool)
    }
}

/// A tool's description of itself (MCP `tools/list`).
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub struct RawToolInfo {
    /// Free text.
    pub description: Option<String>,
    /// The tool says it changes nothing (`readOnlyHint`).
    pub read_only: Option<bool>,
}

/// Milliseconds spent in each segment.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub struct RawSegments {
    /// On the device.
    pub device: Option<f64>,
    /// On the way.
    pub transit: Option<f64>,
    /// In the tool.
    pub tool: Option<f64>,
}

/// The agent's own telemetry. Declared, so it can raise a risk and never lower it.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub struct RawTelemetry {
    /// Declared confidence, 0..1.
    pub confidence: Option<f64>,
    /// Declared intent.
    pub intent: Option<String>,
    /// Kinds of plan steps.
    pub steps: Vec<String>,
    /// Generation speed.
    pub tokens_per_s: Option<f64>,
    /// Thermal state.
    pub thermal: Option<String>,
    /// Memory state.
    pub memory: Option<String>,
    /// Model and version.
    pub model: Option<String>,
}

/// What a call cost.
#[derive(Debug, Clone, Default, serde::Deserialize)]
#[serde(default)]
pub struct RawCost {
    /// Tokens.
    pub tokens: Option<u64>,
    /// Units of the operator's currency.
    pub units: Option<f64>,
}
