//! What a request's body holds: arguments as JSON, or MCP's JSON-RPC.

use serde_json::{Map, Value};

/// A body, read.
#[derive(Debug, PartialEq)]
pub(super) enum Body {
    /// JSON-RPC with `tools/call`: tool and arguments of each.
    Calls(Vec<(String, Value)>),
    /// JSON-RPC with anything else.
    NoCall,
    /// No JSON-RPC: the body as JSON, where it is some.
    Arguments(Option<Value>),
}

/// Reads a body. One that is cut off or no JSON has no arguments, and is a call all the same.
pub(super) fn read(bytes: &[u8]) -> Body {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return Body::Arguments(None) };
    let messages = match value {
        Value::Object(message) if is_rpc(&message) => vec![message],
        // A batch (JSON-RPC 2.0, section 6). One that mixes in something else is read as calls as well: a batch must
        // not be a way past the door.
        Value::Array(items) if items.iter().any(|item| item.as_object().is_some_and(is_rpc)) => items
            .into_iter()
            .filter_map(|item| if let Value::Object(item) = item { Some(item) } else { None })
            .collect(),
        other => return Body::Arguments(Some(other)),
    };
    let calls: Vec<_> = messages.into_iter().filter_map(call).collect();
    if calls.is_empty() { Body::NoCall } else { Body::Calls(calls) }
}

fn is_rpc(message: &Map<String, Value>) -> bool {
    message.get("jsonrpc").and_then(Value::as_str) == Some("2.0")
}

/// MCP, "Tools", section "Calling Tools". A call that names no tool is kept, so that it fails as a record and not in silence.
fn call(mut message: Map<String, Value>) -> Option<(String, Value)> {
    if message.get("method").and_then(Value::as_str) != Some("tools/call") {
        return None;
    }
    let mut params = match message.remove("params") {
        Some(Value::Object(params)) => params,
        _ => Map::new(),
    };
    let tool = params.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    Some((tool, params.remove("arguments").unwrap_or(Value::Null)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_mcp_call_is_its_tool_with_its_arguments() {
        let body = br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"pay","arguments":{"to":"x"}}}"#;
        assert_eq!(read(body), Body::Calls(vec![("pay".to_owned(), json!({"to": "x"}))]));
    }

    #[test]
    fn a_handshake_is_no_call() {
        assert_eq!(read(br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#), Body::NoCall);
    }

    #[test]
    fn a_call_hidden_in_a_batch_is_found() {
        let body = br#"[{"jsonrpc":"2.0","method":"ping"},7,{"method":"tools/call","params":{"name":"pay"}}]"#;
        assert_eq!(read(body), Body::Calls(vec![("pay".to_owned(), Value::Null)]));
    }

    #[test]
    fn a_body_that_is_cut_off_has_no_arguments() {
        assert_eq!(read(br#"{"to":"#), Body::Arguments(None));
        assert_eq!(read(b""), Body::Arguments(None));
    }
}
