//! The doors of gateways that ask by HTTP sub-request or ext_authz, spoken to as those gateways speak.

use crate::common::http::{Scripted, http, start};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request as Attributes};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::{
    AttributeContext, CheckRequest, CheckResponse, check_response::HttpResponse,
};
use envoy_types::pb::google::protobuf::value::Kind;
use policy::server::{AppState, Certificates, Limits, Shown, serve_grpc};
use policy::{CertificateClass, Fallback, PolicySet};
use schema::{Millis, Mode, Phase};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::health_client::HealthClient;

fn state(scorer: &Arc<Scripted>, mode: Mode) -> AppState {
    let mut state = AppState::new(Arc::clone(scorer) as Arc<dyn policy::Scorer>, PolicySet::default(), mode);
    state.routes.default.deadline_ms = 30_000;
    state
}

const CALLER: [&str; 2] = ["vedette-agent: planner@3", "x-request-id: r-1"];

async fn forward(at: SocketAddr, tool: &str) -> crate::common::http::Answer {
    let tool = format!("vedette-tool: {tool}");
    let told = ["x-forwarded-method: POST", "x-forwarded-uri: /pay/123?x=1", "x-forwarded-host: bank", &tool];
    http(at, "GET", "/v1/forward-auth", &[&told[..], &CALLER].concat(), b"").await
}

#[tokio::test]
async fn forward_auth_answers_in_the_fields_forms() {
    let at = start(state(&Arc::default(), Mode::Enforce)).await.address;
    assert_eq!(forward(at, "pay").await.status, 200);
    let slowed = forward(at, "copy_model").await;
    assert_eq!((slowed.status, slowed.header("retry-after")), (429, Some("5")));
    let asked = forward(at, "maybe_pay").await;
    assert_eq!(asked.status, 401);
    assert!(asked.header("www-authenticate").unwrap().contains("insufficient_user_authentication"));
    assert!(asked.header("www-authenticate").unwrap().contains("max_age=\"300\""));
    let denied = forward(at, "hijacked_pay").await;
    assert_eq!((denied.status, denied.header("vedette-decision")), (403, Some("deny")));
    assert_eq!(denied.json()["decision_id"], "r-1");
}

#[tokio::test]
async fn in_shadow_forward_auth_lets_everything_through_whatever_goes_wrong() {
    let at = start(state(&Arc::default(), Mode::Shadow)).await.address;
    for tool in ["hijacked_pay", "broken_pay", "panics_pay", "away_pay", "copy_model"] {
        assert_eq!(forward(at, tool).await.status, 200, "{tool}");
    }
    let unreadable = forward(at, &"x".repeat(300)).await;
    assert_eq!((unreadable.status, unreadable.header("vedette-degraded")), (200, Some("true")));
}

#[tokio::test]
async fn nginx_is_told_a_throttle_as_403_because_it_takes_429_for_a_failure() {
    let at = start(state(&Arc::default(), Mode::Enforce)).await.address;
    let told = ["x-original-method: GET", "x-original-uri: /m", "vedette-tool: copy_model", CALLER[0]];
    let slowed = http(at, "GET", "/v1/auth-request", &told, b"").await;
    assert_eq!((slowed.status, slowed.header("vedette-decision")), (403, Some("throttle")));
    assert_eq!(slowed.header("retry-after"), Some("5"));
}

#[tokio::test]
async fn a_path_is_a_tool_and_its_ids_are_not() {
    let scorer = Arc::new(Scripted::default());
    let at = start(state(&scorer, Mode::Shadow)).await.address;
    for id in ["123", "456"] {
        http(at, "POST", &format!("/v1/ext-authz/hotels/{id}/reserve"), &CALLER, b"{}").await;
    }
    let tool = ("POST /hotels/{}/reserve".to_owned(), Phase::Request);
    assert_eq!(*scorer.seen.lock().unwrap(), [tool.clone(), tool]);
}

#[tokio::test]
async fn an_mcp_call_in_the_body_is_judged_by_its_tool_and_a_handshake_passes() {
    let scorer = Arc::new(Scripted::default());
    let at = start(state(&scorer, Mode::Enforce)).await.address;
    let call = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"hijacked_pay","arguments":{}}}"#;
    let session = [CALLER[0], "mcp-session-id: m-1"];
    assert_eq!(http(at, "POST", "/v1/ext-authz/mcp", &session, call).await.status, 403);
    let hello = br#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#;
    assert_eq!(http(at, "POST", "/v1/ext-authz/mcp", &session, hello).await.status, 200);
    assert_eq!(scorer.seen.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_call_hidden_behind_others_in_a_batch_stops_the_batch() {
    let at = start(state(&Arc::default(), Mode::Enforce)).await.address;
    let call = |tool| format!(r#"{{"jsonrpc":"2.0","method":"tools/call","params":{{"name":"{tool}"}}}}"#);
    let body = format!("[{},{},{}]", call("read"), call("hijacked_pay"), call("read"));
    assert_eq!(http(at, "POST", "/v1/ext-authz/mcp", &CALLER, body.as_bytes()).await.status, 403);
}

async fn grpc(state: AppState) -> (AuthorizationClient<Channel>, HealthClient<Channel>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_grpc(listener, Arc::new(state), std::future::pending()));
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    (AuthorizationClient::new(channel.clone()), HealthClient::new(channel))
}

fn check(tool: &str) -> CheckRequest {
    let http = HttpRequest {
        id: "envoy-1".to_owned(),
        method: "POST".to_owned(),
        path: "/pay/123".to_owned(),
        host: "bank".to_owned(),
        headers: HashMap::from([("x-request-id".to_owned(), "r-1".to_owned())]),
        ..HttpRequest::default()
    };
    let told = [("agent", "planner@3"), ("tool", tool), ("route", "payments")];
    let attributes = AttributeContext {
        request: Some(Attributes { http: Some(http), time: None }),
        context_extensions: told.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        ..AttributeContext::default()
    };
    CheckRequest { attributes: Some(attributes) }
}

fn field(response: &CheckResponse, name: &str) -> Kind {
    response.dynamic_metadata.as_ref().unwrap().fields[name].kind.clone().unwrap()
}

fn denied(response: CheckResponse) -> (i32, HashMap<String, String>) {
    let Some(HttpResponse::DeniedResponse(denied)) = response.http_response else { panic!("{response:?}") };
    let headers = denied.headers.into_iter().filter_map(|h| h.header).map(|h| (h.key, h.value)).collect();
    (denied.status.unwrap().code, headers)
}

#[tokio::test]
async fn envoy_is_told_the_ladder_with_metadata_for_its_log() {
    let (mut door, _) = grpc(state(&Arc::default(), Mode::Enforce)).await;
    let ok = door.check(check("pay")).await.unwrap().into_inner();
    assert_eq!(ok.status.as_ref().unwrap().code, Code::Ok as i32);
    assert_eq!(field(&ok, "id"), Kind::StringValue("r-1".to_owned()));
    let deny = door.check(check("hijacked_pay")).await.unwrap().into_inner();
    assert_eq!(deny.status.as_ref().unwrap().code, Code::PermissionDenied as i32);
    assert_eq!(field(&deny, "risk"), Kind::NumberValue(0.999));
    assert_eq!(denied(deny).0, 403);
    let (status, headers) = denied(door.check(check("copy_model")).await.unwrap().into_inner());
    assert_eq!((status, headers["retry-after"].as_str()), (429, "5"));
    let (status, headers) = denied(door.check(check("maybe_pay")).await.unwrap().into_inner());
    assert!(status == 401 && headers["www-authenticate"].contains("insufficient_user_authentication"));
}

#[tokio::test]
async fn in_shadow_envoy_is_told_ok_and_the_metadata_says_what_enforce_would_do() {
    let (mut door, _) = grpc(state(&Arc::default(), Mode::Shadow)).await;
    let ok = door.check(check("hijacked_pay")).await.unwrap().into_inner();
    assert_eq!(ok.status.as_ref().unwrap().code, Code::Ok as i32);
    assert_eq!(field(&ok, "would"), Kind::StringValue("deny".to_owned()));
    for tool in ["broken_pay", "panics_pay", ""] {
        let ok = door.check(check(tool)).await.unwrap().into_inner();
        assert_eq!(ok.status.unwrap().code, Code::Ok as i32, "{tool}");
    }
    assert!(door.check(CheckRequest::default()).await.is_ok());
}

#[tokio::test]
async fn our_own_failure_is_an_error_for_envoy_and_never_a_denial() {
    let (mut door, _) = grpc(state(&Arc::default(), Mode::Enforce)).await;
    for tool in ["broken_pay", "panics_pay"] {
        assert_eq!(door.check(check(tool)).await.unwrap_err().code(), Code::Unavailable, "{tool}");
    }
    assert_eq!(door.check(CheckRequest::default()).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_device_is_known_by_the_certificate_that_envoy_checked() {
    let mut state = state(&Arc::default(), Mode::Enforce);
    let read = |der: &[u8]| {
        let class = if der == b"hello" { CertificateClass::Quarantine } else { CertificateClass::Full };
        Some(Shown { class, issued: Millis(0) })
    };
    state.certificates = Some(Certificates::new(read));
    let (mut door, _) = grpc(state).await;
    let from = |base64: &str| {
        let mut check = check("pay");
        let certificate = format!("-----BEGIN%20CERTIFICATE-----%0A{base64}%0A-----END%20CERTIFICATE-----%0A");
        check.attributes.as_mut().unwrap().source = Some(Peer { certificate, ..Peer::default() });
        check
    };
    assert_eq!(denied(door.check(from("aGVsbG8%3D")).await.unwrap().into_inner()).0, 403);
    for other in [from("aGVsbG8h"), from("no base64"), check("pay")] {
        let ok = door.check(other).await.unwrap().into_inner();
        assert_eq!(ok.status.unwrap().code, Code::Ok as i32);
    }
}

#[tokio::test]
async fn a_full_queue_is_an_error_for_envoy() {
    let limits = Limits { in_flight_max: 0, ..Limits::default() };
    let (mut door, _) = grpc(state(&Arc::default(), Mode::Enforce).with_limits(limits)).await;
    assert_eq!(door.check(check("pay")).await.unwrap_err().code(), Code::ResourceExhausted);
}

#[tokio::test]
async fn past_the_deadline_the_route_says_what_envoy_is_told() {
    let mut state = state(&Arc::default(), Mode::Enforce);
    let route = policy::Route { deadline_ms: 1, fallback: Fallback::Deny, ..policy::Route::default() };
    state.routes.named.insert("payments".to_owned(), route);
    let (mut door, _) = grpc(state).await;
    let response = door.check(check("late_pay")).await.unwrap().into_inner();
    assert_eq!(field(&response, "degraded"), Kind::BoolValue(true));
    assert_eq!(denied(response).0, 403);
}

#[tokio::test]
async fn grpc_health_says_when_questions_can_be_answered() {
    let scorer = Arc::new(Scripted { not_ready: Some("no broker".to_owned()), ..Scripted::default() });
    let (_, mut health) = grpc(state(&scorer, Mode::Shadow)).await;
    let request = tonic_health::pb::HealthCheckRequest { service: String::new() };
    let mut news = health.watch(request).await.unwrap().into_inner();
    loop {
        let status = news.message().await.unwrap().unwrap().status();
        if status == tonic_health::pb::health_check_response::ServingStatus::NotServing {
            break;
        }
    }
}
