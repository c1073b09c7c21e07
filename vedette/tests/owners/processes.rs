//! Two processes of the real binary, and a Kafka in this one.

use super::{request, sessions};
use crate::fitted::FITTED;
use ingest::mock::MockKafka;
use ingest::produce::send_all;
use ingest::{Operator as _, Output};
use policy::Chain;
use schema::{Phase, RawCall, Verdict};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// `vedette policy`, ended when this goes out of scope.
struct Process {
    address: SocketAddr,
    child: Child,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Process {
    /// `name`: of its files. `members`: what its configuration says of others; without it there are none.
    async fn start(folder: &Path, name: &str, kafka: &MockKafka, members: Option<&str>) -> Self {
        let [config, log, key] = [".toml", ".jsonl", ""].map(|end| folder.join(format!("{name}{end}")));
        std::fs::write(&key, "07".repeat(32)).unwrap();
        let members = members.map(|more| format!("[policy.members]\nlisten = \"127.0.0.1:0\"\n{more}\n"));
        let text = format!(
            "[seal]\nkey_file = {key:?}\n[policy]\nlog_file = {log:?}\n[policy.routes.default]\ndeadline_ms = 60000\n{}",
            members.unwrap_or_default()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
        command.arg("policy").arg("--config").arg(&config).arg("--model").arg(folder.join("model"));
        command.args(["--listen", "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0", "--brokers", kafka.bootstrap()]);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let (found, address) = oneshot::channel();
        // To its end, or it would wait for a reader.
        std::thread::spawn(move || {
            let mut found = Some(found);
            for line in said.lines().map_while(Result::ok) {
                let address = line.split_once("answering at http://").and_then(|(_, rest)| rest.split('/').next());
                if let (Some(address), Some(_)) = (address, &found) {
                    found.take().unwrap().send(address.parse().unwrap()).unwrap();
                }
                eprintln!("{line}");
            }
        });
        Self { address: address.await.expect("it says where it answers; its output is above"), child }
    }

    /// Waits until it says of itself what is `wanted`.
    async fn says(&self, wanted: &str) {
        for _ in 0..6_000 {
            let (_, page) = http(self.address, "GET", "/metrics", b"").await;
            if page.lines().any(|line| line == wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it never says `{wanted}`");
    }

    /// Asks about `call`; whether the answer is degraded.
    async fn ask(&self, call: &RawCall) -> bool {
        let body = schema::decode::native::encode(&request(call));
        let (status, answer) = http(self.address, "POST", "/v1/decide", &body).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<serde_json::Value>(&answer).unwrap()["degraded"].as_bool().unwrap()
    }

    /// Tells it how `call` ended.
    async fn tell(&self, call: &RawCall) {
        let body = schema::decode::native::encode(&RawCall { phase: Phase::Result, ..call.clone() });
        let (status, answer) = http(self.address, "POST", "/v1/result", &body).await;
        assert_eq!(status, 202, "{answer}");
    }

    /// Lets it end as a service manager does.
    fn end(mut self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success() && self.child.wait().unwrap().success());
    }
}

/// The verdicts in the logs of these processes, by the ids of their calls.
fn logged(folder: &Path, names: &[&str]) -> BTreeMap<String, Verdict> {
    let mut verdicts = BTreeMap::new();
    for name in names {
        let text = std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap();
        let mut chain = Chain::default();
        for (line, text) in text.lines().enumerate() {
            let rests_on = chain.read(text, line + 1).unwrap().rests_on.unwrap();
            assert!(!rests_on.degraded);
            let id = format!("{}/{}", rests_on.call.session, rests_on.call.id);
            assert!(verdicts.insert(id, rests_on.verdict).is_none(), "judged twice");
        }
    }
    verdicts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_say_what_one_says_and_one_that_leaves_says_so() {
    let sessions = sessions();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("model"), FITTED.model.to_bytes()).unwrap();
    let kafka = MockKafka::start(&vedette::topics::with_partitions(1)).unwrap();
    let alone = Process::start(folder, "alone", &kafka, None).await;
    // None is given up, however busy the machine is.
    let for_ever = Some("beat_ms = 50\nmisses_max = 10000");
    let one = Process::start(folder, "one", &kafka, for_ever).await;
    let other = Process::start(folder, "other", &kafka, for_ever).await;
    one.says("vedette_policy_members 2").await;
    other.says("vedette_policy_members 2").await;

    for calls in sessions.iter().take(40) {
        for (n, call) in calls.iter().enumerate() {
            assert!(!alone.ask(call).await);
            let (asked, told) = if n % 2 == 0 { (&one, &other) } else { (&other, &one) };
            assert!(!asked.ask(call).await);
            if call.result.is_some() {
                alone.tell(call).await;
                told.tell(call).await;
            }
        }
    }
    other.end();
    one.says("vedette_policy_members 1").await;
    one.end();
    alone.end();
    let (want, got) = (logged(folder, &["alone"]), logged(folder, &["one", "other"]));
    assert!(want.len() > 100);
    assert_eq!(want, got);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_stops_no_call_and_its_sessions_are_anothers() {
    let sessions = sessions();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("model"), FITTED.model.to_bytes()).unwrap();
    let kafka = MockKafka::start(&vedette::topics::with_partitions(1)).unwrap();
    let soon = Some("beat_ms = 50\nmisses_max = 20");
    let one = Process::start(folder, "one", &kafka, soon).await;
    let mut other = Process::start(folder, "other", &kafka, soon).await;
    one.says("vedette_policy_members 2").await;
    other.child.kill().unwrap();
    for round in 0..=1_200 {
        assert!(round < 1_200, "nobody takes over what the dead one owned");
        let mut degraded = false;
        for n in 0..16 {
            let session = format!("after-{round}-{n}").parse().unwrap();
            degraded |= one.ask(&RawCall { session, principal: None, ..sessions[0][0].clone() }).await;
        }
        if !degraded {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    one.says("vedette_policy_members 1").await;
}

/// Status and body of an answer.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_engine_knows_is_heard_by_a_process_that_starts_and_by_one_that_runs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("model"), FITTED.model.to_bytes()).unwrap();
    let kafka = MockKafka::start(&vedette::topics::with_partitions(1)).unwrap();
    let parts = vedette::parts::for_data_sets(&super::config(), FITTED.detector.clone()).unwrap();
    let mut judge = vedette::operator::Judge::new(parts);
    let mut told = |calls: &[RawCall]| {
        let mut out = ingest::Outputs::default();
        for (call, offset) in calls.iter().zip(0..) {
            let (topic, payload) = (schema::topics::CALLS.into(), schema::decode::native::encode(call));
            judge.apply(&ingest::Record { topic, partition: 0, offset, at: call.at, key: None, payload }, &mut out);
            judge.complete(&mut out);
        }
        let standings = out.iter().filter(|output| output.topic == schema::topics::STANDING);
        let output = |output: ingest::Written<'_>| Output {
            topic: output.topic.to_owned(),
            key: output.key.to_vec(),
            payload: output.payload.to_vec(),
        };
        standings.map(output).collect::<Vec<_>>()
    };
    let [first, second] = [&FITTED.others[0], &FITTED.others[1]].map(|calls| told(calls));
    let heard = |count: usize| format!("vedette_policy_standings_heard_total {count}");
    let (before, after) = (first.len(), second.len());
    send_all(kafka.bootstrap(), first).await.unwrap();
    let process = Process::start(folder, "one", &kafka, None).await;
    process.says(&heard(before)).await;
    let nonsense = Output { topic: schema::topics::STANDING.to_owned(), key: b"x".to_vec(), payload: b"{".to_vec() };
    send_all(kafka.bootstrap(), second.into_iter().chain([nonsense])).await.unwrap();
    process.says(&heard(before + after)).await;
    process.says("vedette_policy_standings_ignored_total{why=\"malformed\"} 1").await;
    process.end();
}

async fn http(address: SocketAddr, method: &str, path: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: v\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}
