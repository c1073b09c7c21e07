//! The API behind the gateway: an MCP server that answers what was recorded.

use crate::Recorded;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use schema::Status;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Answers by the header `x-call`.
type Answers = Arc<HashMap<String, String>>;

pub async fn serve(recorded: &[Recorded]) -> SocketAddr {
    let calls = recorded.iter().flat_map(|session| &session.calls);
    let answers: Answers = Arc::new(calls.map(|call| (call.id.to_string(), answer(call))).collect());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(say).with_state(answers);
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn say(State(answers): State<Answers>, headers: HeaderMap) -> impl IntoResponse {
    // Envoy asks for `/` while the test waits for it.
    let call = headers.get("x-call").and_then(|call| call.to_str().ok()).unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], answers.get(call).cloned().unwrap_or_default())
}

/// As an MCP server says it: text content.
fn answer(call: &schema::RawCall) -> String {
    let text = match &call.result {
        None => None,
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
    };
    let content: Vec<Value> = text.into_iter().map(|text| json!({"type": "text", "text": text})).collect();
    let failed = call.status == Some(Status::Error);
    json!({"jsonrpc": "2.0", "id": 1, "result": {"content": content, "isError": failed}}).to_string()
}
