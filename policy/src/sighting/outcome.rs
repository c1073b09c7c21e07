//! How a call ended, from the response that came back.

use schema::Status;
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
/// JSON-RPC answers yield their result (MCP's `isError` and JSON-RPC errors are errors), other JSON itself, and what
/// is no JSON its text.
pub fn outcome(http_status: u16, body: &[u8]) -> Outcome {
    let failed = http_status >= 400;
    let status = |failed: bool| if failed { Status::Error } else { Status::Ok };
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        let text = String::from_utf8_lossy(body).into_owned();
        return Outcome { status: status(failed), result: (!text.is_empty()).then(|| Value::from(text)) };
    };
    let Value::Object(mut message) = value else { return Outcome { status: status(failed), result: Some(value) } };
    if message.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Outcome { status: status(failed), result: Some(Value::Object(message)) };
    }
    if let Some(error) = message.remove("error") {
        return Outcome { status: Status::Error, result: Some(error) };
    }
    let result = message.remove("result");
    let is_error = result.as_ref().and_then(|r| r.get("isError")).and_then(Value::as_bool).unwrap_or(false);
    Outcome { status: status(failed || is_error), result }
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
        check(200, &answer, Status::Ok, Some(content));
        check(
            200,
            r#"{"jsonrpc":"2.0","id":1,"result":{"isError":true}}"#,
            Status::Error,
            Some(json!({"isError": true})),
        );
        check(200, r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#, Status::Error, Some(json!({"code": 1})));
        check(200, r#"{"jsonrpc":"2.0","method":"notifications/progress"}"#, Status::Ok, None);
        check(503, r#"{"a":1}"#, Status::Error, Some(json!({"a": 1})));
        check(200, "hello", Status::Ok, Some(json!("hello")));
        check(204, "", Status::Ok, None);
    }
}
