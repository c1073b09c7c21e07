//! Through real Envoy: the same route with and without ext_authz.

use crate::http::Connection;
use crate::process::{Server, free};
use crate::{ROUNDS, RUN, calls, program, quantile};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

pub struct Figures {
    pub with: f64,
    pub without: f64,
    pub kept: f64,
    pub kept_without: f64,
}

pub async fn measure(ours: &Server, folder: &Path) -> Figures {
    let upstream = Server::own("upstream-server");
    let example =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/envoy/ext_authz.yaml"))
            .unwrap();
    let gateway = |asks: bool| {
        let address = free();
        let ports = [("8080", address), ("9000", upstream.http), ("8182", ours.grpc)];
        let mut text =
            ports.iter().fold(example.clone(), |text, (shown, real)| text.replace(shown, &real.port().to_string()));
        if !asks {
            let settings = text.find("                    check_settings:").unwrap();
            let end = settings + text[settings..].find("          http_filters:").unwrap();
            text.replace_range(settings..end, "                    disabled: true\n");
        }
        let file = folder.join(format!("envoy-{asks}.yaml"));
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program("envoy"));
        command.arg("-c").arg(file).args(["--use-dynamic-base-id", "--log-level", "off", "--concurrency", "1"]);
        Server::start(command, address, address)
    };
    let (with, without) = (gateway(true), gateway(false));
    let bodies: Arc<Vec<Vec<u8>>> = Arc::new(
        calls::requests()
            .iter()
            .map(|call| {
                let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
                    "params": {"name": call.tool, "arguments": call.args}});
                serde_json::to_vec(&body).unwrap()
            })
            .collect(),
    );
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push((paced(without.http, &bodies).await, paced(with.http, &bodies).await));
    }
    println!("  Envoy (p99 ms, rate), without and with: {rounds:.1?}");
    let (without, with) = rounds.into_iter().min_by(|a, b| a.0.0.total_cmp(&b.0.0)).unwrap();
    Figures { with: with.0, without: without.0, kept: with.1, kept_without: without.1 }
}

pub async fn serve_upstream(address: SocketAddr) {
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let router = axum::Router::new().fallback(|| async { "ok" });
    axum::serve(listener, router).await.unwrap();
}

/// p99 in ms from when a request was due, and the rate that was kept up.
async fn paced(address: SocketAddr, bodies: &Arc<Vec<Vec<u8>>>) -> (f64, f64) {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(address).await;
        // Envoy listens before its clusters are warm.
        while connection.post("/mcp", &bodies[0]).await == 503 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        connections.push(connection);
    }
    let total = (PACE * RUN.as_secs_f64()) as usize;
    let started = Instant::now();
    let next = Arc::new(Mutex::new(0usize));
    let askers: Vec<_> = connections
        .into_iter()
        .map(|mut connection| {
            let (next, bodies) = (Arc::clone(&next), Arc::clone(bodies));
            tokio::spawn(async move {
                let mut took = Vec::new();
                loop {
                    let n = {
                        let mut next = next.lock().await;
                        *next += 1;
                        *next
                    };
                    if n > total {
                        return took;
                    }
                    let due = started + Duration::from_secs_f64(n as f64 / PACE);
                    tokio::time::sleep_until(due.into()).await;
                    let status = connection.post("/mcp", &bodies[n % bodies.len()]).await;
                    assert!([200, 401, 403, 429].contains(&status), "Envoy says {status}");
                    took.push(due.elapsed().as_secs_f64() * 1e3);
                }
            })
        })
        .collect();
    let mut took = Vec::new();
    for asker in askers {
        took.extend(asker.await.unwrap());
    }
    let rate = total as f64 / started.elapsed().as_secs_f64();
    (quantile(&mut took, 0.99), rate)
}

const CONNECTIONS: usize = 64;
const PACE: f64 = 5_000.0;
