//! Two replicas of the real binary behind the real Envoy, with `examples/envoy/replicas.yaml`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Where to ask.
#[derive(Clone)]
pub struct Doors {
    pub envoy: SocketAddr,
    /// The replicas' HTTP doors.
    pub replicas: [SocketAddr; 2],
}

/// The processes, ended when this goes out of scope.
pub struct Gateway {
    pub doors: Doors,
    processes: Vec<Child>,
}

impl Drop for Gateway {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Gateway {
    /// `deadline_ms`: other than the shipped one.
    pub async fn start(folder: &Path, model: &Path, api: SocketAddr, deadline_ms: Option<u64>) -> Self {
        let mut config = "[policy]\nmode = \"enforce\"\n".to_owned();
        if let Some(ms) = deadline_ms {
            config.push_str(&format!("[policy.routes.default]\ndeadline_ms = {ms}\n"));
        }
        std::fs::write(folder.join("vedette.toml"), config).unwrap();
        let mut processes = Vec::new();
        let (mut replicas, mut grpc) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let (http, ask) = (free().await, free().await);
            let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
            command.arg("policy").arg("--config").arg(folder.join("vedette.toml")).arg("--model").arg(model);
            command.args(["--listen", &http.to_string(), "--listen-grpc", &ask.to_string()]);
            processes.push(spawn(command));
            replicas.push(http);
            grpc.push(ask);
        }
        let envoy = free().await;
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/envoy/replicas.yaml");
        let mut text = std::fs::read_to_string(example).unwrap();
        for (shown, real) in [("8080", envoy), ("9000", api), ("8182", grpc[0]), ("8282", grpc[1])] {
            text = text.replace(&format!("port_value: {shown}"), &format!("port_value: {}", real.port()));
        }
        // Recorded agents are many: the gateway has authenticated them and says who they are.
        text = text.replace("value: \"planner\"", "value: \"%REQ(x-agent)%\"");
        text = text.replace("value: \"bank\"", "value: \"%REQ(x-app)%\"");
        if deadline_ms.is_some() {
            text = text.replace("timeout: 0.2s", "timeout: 30s");
        }
        let file = folder.join("envoy.yaml");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program("envoy"));
        command.arg("-c").arg(file).args(["--use-dynamic-base-id", "--log-level", "error", "--concurrency", "1"]);
        processes.push(spawn(command));
        let mut gateway = Self { doors: Doors { envoy, replicas: [replicas[0], replicas[1]] }, processes };
        for at in [replicas[0], replicas[1], grpc[0], grpc[1], envoy] {
            gateway.wait_for(at).await;
        }
        // Envoy listens before its clusters are warm, and asks nobody until a replica has said that it is healthy.
        for n in 0.. {
            let session = [format!("mcp-session-id: warm-{n}")];
            http(envoy, "GET", "/", &session, b"").await;
            if gateway.judged().await.iter().all(|calls| *calls > 0) {
                break;
            }
            assert!(n < 1_200, "one replica is asked nothing");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        gateway
    }

    /// Ends the replica with this number, as a crash would.
    pub fn kill(&mut self, replica: usize) {
        self.processes[replica].kill().unwrap();
        self.processes[replica].wait().unwrap();
    }

    /// Decisions of one replica for ext_authz.
    pub async fn judged_by(&self, replica: usize) -> u64 {
        sum(self.doors.replicas[replica], "vedette_policy_decisions_total{door=\"ext-authz\"").await
    }

    /// A process of its own has no event to await but its port.
    async fn wait_for(&mut self, address: SocketAddr) {
        for _ in 0..1_200 {
            for process in &mut self.processes {
                assert!(process.try_wait().unwrap().is_none(), "a process ended; its output is above");
            }
            if TcpStream::connect(address).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nothing listened at {address} within a minute");
    }

    /// Decisions of each replica for ext_authz.
    pub async fn judged(&self) -> [u64; 2] {
        [self.judged_by(0).await, self.judged_by(1).await]
    }

    /// Answers that came too late for their deadline.
    pub async fn fallbacks(&self) -> u64 {
        let [one, other] = self.doors.replicas;
        sum(one, "vedette_policy_fallback_total").await + sum(other, "vedette_policy_fallback_total").await
    }
}

/// The sum of a counter over its labels.
async fn sum(replica: SocketAddr, name: &str) -> u64 {
    let page = http(replica, "GET", "/metrics", &[], b"").await.text;
    let lines = page.lines().filter(|line| line.starts_with(name));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

/// Free now; a process takes it a moment later.
async fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn program(name: &str) -> PathBuf {
    let home = std::env::var_os("VEDETTE_GATEWAYS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/gateways"), PathBuf::from);
    let path = home.join("bin").join(name);
    assert!(path.exists(), "{} is missing: run policy/tests/gateways/setup.sh", path.display());
    path.canonicalize().unwrap()
}

/// An answer.
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

/// One request on a connection of its own; `headers` are whole lines.
pub async fn http(address: SocketAddr, method: &str, path: &str, headers: &[String], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\ncontent-length: {length}\r\n");
    headers.iter().for_each(|line| head.push_str(&format!("{line}\r\n")));
    head.push_str("\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Answer { status: text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0), text }
}
