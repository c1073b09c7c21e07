//! Outside bytes become a [`crate::RawCall`], once, here. One file a format; each ignores unknown fields, so that a
//! newer producer never stops an older consumer. Start at [`Decoder::decode`].

pub mod mapping; // any other JSON log, by JSON pointers
pub mod native; // Vedette's own record
pub mod route; // paths as tools
pub mod sealed; // a call that a device has sealed
pub mod session; // which session, how found, how sure
pub mod time; // times as logs write them

mod agentgateway;
mod draft; // fields as found → `RawCall`, every bound checked
mod envoy;
mod mcp;
mod ocsf;
mod otel;

pub use mapping::Mapping;
pub use mcp::outcome as mcp_outcome;
pub use route::Routes;

use crate::limits::{RECORD_BYTES_MAX, RECORD_CALLS_MAX};
use crate::{DeadReason, IdError, Millis, RawCall};
use serde_json::Value;

/// What the transport knows of a record.
#[derive(Debug, Clone)]
pub struct Received {
    /// When the transport took it in: bounds how far ahead a record's own time may lie.
    pub at: Millis,
    /// Id of the call where the record names none, e.g. `agent.calls/3/1042`.
    pub id: String,
}

/// What the records of a topic are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Format {
    /// Vedette's own call record.
    #[default]
    Native,
    /// Model Context Protocol: JSON-RPC `tools/call`, with what the transport knows around it.
    Mcp,
    /// OpenTelemetry GenAI and MCP spans (semantic conventions 1.41), as OTLP JSON.
    OtelGenai,
    /// OCSF 1.8 API Activity (class 6003).
    Ocsf,
    /// Envoy's access log as JSON.
    Envoy,
    /// agentgateway's access log as JSON.
    Agentgateway,
    /// Any other JSON log, by JSON pointers.
    Mapping(Box<Mapping>),
}

impl Format {
    /// Names as configurations write them, in the order of the variants.
    pub const NAMES: [&str; 7] = ["native", "mcp", "otel-genai", "ocsf", "envoy", "agentgateway", "mapping"];

    /// The format of that name. None for an unknown one, and for `mapping`, which is more than a name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "native" => Self::Native,
            "mcp" => Self::Mcp,
            "otel-genai" => Self::OtelGenai,
            "ocsf" => Self::Ocsf,
            "envoy" => Self::Envoy,
            "agentgateway" => Self::Agentgateway,
            _ => return None,
        })
    }

    /// Its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Mcp => "mcp",
            Self::OtelGenai => "otel-genai",
            Self::Ocsf => "ocsf",
            Self::Envoy => "envoy",
            Self::Agentgateway => "agentgateway",
            Self::Mapping(_) => "mapping",
        }
    }
}

/// Reads the records of one topic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoder {
    /// What the records are.
    pub format: Format,
    /// Paths that are tools, for formats that see HTTP requests.
    pub routes: Routes,
}

/// What one record held.
#[derive(Debug, Default)]
pub struct Decoded {
    /// Calls, in the record's order.
    pub calls: Vec<RawCall>,
    /// Parts that could not be read.
    pub dead: Vec<DecodeError>,
    /// Parts that are no calls by right: handshakes, listings, spans of model calls, other classes of events.
    pub other: u32,
}

impl Decoder {
    /// Reads one record. Every part of it is counted once: as a call, as dead, or as something other than a call.
    pub fn decode(&self, bytes: &[u8], received: &Received) -> Decoded {
        let mut out = Decoded::default();
        if bytes.len() > RECORD_BYTES_MAX {
            let detail = format!("{} bytes, over the limit of {RECORD_BYTES_MAX}", bytes.len());
            out.dead.push(DecodeError::new(DeadReason::Oversize, detail));
            return out;
        }
        if self.format == Format::Native {
            out.push(native::decode(bytes, received).map(Some));
            return out;
        }
        let record: Value = match serde_json::from_slice(bytes) {
            Ok(record @ (Value::Object(_) | Value::Array(_))) => record,
            Ok(_) => {
                out.dead.push(DecodeError::new(DeadReason::WrongType, "the record is no JSON object"));
                return out;
            }
            Err(error) => {
                out.dead.push(place(&error));
                return out;
            }
        };
        match &self.format {
            Format::Native => {}
            Format::Mcp => mcp::decode(record, received, &mut out),
            Format::OtelGenai => otel::decode(record, received, &mut out),
            Format::Ocsf => out.push(ocsf::decode(record, received)),
            Format::Envoy => envoy::decode(record, &self.routes, received, &mut out),
            Format::Agentgateway => out.push(agentgateway::decode(record, &self.routes, received)),
            Format::Mapping(mapping) => mapping.decode(record, &self.routes, received, &mut out),
        }
        out.tell_apart(received);
        out
    }
}

impl Decoded {
    /// Calls without an id have their record's: where a record holds several, its place is added.
    fn tell_apart(&mut self, received: &Received) {
        if self.calls.len() < 2 {
            return;
        }
        for (place, call) in self.calls.iter_mut().enumerate() {
            if call.id.as_str() == received.id {
                call.id = name(&format!("{}/{place}", received.id)).unwrap_or_else(|_| call.id.clone());
            }
        }
    }

    /// One part: a call, none by right, or one that could not be read.
    fn push(&mut self, part: Result<Option<RawCall>, DecodeError>) {
        match part {
            _ if self.calls.len() + self.dead.len() >= RECORD_CALLS_MAX => {
                let detail = format!("more than {RECORD_CALLS_MAX} calls in one record: this one is left out");
                self.dead.push(DecodeError::new(DeadReason::Oversize, detail));
            }
            Ok(Some(call)) => self.calls.push(call),
            Ok(None) => self.other = self.other.saturating_add(1),
            Err(error) => self.dead.push(error),
        }
    }
}

/// Why bytes are no call. `detail` says where, and never holds a value of the record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason:?}: {detail}")]
pub struct DecodeError {
    /// The kind, as the dead letter states it.
    pub reason: DeadReason,
    /// Where, and what was expected.
    pub detail: String,
}

impl DecodeError {
    pub(crate) fn new(reason: DeadReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    fn missing(field: &str) -> Self {
        Self::new(DeadReason::Missing, format!("no `{field}`"))
    }
}

/// The agent of a record that names none. One that calls itself so is as unknown.
const UNKNOWN: &str = "unknown";

/// A bounded id or name.
fn name<T: std::str::FromStr<Err = IdError>>(text: &str) -> Result<T, DecodeError> {
    text.parse().map_err(|error: IdError| DecodeError::new(DeadReason::BadName, error.to_string()))
}

/// serde_json's own message may quote the value, so only the place is kept.
fn place(error: &serde_json::Error) -> DecodeError {
    let at = format!("line {} column {}", error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Data => {
            DecodeError::new(DeadReason::WrongType, format!("a field has the wrong type at {at}"))
        }
        serde_json::error::Category::Eof => {
            DecodeError::new(DeadReason::Malformed, format!("the JSON ends early at {at}"))
        }
        _ => DecodeError::new(DeadReason::Malformed, format!("not JSON at {at}")),
    }
}
