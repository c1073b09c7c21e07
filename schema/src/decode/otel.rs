//! OpenTelemetry spans of tool calls, as OTLP JSON (OTLP 1.x, "JSON Protobuf Encoding"): what the collector's Kafka
//! exporter writes with `encoding: otlp_json`. Names are those of the semantic conventions 1.41: GenAI `execute_tool`
//! spans and MCP `tools/call` spans. Arguments and results are opt-in there (`gen_ai.tool.call.arguments`, `.result`).

use super::draft::{Draft, first, number, unpacked};
use super::time::{self, Unit};
use super::{DecodeError, Decoded, Received};
use crate::limits::DEPTH_MAX;
use crate::{DeadReason, RawCall, RawToolInfo, Status};
use serde_json::{Map, Value};

pub(super) fn decode(record: Value, received: &Received, out: &mut Decoded) {
    let Value::Object(mut record) = record else {
        out.push(Err(DecodeError::missing("resourceSpans")));
        return;
    };
    if record.contains_key("resourceLogs") || record.contains_key("resourceMetrics") {
        out.push(Ok(None));
        return;
    }
    let Some(Value::Array(resources)) = record.remove("resourceSpans") else {
        out.push(Err(DecodeError::missing("resourceSpans")));
        return;
    };
    for mut resource in resources {
        let of = attributes(resource.get_mut("resource").and_then(|r| r.get_mut("attributes")).map(Value::take));
        let scopes = resource.get_mut("scopeSpans").map(Value::take);
        for mut scope in listed(scopes) {
            for span in listed(scope.get_mut("spans").map(Value::take)) {
                out.push(call(span, &of, received));
            }
        }
    }
}

fn call(span: Value, resource: &Map<String, Value>, received: &Received) -> Result<Option<RawCall>, DecodeError> {
    let Value::Object(mut span) = span else {
        return Err(DecodeError::new(DeadReason::WrongType, "a span is no JSON object"));
    };
    let mut of = attributes(span.remove("attributes"));
    let is = |key: &str, value: &str| of.get(key).and_then(Value::as_str) == Some(value);
    if !is("gen_ai.operation.name", "execute_tool") && !is("mcp.method.name", "tools/call") {
        return Ok(None);
    }
    let id = |key: &str| first(&span, &[key]).filter(|id| id.bytes().all(|b| b.is_ascii_hexdigit()));
    let (trace, own) = (id("traceId"), id("spanId"));
    let nanos = |key: &str| number(span.get(key));
    let failed = matches!(span.get("status").and_then(|s| s.get("code")), Some(Value::Number(code)) if code.as_u64() == Some(2))
        || span.get("status").and_then(|s| s.get("code")).and_then(Value::as_str) == Some("STATUS_CODE_ERROR")
        || of.contains_key("error.type");
    let at = span.get("startTimeUnixNano").map(|at| time::of(at, "startTimeUnixNano", Unit::Ns, received.at));
    let took = nanos("endTimeUnixNano").zip(nanos("startTimeUnixNano")).and_then(|(end, start)| end.checked_sub(start));
    let args = of.remove("gen_ai.tool.call.arguments").map(unpacked).unwrap_or_default();
    let result = of.remove("gen_ai.tool.call.result").map(unpacked);
    let agent = first(&of, &["gen_ai.agent.name", "gen_ai.agent.id"]);
    let agent = match (agent, first(&of, &["gen_ai.agent.version"])) {
        (Some(agent), Some(version)) => Some(format!("{agent}@{version}")),
        (agent, _) => agent,
    };
    let either = |keys: &[&str]| first(&of, keys).or_else(|| first(resource, keys));
    let draft = Draft {
        at: at.transpose()?,
        conversation: first(&of, &["gen_ai.conversation.id", "mcp.session.id"]),
        trace: trace.as_ref().zip(own.as_ref()).map(|(trace, own)| format!("00-{trace}-{own}-01")).or(trace),
        id: own,
        agent,
        principal: either(&["user.id", "enduser.id"]),
        device: either(&["device.id"]),
        app: first(resource, &["service.name"]),
        tenant: either(&["tenant.id"]),
        tool: first(&of, &["gen_ai.tool.name"]),
        tool_info: first(&of, &["gen_ai.tool.description"])
            .map(|description| RawToolInfo { description: Some(description), read_only: None }),
        args,
        status: Some(if failed { Status::Error } else { Status::Ok }),
        result_bytes: result.as_ref().and_then(Value::as_str).map(|text| text.len() as u64),
        result,
        tool_ms: took.map(|nanos| nanos as f64 / 1e6),
        ..Draft::default()
    };
    draft.finish(("startTimeUnixNano", "gen_ai.tool.name"), received).map(Some)
}

/// `[{"key","value"}]` as an object; of a key that stands twice the last.
fn attributes(list: Option<Value>) -> Map<String, Value> {
    let pair = |mut item: Value| {
        let value = plain(item.get_mut("value").map(Value::take)?, DEPTH_MAX);
        Some((item.get("key")?.as_str()?.to_owned(), value))
    };
    listed(list).into_iter().filter_map(pair).collect()
}

/// An OTLP `AnyValue` as plain JSON. Whole numbers are written as texts (64-bit integers, proto3 JSON mapping).
fn plain(value: Value, depth: usize) -> Value {
    let Value::Object(value) = value else { return Value::Null };
    let Some((kind, value)) = value.into_iter().next().filter(|_| depth > 0) else { return Value::Null };
    match kind.as_str() {
        "intValue" => value.as_str().and_then(|text| text.parse::<i64>().ok()).map_or(value, Value::from),
        "arrayValue" => {
            let Value::Object(mut list) = value else { return Value::Null };
            listed(list.remove("values")).into_iter().map(|item| plain(item, depth - 1)).collect()
        }
        "kvlistValue" => {
            let Value::Object(mut list) = value else { return Value::Null };
            let pair = |mut item: Value| {
                let value = plain(item.get_mut("value").map(Value::take)?, depth - 1);
                Some((item.get("key")?.as_str()?.to_owned(), value))
            };
            Value::Object(listed(list.remove("values")).into_iter().filter_map(pair).collect())
        }
        "stringValue" | "boolValue" | "doubleValue" | "bytesValue" => value,
        _ => Value::Null,
    }
}

fn listed(value: Option<Value>) -> Vec<Value> {
    if let Some(Value::Array(items)) = value { items } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{How, Millis};
    use serde_json::json;

    fn read(spans: Value) -> Decoded {
        let mut out = Decoded::default();
        let record = json!({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "travel"}}]}, "scopeSpans": [{"spans": spans}]}]});
        decode(record, &Received { at: Millis(1_795_343_040_100), id: "spans/0/7".into() }, &mut out);
        out
    }

    fn span(attributes: Value) -> Value {
        json!({"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174", "name": "execute_tool x",
            "startTimeUnixNano": "1795343040062000000", "endTimeUnixNano": "1795343040145500000", "attributes": attributes})
    }

    #[test]
    fn arguments_are_read_as_structure_and_as_text() {
        let op = json!({"key": "gen_ai.operation.name", "value": {"stringValue": "execute_tool"}});
        let tool = json!({"key": "gen_ai.tool.name", "value": {"stringValue": "book"}});
        let list = json!({"key": "gen_ai.tool.call.arguments", "value": {"kvlistValue": {"values": [
            {"key": "nights", "value": {"intValue": "2"}}, {"key": "tags", "value": {"arrayValue": {"values": [{"stringValue": "sea"}]}}}]}}});
        let packed =
            json!({"key": "gen_ai.tool.call.arguments", "value": {"stringValue": "{\"nights\":2,\"tags\":[\"sea\"]}"}});
        for args in [list, packed] {
            let out = read(json!([span(json!([op, tool, args]))]));
            assert_eq!(out.calls[0].args, json!({"nights": 2, "tags": ["sea"]}));
            assert_eq!((out.calls[0].how, out.calls[0].id.as_str()), (How::Trace, "eee19b7ec3c1b174"));
            assert_eq!(out.calls[0].segments_ms.as_ref().unwrap().tool, Some(83.5));
        }
    }

    #[test]
    fn spans_of_model_calls_are_no_calls_and_one_bad_span_costs_one() {
        let chat = json!([{"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}}]);
        let mcp = json!([{"key": "mcp.method.name", "value": {"stringValue": "tools/call"}}, {"key": "gen_ai.tool.name", "value": {"stringValue": "t"}},
            {"key": "mcp.session.id", "value": {"stringValue": "191c4850"}}, {"key": "error.type", "value": {"stringValue": "tool_error"}}]);
        let nameless = json!([{"key": "gen_ai.operation.name", "value": {"stringValue": "execute_tool"}}]);
        let out = read(json!([span(chat), span(mcp), span(nameless), 7]));
        assert_eq!((out.calls.len(), out.other, out.dead.len()), (1, 1, 2));
        assert_eq!((out.calls[0].how, out.calls[0].status), (How::Conversation, Some(Status::Error)));
        assert_eq!(out.dead[0].detail, "no `gen_ai.tool.name`");
    }
}
