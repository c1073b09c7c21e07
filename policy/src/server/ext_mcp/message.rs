//! The messages of `ext_mcp.proto`, field by field; what Vedette never sends (a mutated request) is left out.

use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};
use serde_json::{Map, Number};

/// `McpRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct McpRequest {
    #[prost(string, tag = "1")]
    pub(super) service_name: String,
    #[prost(string, tag = "2")]
    pub(super) method: String,
    #[prost(message, optional, tag = "3")]
    pub(super) metadata_context: Option<Struct>,
    #[prost(message, optional, tag = "4")]
    pub(super) mcp_request: Option<Struct>,
}

/// `McpResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct McpResponse {
    #[prost(string, tag = "1")]
    pub(super) service_name: String,
    #[prost(string, tag = "2")]
    pub(super) method: String,
    #[prost(message, optional, tag = "3")]
    pub(super) metadata_context: Option<Struct>,
    #[prost(message, optional, tag = "4")]
    pub(super) mcp_response: Option<Struct>,
}

/// `Pass`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Pass {}

/// `AuthorizationError`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AuthorizationError {
    #[prost(enumeration = "Code", tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) reason: String,
    #[prost(message, optional, tag = "3")]
    pub(super) mcp_error: Option<Struct>,
}

/// `AuthorizationError.Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum Code {
    Unknown = 0,
    PermissionDenied = 1,
    ResourceExhausted = 2,
    Invalid = 3,
}

/// `McpRequestResult` and `McpResponseResult`, which have the same fields: one of the two.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct McpResult {
    #[prost(message, optional, tag = "1")]
    pass: Option<Pass>,
    #[prost(message, optional, tag = "3")]
    error: Option<AuthorizationError>,
}

/// What the gateway is told.
pub(super) enum Outcome {
    Pass,
    Error(AuthorizationError),
}

impl From<Outcome> for McpResult {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Pass => Self { pass: Some(Pass {}), error: None },
            Outcome::Error(error) => Self { pass: None, error: Some(error) },
        }
    }
}

/// What the gateway's configuration says, by name.
pub(super) struct Fields(Struct);

impl Fields {
    pub(super) fn of(context: Option<Struct>) -> Self {
        Self(context.unwrap_or_default())
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.0.fields.get(name)?.kind.as_ref()? {
            Kind::StringValue(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}

/// As JSON; null where there is none.
pub(super) fn json(structure: Option<Struct>) -> serde_json::Value {
    structure.map_or(serde_json::Value::Null, |structure| object(structure, 0))
}

fn object(structure: Struct, depth: usize) -> serde_json::Value {
    structure.fields.into_iter().map(|(name, value)| (name, of(value, depth + 1))).collect::<Map<_, _>>().into()
}

fn of(value: Value, depth: usize) -> serde_json::Value {
    match value.kind {
        // Deeper than the seal walks: nothing would read it.
        _ if depth > schema::limits::DEPTH_MAX + 2 => serde_json::Value::Null,
        None | Some(Kind::NullValue(_)) => serde_json::Value::Null,
        // The protocol has one kind of number; `3.0` is what JSON wrote as `3`.
        Some(Kind::NumberValue(n)) if libm::trunc(n) == n && n.abs() < 9e15 => Number::from(n as i64).into(),
        Some(Kind::NumberValue(n)) => Number::from_f64(n).map_or(serde_json::Value::Null, Into::into),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::BoolValue(truth)) => truth.into(),
        Some(Kind::StructValue(inner)) => object(inner, depth),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(|value| of(value, depth + 1)).collect(),
    }
}

/// A JSON object as the protocol writes it.
pub(super) fn structure(json: &serde_json::Value) -> Option<Struct> {
    let fields = json.as_object()?.iter().map(|(name, value)| (name.clone(), value_of(value))).collect();
    Some(Struct { fields })
}

fn value_of(json: &serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(truth) => Kind::BoolValue(*truth),
        serde_json::Value::Number(n) => Kind::NumberValue(n.as_f64().unwrap_or(0.0)),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(items) => Kind::ListValue(ListValue { values: items.iter().map(value_of).collect() }),
        serde_json::Value::Object(_) => Kind::StructValue(structure(json).unwrap_or_default()),
    };
    Value { kind: Some(kind) }
}
