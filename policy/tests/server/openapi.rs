//! The OpenAPI document says what the doors really do: every path is there, and every answer has the shape it states.

use crate::common::http::{Scripted, decide, http, start};
use policy::PolicySet;
use policy::server::{AppState, OPENAPI};
use schema::Mode;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

async fn webhook() -> SocketAddr {
    let mut state = AppState::new(Arc::new(Scripted::default()), PolicySet::default(), Mode::Enforce);
    state.routes.default.deadline_ms = 30_000;
    start(state).await.address
}

/// Holds `found` against a schema of the document, as far as the document uses JSON Schema.
fn check(schema: &Value, found: &Value, place: &str) {
    let document = document();
    if let Some(name) = schema["$ref"].as_str() {
        let pointer = name.strip_prefix('#').unwrap();
        return check(document.pointer(pointer).unwrap_or_else(|| panic!("{name} is nowhere")), found, place);
    }
    if let Some(words) = schema["enum"].as_array() {
        assert!(words.contains(found), "{place}: {found} is none of {words:?}");
    }
    let object = found.as_object();
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(object.unwrap().contains_key(name.as_str().unwrap()), "{place}: {name} is missing in {found}");
    }
    for (name, value) in object.into_iter().flatten() {
        match schema["properties"].get(name) {
            Some(schema) => check(schema, value, &format!("{place}.{name}")),
            None => assert_ne!(schema["additionalProperties"], false, "{place}: {name} is not in the document"),
        }
    }
}

#[tokio::test]
async fn the_document_is_served_as_it_is_kept() {
    let answer = http(webhook().await, "GET", "/openapi.json", &[], b"").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, OPENAPI));
    assert_eq!(document()["openapi"], "3.1.0");
}

#[tokio::test]
async fn every_path_of_the_document_is_a_door_with_that_method() {
    let at = webhook().await;
    for (path, methods) in document()["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path.replace("{path}", "pay");
            let answer = http(at, &method.to_uppercase(), &path, &[], b"{}").await;
            let there = answer.status != 405 && (answer.status != 404 || path == "/metrics");
            assert!(there, "{method} {path}: {answer:?}");
            let stated = &document()["paths"][&path.replace("/pay", "/{path}")][method]["responses"];
            assert!(stated.get(answer.status.to_string()).is_some(), "{method} {path} says {}", answer.status);
        }
    }
}

#[tokio::test]
async fn answers_have_the_shape_the_document_states() {
    let at = webhook().await;
    let schema = |name: &str| document()["components"]["schemas"][name].clone();
    for tool in ["pay", "hijacked_pay", "copy_model", "maybe_pay", "broken_pay"] {
        check(&schema("Decision"), &decide(at, tool, &[]).await.json(), tool);
    }
    for (path, body) in [("/v1/decide", "{"), ("/v1/mission", "{\"session\":1}"), ("/nowhere", "")] {
        let answer = http(at, "POST", path, &[], body.as_bytes()).await;
        check(&schema("Problem"), &answer.json(), path);
    }
    let told = ["x-forwarded-method: POST", "x-forwarded-uri: /x", "vedette-agent: a", "vedette-tool: hijacked_pay"];
    check(&schema("Problem"), &http(at, "GET", "/v1/forward-auth", &told, b"").await.json(), "forward-auth");
}

#[test]
fn the_ladder_and_the_modes_are_those_of_the_records() {
    let words = &document()["components"]["schemas"]["Ladder"]["enum"];
    let ladder = [schema::Ladder::Allow, schema::Ladder::Throttle, schema::Ladder::StepUp, schema::Ladder::Deny];
    assert_eq!(*words, serde_json::to_value(ladder).unwrap());
    let modes = &document()["components"]["schemas"]["Decision"]["properties"]["mode"]["enum"];
    assert_eq!(*modes, serde_json::to_value([Mode::Observe, Mode::Shadow, Mode::Enforce]).unwrap());
}
