//! Any other JSON log, by a small file that says where each field of a call stands: JSON pointers (RFC 6901), as in
//! `tool = "/request/operation"`. `examples/mappings/` holds some.

use super::draft::{Draft, number, status_of, text, unpacked};
use super::route::{Routes, arguments};
use super::time::{self, Unit};
use super::{DecodeError, Decoded, Received};
use crate::{RawCall, RawCost, RawToolInfo, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Where the fields of a call stand in a record. Every field but the time is optional; a call needs a tool, or a method
/// and a path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mapping {
    /// A list of records inside the record; without it, the record is one.
    pub records: Pointer,
    /// Which records are calls: the others are passed over.
    pub only: Only,
    /// The time: a number of `unit`, or RFC 3339.
    pub at: Pointer,
    /// What a number as time counts. Default: `ms`.
    pub unit: Unit,
    /// Id of the call, shared by all its sightings.
    pub id: Pointer,
    /// Whose traffic.
    pub tenant: Pointer,
    /// A session id of the gateway's own.
    pub session: Pointer,
    /// A conversation, MCP session or A2A context id.
    pub conversation: Pointer,
    /// A `traceparent` or trace id.
    pub trace: Pointer,
    /// The token's `jti`, or the id of a login.
    pub token: Pointer,
    /// Place in the session.
    pub seq: Pointer,
    /// The agent.
    pub agent: Pointer,
    /// On whose behalf.
    pub principal: Pointer,
    /// Certificate subject.
    pub device: Pointer,
    /// Application.
    pub app: Pointer,
    /// The tool, or the route's name.
    pub tool: Pointer,
    /// HTTP method, where there is no `tool`.
    pub method: Pointer,
    /// HTTP path, where there is no `tool`; identifiers in it become arguments.
    pub path: Pointer,
    /// True where the call changes nothing.
    pub read_only: Pointer,
    /// Arguments: any JSON, or JSON as text.
    pub args: Pointer,
    /// What the user asked.
    pub mission: Pointer,
    /// How it ended: `ok`, `error`, `denied`, or an HTTP status.
    pub status: Pointer,
    /// What is there only when the call failed.
    pub error: Pointer,
    /// What came back: any JSON, or JSON as text.
    pub result: Pointer,
    /// Its length in bytes.
    pub result_bytes: Pointer,
    /// How long the tool took: a number of ms, or a text with its unit.
    pub duration: Pointer,
    /// Tokens it cost.
    pub tokens: Pointer,
}

/// Where something stands; empty: nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pointer(String);

/// Records with one of these values in this place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Only {
    /// Where.
    pub at: Pointer,
    /// Which values.
    pub is: Vec<String>,
}

/// Why a mapping is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// Not a JSON pointer.
    #[error("`{found}` is no JSON pointer: it starts with `/`, as `/request/operation` (RFC 6901)")]
    NotAPointer {
        /// As given, cut to 80 characters.
        found: String,
    },
    /// A field that a call cannot do without.
    #[error("the mapping says nothing of {what}")]
    Lacks {
        /// Which.
        what: &'static str,
    },
}

impl Mapping {
    /// Whether the mapping can yield calls at all.
    pub fn check(self) -> Result<Self, MappingError> {
        let derived = [
            &self.session,
            &self.conversation,
            &self.trace,
            &self.token,
            &self.principal,
            &self.agent,
            &self.device,
            &self.app,
        ];
        let lacks = |what| Err(MappingError::Lacks { what });
        if self.at.is_empty() {
            return lacks("the time: `at`");
        }
        if self.tool.is_empty() && self.path.is_empty() {
            return lacks("the tool: `tool`, or `method` and `path`");
        }
        if derived.into_iter().all(Pointer::is_empty) {
            return lacks(
                "the session: `session`, `conversation`, `trace`, `token`, `principal`, `agent`, `device` or `app`",
            );
        }
        Ok(self)
    }

    pub(super) fn decode(&self, record: Value, routes: &Routes, received: &Received, out: &mut Decoded) {
        if self.records.is_empty() {
            out.push(self.call(record, routes, received));
            return;
        }
        match self.records.take(record) {
            Some(Value::Array(records)) => {
                for record in records {
                    out.push(self.call(record, routes, received));
                }
            }
            _ => out.push(Err(DecodeError::missing(&self.records.0))),
        }
    }

    fn call(&self, record: Value, routes: &Routes, received: &Received) -> Result<Option<RawCall>, DecodeError> {
        let at = |pointer: &Pointer| pointer.of(&record);
        let told = |pointer: &Pointer| text(at(pointer));
        if !self.only.at.is_empty() && !told(&self.only.at).is_some_and(|value| self.only.is.contains(&value)) {
            return Ok(None);
        }
        let path = told(&self.path).unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let (route, ids) = routes.tool(&told(&self.method).unwrap_or_default(), path);
        let args = at(&self.args).cloned().map(unpacked);
        let named = told(&self.tool);
        let failed = told(&self.error).is_some() || matches!(at(&self.error), Some(Value::Object(o)) if !o.is_empty());
        let time = at(&self.at).map(|value| time::of(value, &self.at.0, self.unit, received.at)).transpose()?;
        let draft = Draft {
            at: time,
            id: told(&self.id),
            tenant: told(&self.tenant),
            session: told(&self.session),
            conversation: told(&self.conversation),
            trace: told(&self.trace),
            token: told(&self.token),
            seq: number(at(&self.seq)),
            agent: told(&self.agent),
            principal: told(&self.principal),
            device: told(&self.device),
            app: told(&self.app),
            args: if named.is_some() { args.unwrap_or_default() } else { arguments(&ids, query, args) },
            tool: named.or((!path.is_empty()).then_some(route)),
            tool_info: at(&self.read_only)
                .map(is_true)
                .map(|yes| RawToolInfo { description: None, read_only: Some(yes) }),
            mission: told(&self.mission),
            status: match at(&self.status).and_then(status) {
                Some(Status::Ok) | None if failed => Some(Status::Error),
                // Where failures are marked, no mark means that it worked.
                None if !self.error.is_empty() => Some(Status::Ok),
                status => status,
            },
            result: at(&self.result).cloned().map(unpacked),
            result_bytes: number(at(&self.result_bytes)),
            tool_ms: at(&self.duration).and_then(time::duration_ms),
            cost: number(at(&self.tokens)).map(|tokens| RawCost { tokens: Some(tokens), units: None }),
            ..Draft::default()
        };
        let tool = if self.tool.is_empty() { &self.path } else { &self.tool };
        draft.finish((&self.at.0, &tool.0), received).map(Some)
    }
}

impl Pointer {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of<'a>(&self, record: &'a Value) -> Option<&'a Value> {
        if self.is_empty() { None } else { record.pointer(&self.0) }
    }

    fn take(&self, mut record: Value) -> Option<Value> {
        record.pointer_mut(&self.0).map(Value::take)
    }
}

impl TryFrom<String> for Pointer {
    type Error = MappingError;
    fn try_from(text: String) -> Result<Self, MappingError> {
        if text.is_empty() || (text.starts_with('/') && text.len() <= crate::limits::NAME_BYTES_MAX) {
            return Ok(Self(text));
        }
        Err(MappingError::NotAPointer { found: text.chars().take(80).collect() })
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> Self {
        pointer.0
    }
}

/// How a call ended, from the words logs use or an HTTP status.
fn status(value: &Value) -> Option<Status> {
    if let Some(code) = number(Some(value)) {
        return status_of(code);
    }
    match value {
        Value::Bool(worked) => Some(if *worked { Status::Ok } else { Status::Error }),
        Value::String(word) => match word.to_ascii_lowercase().as_str() {
            "ok" | "success" | "succeeded" | "allowed" => Some(Status::Ok),
            "error" | "failure" | "failed" => Some(Status::Error),
            "denied" | "blocked" | "rejected" => Some(Status::Denied),
            _ => None,
        },
        _ => None,
    }
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| value.as_str() == Some("true"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{How, Millis};
    use serde_json::json;

    fn mapping(json: Value) -> Mapping {
        serde_json::from_value::<Mapping>(json).unwrap().check().unwrap()
    }

    fn read(mapping: &Mapping, record: Value) -> Decoded {
        let mut out = Decoded::default();
        let received = Received { at: Millis(1_795_343_040_100), id: "log/0/7".into() };
        mapping.decode(record, &Routes::default(), &received, &mut out);
        out
    }

    #[test]
    fn fields_are_found_where_the_mapping_says() {
        let map = mapping(
            json!({"at": "/t", "unit": "s", "tool": "/op", "args": "/in", "principal": "/who/0", "error": "/err", "records": "/list",
            "only": {"at": "/kind", "is": ["call"]}}),
        );
        let record = json!({"list": [{"kind": "call", "t": 1_795_343_040, "op": "pay", "in": "{\"to\":\"Ada\"}", "who": ["u"]},
            {"kind": "call", "t": 1_795_343_041, "op": "pay", "who": ["u"], "err": "boom"}, {"kind": "audit"}, {"kind": "call"}]});
        let out = read(&map, record);
        assert_eq!((out.calls.len(), out.other, out.dead.len()), (2, 1, 1));
        assert_eq!((&out.calls[0].args, out.calls[0].how), (&json!({"to": "Ada"}), How::Idle));
        assert_eq!((out.calls[0].status, out.calls[1].status), (Some(Status::Ok), Some(Status::Error)));
        assert_eq!(out.dead[0].detail, "no `/t`");
        assert_eq!(read(&map, json!({"list": 7})).dead[0].detail, "no `/list`");
    }

    #[test]
    fn a_mapping_that_can_yield_no_call_is_refused() {
        let refused = |json: Value| {
            serde_json::from_value::<Mapping>(json)
                .map_err(|e| e.to_string())
                .and_then(|m| m.check().map_err(|e| e.to_string()))
                .unwrap_err()
        };
        assert!(refused(json!({"at": "t"})).contains("no JSON pointer"));
        assert!(refused(json!({"att": "/t"})).contains("unknown field"));
        assert!(refused(json!({"tool": "/t"})).contains("the time"));
        assert!(refused(json!({"at": "/t", "app": "/a"})).contains("the tool"));
        assert!(refused(json!({"at": "/t", "tool": "/a"})).contains("the session"));
    }
}
