//! ext_authz by gRPC, ours and a bare server's.

use crate::process::Server;
use crate::{ROUNDS, RUN, calls, quantile};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as Attributes};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::authorization_server::{Authorization, AuthorizationServer};
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use policy::server::{Endpoint, Limits, Workers, listen};
use schema::RawCall;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tonic::transport::Channel;

pub struct Figures {
    pub ours: f64,
    pub bare: f64,
    pub paced: f64,
    pub paced_bare: f64,
    pub kept: f64,
    pub kept_bare: f64,
}

pub async fn measure(ours: &Server) -> Figures {
    let bare = Server::own("bare-server");
    let asked = Arc::new(Asked { requests: calls::requests().iter().map(check).collect(), next: AtomicUsize::new(0) });
    let mut loops = Vec::new();
    for _ in 0..ROUNDS {
        loops.push((closed_loop(bare.grpc, &asked).await, closed_loop(ours.grpc, &asked).await));
    }
    let mut paces = Vec::new();
    for _ in 0..ROUNDS {
        paces.push((paced(bare.grpc, &asked).await, paced(ours.grpc, &asked).await));
    }
    println!("  closed loops, bare and ours: {loops:.0?}; paces (p99 ms, rate): {paces:.1?}");
    let (bare, ours) = loops.into_iter().max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    let (paced_bare, paced) = paces.into_iter().min_by(|a, b| a.0.0.total_cmp(&b.0.0)).unwrap();
    Figures { ours, bare, paced: paced.0, paced_bare: paced_bare.0, kept: paced.1, kept_bare: paced_bare.1 }
}

/// Decodes the question and says OK.
struct Bare;

#[tonic::async_trait]
impl Authorization for Bare {
    async fn check(&self, _: tonic::Request<CheckRequest>) -> Result<tonic::Response<CheckResponse>, tonic::Status> {
        Ok(tonic::Response::new(CheckResponse::default()))
    }
}

pub async fn serve_bare(address: SocketAddr) {
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let router = tonic::service::Routes::new(AuthorizationServer::new(Bare)).into_axum_router();
    // Served as ours is: what differs is what is done with a question.
    let workers = Workers::start(std::thread::available_parallelism().unwrap()).unwrap();
    let endpoint = Endpoint { listener, tls: None, workers: Some(workers) };
    listen(endpoint, router, Limits::default(), std::future::pending()).await.unwrap();
}

/// Questions, each once with an id of its own.
struct Asked {
    requests: Vec<CheckRequest>,
    next: AtomicUsize,
}

impl Asked {
    fn next(&self) -> CheckRequest {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let mut request = self.requests[n % self.requests.len()].clone();
        let http = request.attributes.as_mut().unwrap().request.as_mut().unwrap().http.as_mut().unwrap();
        http.headers.insert("x-request-id".to_owned(), format!("r-{n}"));
        let session = http.headers.get_mut("mcp-session-id").unwrap();
        session.push_str(&format!("/{}", n / self.requests.len()));
        request
    }
}

async fn channel(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// Answers a second, each of [`IN_FLIGHT`] askers asking again when it has its answer.
async fn closed_loop(address: SocketAddr, asked: &Arc<Asked>) -> f64 {
    let channels = [channel(address).await, channel(address).await];
    let until = Instant::now() + RUN;
    let askers: Vec<_> = (0..IN_FLIGHT)
        .map(|n| {
            let mut door = AuthorizationClient::new(channels[n % channels.len()].clone());
            let asked = Arc::clone(asked);
            tokio::spawn(async move {
                let mut answers = 0u32;
                while Instant::now() < until {
                    door.check(asked.next()).await.unwrap();
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

/// p99 in ms from when a question was due, and the rate that was kept up.
async fn paced(address: SocketAddr, asked: &Arc<Asked>) -> (f64, f64) {
    let door = AuthorizationClient::new(channel(address).await);
    let started = Instant::now();
    let total = (PACE * RUN.as_secs_f64()) as usize;
    let mut answers = Vec::with_capacity(total);
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    while answers.len() < total {
        tick.tick().await;
        let due = (started.elapsed().as_secs_f64() * PACE) as usize;
        while answers.len() < due.min(total) {
            let at = started + Duration::from_secs_f64((answers.len() + 1) as f64 / PACE);
            let (mut door, request) = (door.clone(), asked.next());
            answers.push(tokio::spawn(async move {
                door.check(request).await.unwrap();
                at.elapsed().as_secs_f64() * 1e3
            }));
        }
    }
    let mut took = Vec::with_capacity(total);
    for answer in answers {
        took.push(answer.await.unwrap());
    }
    let rate = total as f64 / started.elapsed().as_secs_f64();
    (quantile(&mut took, 0.99), rate)
}

/// An MCP call as Envoy tells it.
fn check(call: &RawCall) -> CheckRequest {
    let header = |(name, value): (&str, String)| (name.to_owned(), value);
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": call.tool, "arguments": call.args}});
    let http = HttpRequest {
        method: "POST".to_owned(),
        path: "/mcp".to_owned(),
        host: "api.example".to_owned(),
        scheme: "https".to_owned(),
        protocol: "HTTP/2".to_owned(),
        headers: [
            ("x-request-id", String::new()),
            ("mcp-session-id", call.session.to_string()),
            ("content-type", "application/json".to_owned()),
            ("accept", "application/json, text/event-stream".to_owned()),
            ("user-agent", "agent/1".to_owned()),
        ]
        .map(header)
        .into(),
        raw_body: serde_json::to_vec(&body).unwrap(),
        ..HttpRequest::default()
    };
    let told = [("agent", call.agent.to_string()), ("route", "mcp".to_owned()), ("tenant", "acme".to_owned())];
    let attributes = AttributeContext {
        request: Some(Attributes { http: Some(http), time: None }),
        context_extensions: told.map(header).into(),
        ..AttributeContext::default()
    };
    CheckRequest { attributes: Some(attributes) }
}

const IN_FLIGHT: usize = 16;
const PACE: f64 = 10_000.0;
