//! `POST /v1/decide` and OPA's server, asked by the same eight connections.

use crate::process::{Server, free};
use crate::{ROUNDS, RUN, calls, program, quantile};
use schema::RawCall;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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
    /// Without a log.
    pub opa: Rate,
    /// As it starts unless told otherwise: with a line for each request and one for each response.
    pub opa_logs: Rate,
}

pub async fn measure(ours: &Server, folder: &Path) -> Figures {
    let rules = folder.join("rules.rego");
    std::fs::write(&rules, rego()).unwrap();
    let opa = |more: &[&str]| {
        let address = free();
        let mut command = Command::new(program("opa"));
        command.args(["run", "--server", "--addr", &address.to_string()]).args(more).arg(&rules);
        Server::start(command, address, address)
    };
    let (opa, opa_logs) = (opa(&["--log-level", "error"]), opa(&[]));
    // A record as a gateway would send it; OPA gets the same facts as its input.
    let records: Vec<Body> = calls::requests().iter().map(|call| Body::of(call, "", "")).collect();
    let inputs: Vec<Body> = calls::requests().iter().map(|call| Body::of(call, "{\"input\":", "}")).collect();
    let (records, inputs, passes) = (Arc::new(records), Arc::new(inputs), Arc::new(AtomicUsize::new(0)));
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let theirs = closed_loop(opa.http, "/v1/data/vedette/allow", &inputs, &passes).await;
        let with_log = closed_loop(opa_logs.http, "/v1/data/vedette/allow", &inputs, &passes).await;
        rounds.push((theirs, with_log, closed_loop(ours.http, "/v1/decide", &records, &passes).await));
    }
    println!("  decide, OPA without and with its log, and ours: {rounds:.1?}");
    let (opa, opa_logs, ours) = rounds.into_iter().max_by(|a, b| a.0.rate.total_cmp(&b.0.rate)).unwrap();
    Figures { ours, opa, opa_logs }
}

/// A record whose session and id end in digits that are written anew for each question: no call is asked about twice.
struct Body {
    bytes: Vec<u8>,
    digits: Vec<usize>,
}

impl Body {
    fn of(call: &RawCall, before: &str, after: &str) -> Self {
        let mut call = call.clone();
        call.session = format!("{}/{DIGITS}", call.session).parse().unwrap();
        call.id = format!("{}/{DIGITS}", call.id).parse().unwrap();
        let bytes = [before.as_bytes(), &schema::decode::native::encode(&call), after.as_bytes()].concat();
        let digits = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(DIGITS.as_bytes())).collect();
        Self { bytes, digits }
    }

    fn pass(&self, number: usize) -> Vec<u8> {
        let (mut bytes, number) = (self.bytes.clone(), format!("{number:0width$}", width = DIGITS.len()));
        for at in &self.digits {
            bytes[*at..*at + DIGITS.len()].copy_from_slice(number.as_bytes());
        }
        bytes
    }
}

/// Each pass over the bodies is of sessions of its own.
async fn closed_loop(
    address: SocketAddr,
    path: &'static str,
    bodies: &Arc<Vec<Body>>,
    passes: &Arc<AtomicUsize>,
) -> Rate {
    let (first, next) = (passes.fetch_add(1_000_000, Ordering::Relaxed), Arc::new(AtomicUsize::new(0)));
    let until = Instant::now() + RUN;
    let askers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let (bodies, next) = (Arc::clone(bodies), Arc::clone(&next));
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await;
                let mut took = Vec::new();
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let body = bodies[n % bodies.len()].pass(first + n / bodies.len());
                    let started = Instant::now();
                    if started >= until {
                        return took;
                    }
                    assert_eq!(connection.post(path, &body).await, 200);
                    took.push(started.elapsed().as_secs_f64() * 1e3);
                }
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
const DIGITS: &str = "90817263540";
