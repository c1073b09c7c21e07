//! How a call ended, from the response that came back.

use schema::Status;
use schema::decode::mcp_outcome;
use serde_json::Value;

/// What a response says of its call.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// What came back; none for JSON-RPC that is no answer (a notification).
    pub result: Option<Value>,
}

/// Reads a response, or one event of a streamed one.
///
/// JSON-RPC answers are read as the decoder of MCP logs reads them, so that a result means the same whichever way it came:
/// text content is text, `isError` and JSON-RPC errors are errors. Other JSON is itself, what is no JSON its text.
pub fn outcome(http_status: u16, body: &[u8]) -> Outcome {
    let failed = http_status >= 400;
    let status = |failed: bool| if failed { Status::Error } else { Status::Ok };
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        let text = String::from_utf8_lossy(body).into_owned();
        return Outcome { status: status(failed), result: (!text.is_empty()).then(|| Value::from(text)) };
    };
    let Value::Object(message) = value else { return Outcome { status: status(failed), result: Some(value) } };
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Outcome { status: status(failed), result: Some(Value::Object(message)) };
    }
    let (ended, result) = mcp_outcome(message);
    Outcome { status: ended.filter(|_| !failed).unwrap_or_else(|| status(failed)), result }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(http_status: u16, body: &str, status: Status, result: Option<Value>) {
        assert_eq!(outcome(http_status, body.as_bytes()), Outcome { status, result }, "{body}");
    }

    #[test]
    fn a_response_is_read_as_what_it_is() {
        let content = json!({"content": [{"type": "text", "text": "hi"}]});
        let answer = json!({"jsonrpc": "2.0", "id": 1, "result": content}).to_string();
        check(200, &answer, Status::Ok, Some(json!("hi")));
        check(500, &answer, Status::Error, Some(json!("hi")));
        let failed = r#"{"jsonrpc":"2.0","id":1,"result":{"isError":true,"content":[{"type":"text","text":"no"}]}}"#;
        check(200, failed, Status::Error, Some(json!("no")));
        check(200, r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#, Status::Error, Some(json!({"code": 1})));
        check(200, r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#, Status::Ok, None);
        check(503, r#"{"a":1}"#, Status::Error, Some(json!({"a": 1})));
        check(200, "hello", Status::Ok, Some(json!("hello")));
        check(204, "", Status::Ok, None);
    }
}
