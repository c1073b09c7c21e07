//! Figures of the policy issue that exist so far; the last line is JSON. `cargo bench -p policy --bench webhook`
//!
//! - `p50_us`, `p99_us`: a decision with the shipped policies, in process, Cedar alone (the detector is not this crate's)
//! - `grpc_rps`, `bare_rps`, `ratio_to_bare`: ext_authz checks on loopback, eight in flight, with a scorer that seals and
//!   answers at once, beside a bare tonic server that decodes the same request and says OK

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a bench fails as a test does")]

#[path = "../tests/common/mod.rs"]
mod common;

use common::http::Scripted;
use common::{NOW, ask, scored};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as Attributes};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::authorization_server::{Authorization, AuthorizationServer};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use policy::PolicySet;
use policy::server::{AppState, Limits, listen, serve_grpc};
use schema::{Mode, Pattern};
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

const DECISIONS: usize = 20_000;
const RUN: Duration = Duration::from_secs(3);
const IN_FLIGHT: usize = 8;

struct Bare;

#[tonic::async_trait]
impl Authorization for Bare {
    async fn check(&self, _: tonic::Request<CheckRequest>) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        Ok(tonic::Response::new(CheckResponse::default()))
    }
}

fn main() {
    let (p50, p99) = in_process();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (ours, bare) = runtime.block_on(over_grpc());
    println!("Cedar decision, {} policies: p50 {p50:.1} us, p99 {p99:.1} us", PolicySet::default().rules().len());
    println!("ext_authz: {ours:.0}/s, bare tonic {bare:.0}/s");
    let ratio = ours / bare;
    println!(
        "{}",
        serde_json::json!({"p50_us": p50, "p99_us": p99, "grpc_rps": ours, "bare_rps": bare, "ratio_to_bare": ratio})
    );
}

fn in_process() -> (f64, f64) {
    let (set, scored) = (PolicySet::default(), scored(serde_json::json!({}), 0.5, Pattern::None, true));
    let mut took: Vec<f64> = (0..DECISIONS)
        .map(|_| {
            let started = Instant::now();
            black_box(policy::decide(&ask(black_box(&scored)), &set, Mode::Enforce, NOW));
            started.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    took.sort_by(f64::total_cmp);
    (took[DECISIONS / 2], took[DECISIONS * 99 / 100])
}

async fn over_grpc() -> (f64, f64) {
    let (listener, address) = bind().await;
    let mut state = AppState::new(Arc::new(Scripted::default()), PolicySet::default(), Mode::Enforce);
    state.routes.default.deadline_ms = 1_000;
    tokio::spawn(serve_grpc(listener, Arc::new(state), std::future::pending()));
    let ours = closed_loop(address).await;
    let (listener, address) = bind().await;
    let router = tonic::service::Routes::new(AuthorizationServer::new(Bare)).into_axum_router();
    tokio::spawn(listen(listener, router, Limits::default(), std::future::pending()));
    (ours, closed_loop(address).await)
}

async fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Checks a second, each of [`IN_FLIGHT`] askers asking again when it has its answer.
async fn closed_loop(address: SocketAddr) -> f64 {
    let channel = tonic::transport::Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let until = Instant::now() + RUN;
    let askers: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let mut door = AuthorizationClient::new(channel.clone());
            tokio::spawn(async move {
                let mut answers = 0u32;
                while Instant::now() < until {
                    door.check(check()).await.unwrap();
                    answers += 1;
                }
                answers
            })
        })
        .collect();
    let mut answers = 0;
    for asker in askers {
        answers += asker.await.unwrap();
    }
    f64::from(answers) / RUN.as_secs_f64()
}

fn check() -> CheckRequest {
    let header = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let http = HttpRequest {
        method: "POST".to_owned(),
        path: "/hotels/123/reserve".to_owned(),
        host: "travel".to_owned(),
        headers: [("x-request-id", "r-1"), ("vedette-session", "s-1"), ("content-type", "application/json")]
            .map(header)
            .into(),
        body: r#"{"hotel":"Ritz","nights":2}"#.to_owned(),
        ..HttpRequest::default()
    };
    let attributes = AttributeContext {
        request: Some(Attributes { http: Some(http), time: None }),
        context_extensions: [("agent", "planner@3"), ("route", "payments")].map(header).into(),
        ..AttributeContext::default()
    };
    CheckRequest { attributes: Some(attributes) }
}
