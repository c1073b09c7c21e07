//! `POST /v1/decide` and OPA's server, asked by the same eight connections.

use crate::process::{Server, free};
use crate::{ROUNDS, RUN, calls, inside, program, quantile};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
}

pub struct Figures {
    pub ours: Rate,
    pub opa: Rate,
}

pub async fn measure(ours: &Server, folder: &Path) -> Figures {
    let rules = folder.join("rules.rego");
    std::fs::write(&rules, rego()).unwrap();
    let address = free();
    let mut command = Command::new(program("opa"));
    command.args(["run", "--server", "--log-level", "error", "--addr", &address.to_string()]).arg(&rules);
    let opa = Server::start(command, address, address);
    let requests = calls::requests();
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        // A record as a gateway would send it; OPA gets the same facts as its input.
        let records: Vec<Vec<u8>> =
            requests.iter().map(|call| schema::decode::native::encode(&inside::again(call, 1_000 + round))).collect();
        let inputs = records.iter().map(|record| [b"{\"input\":", &record[..], b"}"].concat()).collect();
        let theirs = closed_loop(opa.http, "/v1/data/vedette/allow", Arc::new(inputs)).await;
        rounds.push((theirs, closed_loop(ours.http, "/v1/decide", Arc::new(records)).await));
    }
    println!("  decide, OPA and ours: {rounds:.1?}");
    let (opa, ours) = rounds.into_iter().max_by(|a, b| a.0.rate.total_cmp(&b.0.rate)).unwrap();
    Figures { ours, opa }
}

async fn closed_loop(address: SocketAddr, path: &'static str, bodies: Arc<Vec<Vec<u8>>>) -> Rate {
    let until = Instant::now() + RUN;
    let askers: Vec<_> = (0..CONNECTIONS)
        .map(|n| {
            let bodies = Arc::clone(&bodies);
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await;
                let mut took = Vec::new();
                for body in bodies.iter().cycle().skip(n).step_by(CONNECTIONS) {
                    let started = Instant::now();
                    if started >= until {
                        break;
                    }
                    assert_eq!(connection.post(path, body).await, 200);
                    took.push(started.elapsed().as_secs_f64() * 1e3);
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for asker in askers {
        took.extend(asker.await.unwrap());
    }
    Rate { rate: took.len() as f64 / RUN.as_secs_f64(), p50: quantile(&mut took, 0.5), p99: quantile(&mut took, 0.99) }
}

/// Just enough HTTP/1.1, kept alive.
pub struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, address, buffer: Vec::with_capacity(4_096) }
    }

    /// The status of the answer.
    pub async fn post(&mut self, path: &str, body: &[u8]) -> u16 {
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.address,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).await.unwrap();
        self.buffer.clear();
        loop {
            assert!(self.stream.read_buf(&mut self.buffer).await.unwrap() > 0, "{path}: the server closed");
            let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = String::from_utf8_lossy(&self.buffer[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            if self.buffer.len() >= end + 4 + length.unwrap_or(0) {
                return head[9..12].parse().unwrap();
            }
        }
    }
}

/// Twenty rules of the kind operators write for OPA: names, tools and counts, no session.
fn rego() -> String {
    let mut rules =
        "package vedette\n\nimport rego.v1\n\ndefault allow := false\n\nallow if count(deny) == 0\n".to_owned();
    for n in 0..20 {
        rules += &format!(
            "\ndeny contains \"rule{n}\" if {{\n\tinput.tool == \"tool_{n}\"\n\tinput.agent != \"admin_{n}\"\n\tcount(input.args) > {n}\n}}\n"
        );
    }
    rules
}

const CONNECTIONS: usize = 8;
