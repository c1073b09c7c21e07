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
use schema::decode::DecodeError;
use schema::decode::session::{Signs, derive};
use schema::{DeadReason, IdError, Millis, Phase, RawCall};
use serde_json::{Map, Value, json};
use std::str::FromStr;

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
/// Errors: [`DeadReason::BadName`] for a name over its bounds, [`DeadReason::Missing`] where no session can be derived,
/// and [`DeadReason::Oversize`] for more than [`CALLS_MAX`] calls.
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
    let (agent, principal) = (own("agent"), own("principal"));
    let (device, app) = (own("device").or(seen.peer), own("app").or(Some(seen.host)));
    let (tenant, traceparent) = (own("tenant"), (seen.header)("traceparent"));
    let signs = Signs {
        explicit: own("session"),
        conversation,
        trace: traceparent,
        principal,
        agent,
        device,
        app,
        token: None,
    };
    let one = calls.len() == 1;
    let call = |at: usize, tool: &str, args: Value| {
        let (session, how) = derive(&signs)?;
        Ok(RawCall {
            id: if one { name(id)? } else { name(&format!("{id}/{at}"))? },
            at: seen.at,
            tenant: optional(tenant)?.map_or_else(|| name("default"), Ok)?,
            session,
            how,
            parent: None,
            seq: None,
            phase: Phase::Request,
            agent: optional(agent)?.map_or_else(|| name("unknown"), Ok)?,
            principal: optional(principal)?,
            actor: vec![],
            device: optional(device)?,
            app: optional(app)?,
            tool: name(tool)?,
            tool_info: None,
            args,
            mission: None,
            status: None,
            result: None,
            result_bytes: None,
            segments_ms: None,
            telemetry: None,
            cost: None,
            traceparent: optional(traceparent)?,
        })
    };
    calls.into_iter().enumerate().map(|(at, (tool, args))| call(at, &tool, args)).collect()
}

/// A bounded id or name. The message names the kind of it, never its text.
fn name<T: FromStr<Err = IdError>>(text: &str) -> Result<T, DecodeError> {
    text.parse().map_err(|error: IdError| DecodeError { reason: DeadReason::BadName, detail: error.to_string() })
}

/// An empty text counts as absent.
fn optional<T: FromStr<Err = IdError>>(text: Option<&str>) -> Result<Option<T>, DecodeError> {
    text.filter(|text| !text.is_empty()).map(name).transpose()
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
