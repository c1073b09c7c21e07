//! A gateway's request becomes calls: pure, one place for every door that sees HTTP requests.
//!
//! Names come from the gateway's own configuration first (`told`), then from `vedette-*` headers that the gateway sets,
//! then from the request. A gateway has to overwrite or drop `vedette-*` headers that its clients send: identity is not
//! the agent's to choose.

mod body; // arguments, JSON-RPC
mod outcome; // how a call ended
mod sse; // streamed responses
mod template; // paths as tools

pub use outcome::{Outcome, outcome};
pub use sse::{EVENT_BYTES_MAX, Sse};
pub use template::template;

use body::{Body, read};
use schema::decode::{DecodeError, Received, native};
use schema::{DeadReason, How, Millis, Phase, RawCall};
use serde_json::{Map, Value, json};

/// One HTTP request, as a door sees it.
pub struct Seen<'a> {
    /// When.
    pub at: Millis,
    /// Id the gateway gave it, if it has one.
    pub id: Option<&'a str>,
    /// Its method.
    pub method: &'a str,
    /// Its path with the query.
    pub path: &'a str,
    /// Its host.
    pub host: &'a str,
    /// A header by its lower-case name.
    pub header: &'a (dyn Fn(&str) -> Option<&'a str> + Sync),
    /// What the gateway's configuration says: `agent`, `principal`, `session`, `tool`, `app`, `tenant`, `device`.
    pub told: &'a (dyn Fn(&str) -> Option<&'a str> + Sync),
    /// The peer's certificate subject, where the gateway checked one.
    pub peer: Option<&'a str>,
    /// The body, or nothing where the door does not see it.
    pub body: &'a [u8],
}

/// Most calls of one request (a JSON-RPC batch).
pub const CALLS_MAX: usize = 32;

/// The calls of a request, in order. None: it is no call (an MCP handshake, a listing) and may pass.
///
/// Errors: what the native decoder says, and [`DeadReason::Oversize`] for more than [`CALLS_MAX`] calls.
pub fn sight(seen: &Seen<'_>, fallback_id: &str) -> Result<Vec<RawCall>, DecodeError> {
    let own = |name: &str| (seen.told)(name).or_else(|| (seen.header)(&format!("vedette-{name}")));
    let (path, query) = seen.path.split_once('?').unwrap_or((seen.path, ""));
    let calls = match read(seen.body) {
        Body::NoCall => return Ok(vec![]),
        Body::Calls(calls) if calls.len() > CALLS_MAX => {
            let detail = format!("{} calls in one request, over the limit of {CALLS_MAX}", calls.len());
            return Err(DecodeError { reason: DeadReason::Oversize, detail });
        }
        Body::Calls(calls) => calls,
        Body::Arguments(body) => {
            let (tool, ids) = template(seen.method, path);
            vec![(own("tool").map_or(tool, str::to_owned), arguments(ids, query, body))]
        }
    };
    let id = seen.id.filter(|id| !id.is_empty()).unwrap_or(fallback_id);
    let conversation = own("session").is_none().then(|| (seen.header)("mcp-session-id")).flatten();
    let one = calls.len() == 1;
    calls
        .into_iter()
        .enumerate()
        .map(|(at, (tool, args))| {
            let record = json!({
                "id": if one { id.to_owned() } else { format!("{id}/{at}") },
                "at": seen.at, "phase": Phase::Request,
                "tenant": own("tenant"), "session": own("session").or(conversation),
                "agent": own("agent"), "principal": own("principal"), "device": own("device").or(seen.peer),
                "app": own("app").or(Some(seen.host).filter(|host| !host.is_empty())),
                "tool": tool, "traceparent": (seen.header)("traceparent"),
            });
            let bytes = serde_json::to_vec(&record).unwrap_or_default();
            let mut raw = native::decode(&bytes, &Received { at: seen.at, id: fallback_id.to_owned() })?;
            // They were read already, within the body's limit: not through the record once more.
            raw.args = args;
            if conversation.is_some() {
                raw.how = How::Conversation;
            }
            Ok(raw)
        })
        .collect()
}

/// What a request without JSON-RPC passes to its tool: identifiers of the path, query and body.
fn arguments(ids: Vec<&str>, query: &str, body: Option<Value>) -> Value {
    let mut args = Map::new();
    if !ids.is_empty() {
        args.insert("path".to_owned(), json!(ids));
    }
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')).take(schema::limits::LEAVES_MAX) {
        args.insert(name.to_owned(), Value::from(value));
    }
    match body {
        Some(Value::Object(fields)) => args.extend(fields),
        Some(other) => drop(args.insert("body".to_owned(), other)),
        None => {}
    }
    Value::Object(args)
}
