//! agentgateway's access log as JSON (`logging.format: json`): the fields that gateway writes by itself, before and since
//! it took up the semantic conventions' names, and those of the recipe in `docs/decoders.md` for arguments and results.

use super::draft::{Draft, first, number, status_of, take, text, unpacked};
use super::route::{Routes, arguments};
use super::time::{self, Unit};
use super::{DecodeError, Received};
use crate::{RawCall, Status};
use serde_json::Value;

pub(super) fn decode(record: Value, routes: &Routes, received: &Received) -> Result<Option<RawCall>, DecodeError> {
    let Value::Object(mut line) = record else {
        return Err(DecodeError::new(crate::DeadReason::WrongType, "a line of the log is a JSON object"));
    };
    // The gateway's own messages go to the same stream.
    if text(line.get("scope")).is_some_and(|scope| scope != "request") {
        return Ok(None);
    }
    let method = first(&line, &["mcp.method.name", "mcp.method"]);
    let a2a = first(&line, &["a2a.method"]);
    let mcp_call = match method.as_deref() {
        Some("tools/call" | "call_tool") => true,
        Some(_) => return Ok(None),
        None => false,
    };
    if !mcp_call && a2a.is_none() && line.contains_key("gen_ai.operation.name") {
        return Ok(None); // A model was asked, no tool.
    }
    let path = first(&line, &["http.path"]).unwrap_or_default();
    let (path, query) = path.split_once('?').unwrap_or((&path, ""));
    let (route, ids) = routes.tool(&first(&line, &["http.method"]).unwrap_or_default(), path);
    let args = take(&mut line, &["gen_ai.tool.call.arguments"]).map(unpacked);
    let result = take(&mut line, &["gen_ai.tool.call.result"]).map(unpacked);
    let result = match result {
        Some(Value::Object(result)) if mcp_call && result.contains_key("content") => {
            super::mcp::outcome(serde_json::Map::from_iter([("result".to_owned(), Value::Object(result))]))
        }
        other => (None, other),
    };
    let (trace, span) = (first(&line, &["trace.id"]), first(&line, &["span.id"]));
    let failed = text(line.get("error")).is_some();
    let draft = Draft {
        at: line.get("time").map(|at| time::of(at, "time", Unit::Ms, received.at)).transpose()?,
        tool: match (mcp_call, a2a) {
            (true, _) => first(&line, &["gen_ai.tool.name", "mcp.resource.name"]),
            (false, Some(a2a)) => Some(a2a),
            (false, None) => (!path.is_empty()).then_some(route),
        },
        args: if mcp_call { args.unwrap_or_default() } else { arguments(&ids, query, args) },
        session: first(&line, &["session"]),
        conversation: first(&line, &["gen_ai.conversation.id", "mcp.session.id", "a2a.context.id"]),
        trace: trace.as_ref().zip(span.as_ref()).map(|(trace, span)| format!("00-{trace}-{span}-01")).or(trace),
        id: first(&line, &["request.id"]).or(span),
        token: first(&line, &["jwt.jti"]),
        tenant: first(&line, &["tenant"]),
        agent: first(&line, &["gen_ai.agent.name", "agent"]),
        principal: first(&line, &["jwt.sub"]),
        device: first(&line, &["device"]),
        app: first(&line, &["mcp.target", "http.host"]),
        status: match number(line.get("http.status")).and_then(status_of) {
            Some(Status::Ok) | None if failed => Some(Status::Error),
            status => result.0.filter(|_| status == Some(Status::Ok)).or(status),
        },
        result: result.1,
        tool_ms: line.get("duration").and_then(time::duration_ms),
        ..Draft::default()
    };
    draft.finish(("time", "mcp.resource.name"), received).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{How, Millis};
    use serde_json::json;

    fn read(record: Value) -> Result<Option<RawCall>, DecodeError> {
        decode(record, &Routes::default(), &Received { at: Millis(1_795_343_040_100), id: "agw/0/7".into() })
    }

    #[test]
    fn both_generations_of_names_are_the_same_call() {
        for (method, tool) in [("mcp.method", "mcp.resource.name"), ("mcp.method.name", "gen_ai.tool.name")] {
            let call = read(json!({"level": "info", "time": "2026-11-22T10:24:00.062Z", "scope": "request", "http.status": 200, method: "tools/call",
                "mcp.target": "mcp-target", "mcp.resource.type": "tool", tool: "fetch", "mcp.session.id": "0d1ce700", "jwt.sub": "user:42", "duration": "476ms"}))
            .unwrap()
            .unwrap();
            assert_eq!(
                (call.tool.as_str(), call.how, call.app.unwrap().as_str()),
                ("fetch", How::Conversation, "mcp-target")
            );
            assert_eq!((call.status, call.segments_ms.unwrap().tool), (Some(Status::Ok), Some(476.0)));
        }
    }

    #[test]
    fn what_is_no_tool_call_is_passed_over() {
        for other in [
            json!({"scope": "agentgateway::proxy", "message": "started"}),
            json!({"scope": "request", "mcp.method": "initialize"}),
            json!({"scope": "request", "gen_ai.operation.name": "chat", "http.path": "/v1/chat"}),
        ] {
            assert!(matches!(read(other.clone()), Ok(None)), "{other}");
        }
        let route = read(
            json!({"time": "2026-11-22T10:24:00Z", "scope": "request", "http.method": "GET", "http.path": "/pets/7", "http.host": "pets"}),
        );
        assert_eq!(route.unwrap().unwrap().tool.as_str(), "GET /pets/{}");
    }
}
