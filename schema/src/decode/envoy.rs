//! Envoy's access log as JSON (`json_format` / `typed_json_format`). Its fields are the operator's to name; read are the
//! names of Istio's and Envoy Gateway's default formats, and those of the recipe in `docs/decoders.md` for what the
//! defaults leave out: session, identity, MCP headers and bodies.

use super::draft::{Draft, first, number, status_of, take, text, unpacked};
use super::route::{Routes, arguments};
use super::time::{self, Unit};
use super::{DecodeError, Decoded, Received, mcp};
use crate::{RawCall, Status};
use serde_json::{Map, Value};

pub(super) fn decode(record: Value, routes: &Routes, received: &Received, out: &mut Decoded) {
    let Value::Object(mut line) = record else {
        out.push(Err(DecodeError::new(crate::DeadReason::WrongType, "a line of the log is a JSON object")));
        return;
    };
    let body = take(&mut line, &["request_body"]).map(unpacked);
    // Where the log has the body, what it says goes before the path; else the headers of 2026-07-28 name the tool.
    let is_rpc = |message: &Value| message.get("jsonrpc").and_then(Value::as_str) == Some("2.0");
    let rpc = body.as_ref().is_some_and(|body| is_rpc(body) || body.as_array().is_some_and(|b| b.iter().any(is_rpc)));
    if rpc {
        match envelope(line, body, received) {
            Ok(envelope) => mcp::decode(Value::Object(envelope), received, out),
            Err(error) => out.push(Err(error)),
        }
        return;
    }
    out.push(call(line, body, routes, received));
}

fn call(
    mut line: Map<String, Value>,
    body: Option<Value>,
    routes: &Routes,
    received: &Received,
) -> Result<Option<RawCall>, DecodeError> {
    let mcp_method = first(&line, &["mcp_method", "mcp-method"]);
    if mcp_method.as_deref().is_some_and(|method| method != "tools/call") {
        return Ok(None);
    }
    let result = take(&mut line, &["response_body"]).map(unpacked);
    let path = first(&line, &PATH).unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    let (tool, ids) = routes.tool(&first(&line, &METHOD).unwrap_or_default(), path);
    let named = first(&line, &["tool", "mcp_name", "mcp-name"]);
    let (took, upstream) = (line.get("duration").and_then(time::duration_ms), upstream_ms(&line));
    let draft = Draft {
        at: at(&line, received)?,
        id: first(&line, &ID),
        args: if named.is_some() && mcp_method.is_some() {
            body.unwrap_or_default()
        } else {
            arguments(&ids, query, body)
        },
        // No path and no name: a connection, not a request.
        tool: named.or((!path.is_empty()).then_some(tool)),
        status: status(&line),
        result_bytes: number(line.get("bytes_sent")),
        result,
        transit_ms: took.zip(upstream).map(|(took, upstream)| (took - upstream).max(0.0)),
        tool_ms: upstream.or(took),
        ..who(&line)
    };
    draft.finish(("start_time", "path"), received).map(Some)
}

/// The record of [`mcp`] that this line amounts to.
fn envelope(
    mut line: Map<String, Value>,
    body: Option<Value>,
    received: &Received,
) -> Result<Map<String, Value>, DecodeError> {
    let time = at(&line, received)?.ok_or_else(|| DecodeError::missing("start_time"))?;
    let who = who(&line);
    let mut out = Map::new();
    let mut put = |key: &str, value: Option<String>| drop(value.map(|value| out.insert(key.to_owned(), value.into())));
    put("id", first(&line, &ID));
    put("tenant", who.tenant);
    put("session", who.session);
    put("agent", who.agent);
    put("principal", who.principal);
    put("device", who.device);
    put("app", who.app);
    put("jti", who.token);
    put("traceparent", who.trace);
    out.insert("at".to_owned(), time.0.into());
    if let Some(session) = who.conversation {
        out.insert("headers".to_owned(), serde_json::json!({ "mcp-session-id": session }));
    }
    out.extend(body.map(|body| ("request".to_owned(), body)));
    let answer = take(&mut line, &["response_body"]).map(unpacked);
    out.extend(
        answer.filter(|answer| answer.is_object() || answer.is_array()).map(|answer| ("response".to_owned(), answer)),
    );
    Ok(out)
}

fn who(line: &Map<String, Value>) -> Draft {
    Draft {
        tenant: first(line, &["tenant"]),
        session: first(line, &["session"]),
        conversation: first(line, &["mcp_session_id", "mcp-session-id", "a2a_context_id", "conversation_id"]),
        trace: first(line, &["traceparent", "trace_id"]),
        token: first(line, &["jti"]),
        agent: first(line, &["agent"]),
        principal: first(line, &["principal", "jwt_sub"]),
        device: first(line, &["device", "downstream_peer_subject"]),
        app: first(line, &["app", "authority", ":authority"]),
        ..Draft::default()
    }
}

fn at(line: &Map<String, Value>, received: &Received) -> Result<Option<crate::Millis>, DecodeError> {
    line.get("start_time").map(|at| time::of(at, "start_time", Unit::S, received.at)).transpose()
}

fn upstream_ms(line: &Map<String, Value>) -> Option<f64> {
    let value = line.get("upstream_service_time").or_else(|| line.get("x-envoy-upstream-service-time"))?;
    time::duration_ms(value)
}

/// Response flags (Envoy, "Access log usage"): UAEX denied by an external authorizer, RL rate limited, RLSE the rate
/// limiter failed, UMSDR and others are failures that the code tells, too.
fn status(line: &Map<String, Value>) -> Option<Status> {
    let flags = text(line.get("response_flags")).unwrap_or_default();
    if flags.split(',').any(|flag| matches!(flag, "UAEX" | "RL")) {
        return Some(Status::Denied);
    }
    status_of(number(line.get("response_code"))?)
}

const ID: [&str; 3] = ["request_id", "x-request-id", "id"];
const METHOD: [&str; 2] = ["method", ":method"];
const PATH: [&str; 3] = ["path", "x-envoy-origin-path", ":path"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{How, Millis};
    use serde_json::json;

    fn read(record: Value) -> Decoded {
        let mut out = Decoded::default();
        decode(
            record,
            &Routes::default(),
            &Received { at: Millis(1_795_343_040_100), id: "envoy/0/7".into() },
            &mut out,
        );
        out
    }

    #[test]
    fn istios_default_line_is_a_call_of_who_knows_whom() {
        let out = read(
            json!({"start_time": "2026-11-22T10:24:00.062Z", "method": "POST", "path": "/hotels/123/reserve?nights=2", "protocol": "HTTP/2",
            "response_code": 200, "response_flags": "-", "bytes_sent": 226, "duration": 100, "upstream_service_time": "83",
            "request_id": "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2", "authority": "travel.example", "user_agent": "x", "route_name": "default"}),
        );
        let call = &out.calls[0];
        assert_eq!((call.tool.as_str(), call.how), ("POST /hotels/{}/reserve", How::Idle));
        assert_eq!(call.args, json!({"path": ["123"], "nights": "2"}));
        assert_eq!((call.result_bytes, call.segments_ms.as_ref().unwrap().transit), (Some(226), Some(17.0)));
    }

    #[test]
    fn what_a_door_refused_is_denied_and_what_failed_is_an_error() {
        let status = |code: u64, flags: &str| {
            read(json!({"start_time": 1, "method": "GET", "path": "/x", "authority": "a", "response_code": code, "response_flags": flags})).calls[0].status
        };
        assert_eq!(status(403, "UAEX"), Some(Status::Denied));
        assert_eq!(status(503, "UF,URX"), Some(Status::Error));
        assert_eq!(status(0, "DC"), None);
    }

    #[test]
    fn a_body_with_json_rpc_is_an_mcp_call_and_a_handshake_none() {
        let line = |method: &str| {
            json!({"start_time": 1, "method": "POST", "path": "/mcp", "mcp_session_id": "abc", "request_id": "r-1",
            "request_body": json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": "pay", "arguments": {"to": "Ada"}}}).to_string(),
            "response_body": "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"paid\"}]}}"})
        };
        let out = read(line("tools/call"));
        assert_eq!(
            (out.calls[0].tool.as_str(), out.calls[0].how, &out.calls[0].result),
            ("pay", How::Conversation, &Some(json!("paid")))
        );
        assert_eq!(read(line("tools/list")).other, 1);
        assert_eq!(read(json!({"start_time": 1, "authority": "a"})).dead[0].detail, "no `path`");
    }
}
