//! Model Context Protocol, "Tools": JSON-RPC `tools/call` as a proxy or server logs it. Revision 2025-11-25 has sessions
//! (`Mcp-Session-Id`, Streamable HTTP, "Session Management"), 2026-07-28 has none: there `_meta.traceparent` or who
//! calls decides.
//!
//! A record is a message by itself, or what the transport knows with the messages in it:
//! `{"at"|"time", "id", "headers": {…}, "request": {…}, "response": {…}, "tenant", "session", "agent", "principal", "device", "app", "jti"}`.

use super::draft::{Draft, first, take, text};
use super::time::{self, Unit};
use super::{DecodeError, Decoded, Received};
use crate::{DeadReason, Phase, RawCall, Status};
use serde_json::{Map, Value};

pub(super) fn decode(record: Value, received: &Received, out: &mut Decoded) {
    let mut envelope = match record {
        Value::Object(envelope) if !is_rpc(&envelope) => envelope,
        messages => Map::from_iter([(key_of(&messages).to_owned(), messages)]),
    };
    let (requests, mut responses) = (take(&mut envelope, &["request"]), listed(take(&mut envelope, &["response"])));
    if requests.is_none() {
        // The answer by itself: it belongs to a call that was seen before.
        match responses.into_iter().next() {
            Some(response) => out.push(answer(&envelope, response, received)),
            None => {
                out.push(Err(DecodeError::new(DeadReason::Missing, "no `request`, no `response` and no `jsonrpc`")))
            }
        }
        return;
    }
    let requests = listed(requests);
    let several = requests.len() > 1;
    for request in requests {
        // A batch (JSON-RPC 2.0, section 6) may be answered in any order; a single request has a single answer.
        let at = responses.iter().position(|response| !several || response.get("id") == request.get("id"));
        let response = at.map(|at| responses.swap_remove(at));
        out.push(call(&envelope, request, response, several, received));
    }
}

fn call(
    envelope: &Map<String, Value>,
    mut request: Map<String, Value>,
    response: Option<Map<String, Value>>,
    several: bool,
    received: &Received,
) -> Result<Option<RawCall>, DecodeError> {
    match request.get("method") {
        Some(Value::String(method)) if method == "tools/call" => {}
        Some(_) => return Ok(None),
        None => return Err(DecodeError::missing("request.method")),
    }
    let Some(Value::Object(mut params)) = request.remove("params") else {
        return Err(DecodeError::missing("request.params"));
    };
    let mut draft = around(envelope, request.get("id"), several, received)?;
    draft.tool = text(params.get("name"));
    draft.args = params.remove("arguments").unwrap_or_default();
    if let Some(Value::Object(meta)) = params.get("_meta") {
        draft.trace = first(meta, &["traceparent"]).or(draft.trace);
        // Self-reported (basic, "Per-request protocol fields"): only where the gateway knows no better.
        let client = meta.get("io.modelcontextprotocol/clientInfo").and_then(Value::as_object);
        draft.agent = draft.agent.or_else(|| implementation(client?));
    }
    draft.phase = Phase::Request;
    if let Some(response) = response {
        draft.phase = Phase::Done;
        (draft.status, draft.result) = outcome(response);
    }
    draft.finish(("at", "request.params.name"), received).map(Some)
}

/// A response without its request adds status and result to a call that was seen before, so its tool must be told.
fn answer(
    envelope: &Map<String, Value>,
    response: Map<String, Value>,
    received: &Received,
) -> Result<Option<RawCall>, DecodeError> {
    let of = header(envelope, "mcp-method");
    if of.as_deref().is_some_and(|method| method != "tools/call") {
        return Ok(None);
    }
    let mut draft = around(envelope, response.get("id"), false, received)?;
    draft.tool = header(envelope, "mcp-name").or_else(|| first(envelope, &["tool"]));
    draft.phase = Phase::Result;
    (draft.status, draft.result) = outcome(response);
    draft.finish(("at", "headers.mcp-name"), received).map(Some)
}

/// What stands around the messages.
fn around(
    envelope: &Map<String, Value>,
    rpc_id: Option<&Value>,
    several: bool,
    received: &Received,
) -> Result<Draft, DecodeError> {
    let at = match envelope.get("at").or_else(|| envelope.get("time")) {
        Some(value) => time::of(value, "at", Unit::Ms, received.at)?,
        None => received.at,
    };
    let conversation = header(envelope, "mcp-session-id");
    let gateways = first(envelope, &["id"]).or_else(|| header(envelope, "x-request-id"));
    let rpc_id = text(rpc_id);
    // A JSON-RPC id is one within its session only.
    let id = match (gateways, rpc_id, &conversation) {
        (Some(id), Some(rpc), _) if several => Some(format!("{id}/{rpc}")),
        (Some(id), ..) => Some(id),
        (None, Some(rpc), Some(session)) => Some(format!("{session}/{rpc}")),
        (None, Some(rpc), None) if several => Some(format!("{}/{rpc}", received.id)),
        _ => None,
    };
    Ok(Draft {
        id,
        at: Some(at),
        tenant: first(envelope, &["tenant"]),
        session: first(envelope, &["session"]),
        conversation,
        token: first(envelope, &["jti"]),
        trace: first(envelope, &["traceparent"]).or_else(|| header(envelope, "traceparent")),
        agent: first(envelope, &["agent"]),
        principal: first(envelope, &["principal"]),
        device: first(envelope, &["device"]),
        app: first(envelope, &["app"]).or_else(|| header(envelope, "host")),
        ..Draft::default()
    })
}

/// How a call ended, from its JSON-RPC response: status, and what came back. Text content is read as text, any other
/// content as JSON; a result that asks for more input (2026-07-28, `resultType`) has not ended yet.
pub fn outcome(mut response: Map<String, Value>) -> (Option<Status>, Option<Value>) {
    if let Some(error) = response.remove("error") {
        return (Some(Status::Error), Some(error));
    }
    let Some(Value::Object(mut result)) = response.remove("result") else { return (None, None) };
    let status = match (result.get("resultType").and_then(Value::as_str), result.get("isError")) {
        (Some("input_required"), _) => None,
        (_, Some(Value::Bool(true))) => Some(Status::Error),
        _ => Some(Status::Ok),
    };
    let texts = result.get("content").and_then(Value::as_array).and_then(|content| {
        let text = |block: &Value| (block.get("type")? == "text").then_some(block.get("text")?.as_str()?.to_owned());
        content.iter().map(text).collect::<Option<Vec<String>>>()
    });
    match texts.filter(|texts| !texts.is_empty()) {
        // The same content once more as JSON (tools, "Structured Content") adds nothing to its text.
        Some(texts) => (status, Some(Value::String(texts.join("\n")))),
        None => {
            // What the protocol says of the message is no content.
            result.retain(|key, value| {
                !PROTOCOL.contains(&key.as_str()) && value.as_array().is_none_or(|v| !v.is_empty())
            });
            (status, Some(Value::Object(result)))
        }
    }
}

const PROTOCOL: [&str; 3] = ["_meta", "resultType", "isError"];

fn implementation(client: &Map<String, Value>) -> Option<String> {
    let (name, version) = (first(client, &["name"])?, first(client, &["version"]));
    Some(version.map_or_else(|| name.clone(), |version| format!("{name}@{version}")))
}

/// A header; names do not mind case (RFC 9110, section 5.1).
fn header(envelope: &Map<String, Value>, wanted: &str) -> Option<String> {
    let headers = envelope.get("headers")?.as_object()?;
    text(headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value))
}

/// One message or a batch, as a list; what is no object is passed over.
fn listed(messages: Option<Value>) -> Vec<Map<String, Value>> {
    let object = |value| if let Value::Object(message) = value { Some(message) } else { None };
    match messages {
        Some(Value::Array(batch)) => batch.into_iter().filter_map(object).collect(),
        Some(message) => object(message).into_iter().collect(),
        None => Vec::new(),
    }
}

fn is_rpc(message: &Map<String, Value>) -> bool {
    message.get("jsonrpc").and_then(Value::as_str) == Some("2.0")
}

/// Whether a message by itself asks or answers.
fn key_of(messages: &Value) -> &'static str {
    let one = messages.as_array().map_or(Some(messages), |batch| batch.first());
    let asks = one.is_none_or(|message| message.get("method").is_some());
    if asks { "request" } else { "response" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{How, Millis};
    use serde_json::json;

    fn read(record: Value) -> Decoded {
        let mut out = Decoded::default();
        decode(record, &Received { at: Millis(1_795_343_040_100), id: "mcp/0/7".into() }, &mut out);
        out
    }

    #[test]
    fn a_message_without_a_session_says_so_and_a_handshake_is_no_call() {
        let meta = json!({"traceparent": "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
            "io.modelcontextprotocol/clientInfo": {"name": "desk", "version": "3"}});
        let call = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "get_weather", "arguments": {"location": "New York"}, "_meta": meta}});
        let out = read(call.clone());
        assert_eq!(
            (out.calls[0].how, out.calls[0].agent.as_str(), out.calls[0].phase),
            (How::Trace, "desk@3", Phase::Request)
        );
        assert_eq!(read(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})).other, 1);

        let bare = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "get_weather"}});
        assert_eq!(read(bare.clone()).dead[0].reason, DeadReason::Missing);
        assert_eq!(read(json!({"request": bare, "principal": "user:1"})).calls[0].how, How::Idle);
    }

    #[test]
    fn a_batch_is_matched_by_id_whatever_the_order_of_its_answers() {
        let ask =
            |id: u8| json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": format!("t{id}")}});
        let answer = |id: u8| json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": format!("r{id}")}]}});
        let out =
            read(json!({"session": "s", "id": "q", "request": [ask(1), ask(2)], "response": [answer(2), answer(1)]}));
        let seen: Vec<_> = out.calls.iter().map(|c| (c.id.as_str(), c.tool.as_str(), c.result.clone())).collect();
        assert_eq!(seen, [("q/1", "t1", Some(json!("r1"))), ("q/2", "t2", Some(json!("r2")))]);
    }

    #[test]
    fn an_answer_by_itself_needs_to_be_told_its_tool() {
        let answer = json!({"jsonrpc": "2.0", "id": 5, "result": {"content": [], "isError": true}});
        let headers = json!({"MCP-Session-Id": "abc", "Mcp-Name": "pay", "Mcp-Method": "tools/call"});
        let out = read(json!({"headers": headers, "response": answer}));
        assert_eq!(
            (out.calls[0].id.as_str(), out.calls[0].phase, out.calls[0].status),
            ("abc/5", Phase::Result, Some(Status::Error))
        );
        assert_eq!(read(json!({"principal": "p", "response": answer})).dead[0].reason, DeadReason::Missing);
    }

    #[test]
    fn a_call_that_asks_for_more_input_has_not_ended() {
        let of = |result: Value| outcome(json!({"result": result}).as_object().unwrap().clone()).0;
        assert_eq!(of(json!({"resultType": "input_required", "inputRequests": {}})), None);
        assert_eq!(of(json!({"resultType": "complete", "content": []})), Some(Status::Ok));
    }
}
