//! Fields as a decoder found them → [`RawCall`], with every bound checked in one place.

use super::session::{Signs, derive};
use super::{DecodeError, Received, UNKNOWN, name};
use crate::limits::ID_BYTES_MAX;
use crate::{IdError, Millis, Phase, RawCall, RawCost, RawSegments, RawToolInfo, Status};
use serde_json::{Map, Value};

/// What was found. Empty texts count as absent; `at` and `tool` are required.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) id: Option<String>,
    pub(super) at: Option<Millis>,
    pub(super) tenant: Option<String>,
    pub(super) session: Option<String>,
    pub(super) conversation: Option<String>,
    pub(super) token: Option<String>,
    pub(super) trace: Option<String>,
    pub(super) seq: Option<u64>,
    pub(super) phase: Phase,
    pub(super) agent: Option<String>,
    pub(super) principal: Option<String>,
    pub(super) device: Option<String>,
    pub(super) app: Option<String>,
    pub(super) tool: Option<String>,
    pub(super) tool_info: Option<RawToolInfo>,
    pub(super) args: Value,
    pub(super) mission: Option<String>,
    pub(super) status: Option<Status>,
    pub(super) result: Option<Value>,
    pub(super) result_bytes: Option<u64>,
    pub(super) tool_ms: Option<f64>,
    pub(super) transit_ms: Option<f64>,
    pub(super) cost: Option<RawCost>,
}

impl Draft {
    /// Checks bounds and derives the session. `names` says how the format calls the time and the tool.
    pub(super) fn finish(self, names: (&str, &str), received: &Received) -> Result<RawCall, DecodeError> {
        let at = self.at.ok_or_else(|| DecodeError::missing(names.0))?;
        let tool = there(&self.tool).ok_or_else(|| DecodeError::missing(names.1))?;
        let (session, how) = derive(&Signs {
            explicit: there(&self.session),
            conversation: there(&self.conversation),
            trace: there(&self.trace),
            token: there(&self.token),
            principal: there(&self.principal),
            agent: there(&self.agent),
            device: there(&self.device),
            app: there(&self.app),
        })?;
        // A trace id without a span is no traceparent, and one that breaks the bounds is not worth a dead letter.
        let traceparent = there(&self.trace).filter(|text| text.contains('-') && text.len() <= ID_BYTES_MAX);
        Ok(RawCall {
            id: there(&self.id).map_or_else(|| name(&received.id), name)?,
            at,
            tenant: name(there(&self.tenant).unwrap_or("default"))?,
            session,
            how,
            parent: None,
            seq: self.seq,
            phase: self.phase,
            agent: name(there(&self.agent).unwrap_or(UNKNOWN))?,
            principal: optional(&self.principal)?,
            actor: Vec::new(),
            device: optional(&self.device)?,
            app: optional(&self.app)?,
            tool: name(tool)?,
            tool_info: self.tool_info,
            mission: self.mission.filter(|text| !text.is_empty()),
            status: self.status,
            result_bytes: self.result_bytes,
            result: self.result.filter(|value| !value.is_null()),
            segments_ms: (self.tool_ms.is_some() || self.transit_ms.is_some()).then_some(RawSegments {
                device: None,
                transit: self.transit_ms,
                tool: self.tool_ms,
            }),
            telemetry: None,
            cost: self.cost,
            traceparent: traceparent.and_then(|text| name(text).ok()),
            args: self.args,
        })
    }
}

fn there(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

fn optional<T: std::str::FromStr<Err = IdError>>(text: &Option<String>) -> Result<Option<T>, DecodeError> {
    there(text).map(name).transpose()
}

/// A field as text: strings as they are, numbers and booleans as written, the absent marks of logs (`-`, empty) as none.
pub(super) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if text.is_empty() || text == "-" => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

/// The first of `keys` that `record` has as text.
pub(super) fn first(record: &Map<String, Value>, keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| text(record.get(*key)))
}

/// The first of `keys` that `record` has at all; taken out.
pub(super) fn take(record: &mut Map<String, Value>, keys: &[&str]) -> Option<Value> {
    keys.iter().find_map(|key| record.remove(*key)).filter(|value| !value.is_null() && value.as_str() != Some("-"))
}

/// JSON that a log wrote as a text, as JSON; any other value as it is. Only objects and lists are unpacked: a text such
/// as `12` stays one.
pub(super) fn unpacked(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(['{', '[']) => {
            serde_json::from_str(&text).unwrap_or(Value::String(text))
        }
        other => other,
    }
}

/// A whole number, also one written as a text.
pub(super) fn number(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// How an HTTP status ended a call; none for no status. 401, 403, 407 and 429 are answers of a door, not of a tool.
pub(super) fn status_of(code: u64) -> Option<Status> {
    match code {
        100..=399 => Some(Status::Ok),
        401 | 403 | 407 | 429 => Some(Status::Denied),
        400..=599 => Some(Status::Error),
        _ => None,
    }
}
