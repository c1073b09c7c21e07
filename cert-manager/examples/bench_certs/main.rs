//! Measures the authority and the agent; the last line is JSON.
//!
//! `make bench-certs` builds what it needs: the agent as it is shipped (`VEDETTE_AGENT`), and step-ca
//! (`STEP_CA`) where there is a Go.
//!
//! Clients and server share this machine's cores; the server is a process of its own, so its CPU time
//! is its own. A figure that was not measured is `null`.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a bench: it stops where it fails")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

mod step_ca;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use cert_manager::agent::channel::{Channel, Identity};
use cert_manager::ca::{self, Config, Init};
use cert_manager::desk::{RECEIPT_HEADER, REQUEST_HEADER};
use cert_manager::est::client::{Server, TlsChannel};
use cert_manager::est::server::Limits;
use cert_manager::est::wire::{decode_body, encode_body, parse_certs_only};
use cert_manager::http::Request;
use cert_manager::risk::{FixedRisk, Risk};
use cert_manager::sign::{Role, SigningKey};
use cert_manager::time::{Millis, Span};
use cert_manager::trust::{RoleKeys, RootDocument, Trust};
use rcgen::{CertificateParams, DnType, KeyPair};

/// As the server binary has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CLIENTS: usize = 2_000;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, command, folder] = arguments.as_slice()
        && command == "serve"
    {
        return serve(Path::new(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let trust = ca::init(folder.path(), &Init::default()).unwrap();
    let (mut server, url) = start(folder.path());
    let load = returning(folder.path(), &url, &trust, &server);
    let (agent_bytes, idle_rss) = agent(folder.path(), &url);
    server.kill().unwrap();
    server.wait().unwrap();
    let (walk_10, walk_1000) = (walk(10), walk(1_000));
    let step_ca = step_ca::measure();
    println!("{}", machine());
    if let Some((cpu_ms, per_s)) = step_ca {
        println!("step-ca: {cpu_ms:.3} ms of CPU a renewal, {per_s:.0} renewals/s, one handshake each (ours: two)");
    }
    let per_s = CLIENTS as f64 / load.seconds;
    println!(
        "ours: {:.3} ms of CPU a renewal, the ledger's {:.3} among it; {per_s:.0} renewals/s",
        load.cpu_ms, load.ledger_ms
    );
    println!("{CLIENTS} clients came back at once: 0 lost, all done after {:.1} s", load.seconds);
    println!("from connect to certificate, waiting for admission included: p99 {:.0} ms", load.p99_total);
    println!(
        "{{\"agent_bytes\":{},\"idle_rss_bytes\":{},\"wire_bytes_per_renewal\":{},\"server_cpu_ms_per_renewal\":{:.3},\
         \"step_ca_cpu_ms_per_renewal\":{},\"p99_ms_admitted\":{:.1},\"walk_10_ms\":{walk_10:.2},\"walk_1000_ms\":{walk_1000:.1}}}",
        json(agent_bytes),
        json(idle_rss),
        load.wire_bytes,
        load.cpu_ms,
        step_ca.map_or("null".to_owned(), |(cpu_ms, _)| format!("{cpu_ms:.3}")),
        load.p99_admitted,
    );
}

/// What it ran on, and how busy that was: other work makes every figure worse.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(0, |n| n.get());
    let load = read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned();
    format!("{} x{cores}, load of the last minute {load}", model.trim_start_matches(['\t', ' ', ':']))
}

fn json(figure: Option<u64>) -> String {
    figure.map_or("null".to_owned(), |f| f.to_string())
}

/// The server's process.
fn serve(folder: &Path) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(4_096).unwrap();
        println!("https://{}", listener.local_addr().unwrap());
        let opened = ca::open(folder, &Config::default(), Box::new(FixedRisk(Risk::Green))).unwrap();
        ca::serve(opened, listener, &["127.0.0.1".to_owned()], Limits::default()).await.unwrap();
    });
}

fn start(folder: &Path) -> (Child, String) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = command.arg("serve").arg(folder).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().to_owned())
}

/// One device without files.
struct Device {
    name: String,
    channel: TlsChannel,
    identity: Option<Identity>,
    receipt: String,
}

impl Device {
    fn new(number: usize, url: &str, trust: &Trust) -> Self {
        let mut channel = TlsChannel::new(url.parse::<Server>().unwrap());
        channel.believe(&trust.anchors(Millis(0)), Millis(0));
        Self { name: format!("dev-{number}"), channel, identity: None, receipt: String::new() }
    }

    /// Gets a certificate; gives the new identity and how long the answer took on the open connection.
    fn certify(&mut self, path: &str, header: (&str, String)) -> (Identity, Duration) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, self.name.as_str());
        let csr = params.serialize_request(&key).unwrap();
        let id = cert_manager::device::RequestId::of_plain(cert_manager::Digest::ZERO, csr.der());
        let request = Request::post(path, "application/pkcs10", encode_body(csr.der()))
            .with(REQUEST_HEADER, id.to_string())
            .with(header.0, header.1);
        loop {
            // The question for the time opens the connection: what follows is an admitted request.
            let nonce = Request::post(
                "/v1/time",
                "application/json",
                b"{\"nonce\":\"00000000000000000000000000000000\"}".to_vec(),
            );
            if self.channel.exchange(self.identity.as_ref(), &nonce).is_err() {
                continue;
            }
            let began = Instant::now();
            let Ok(response) = self.channel.exchange(self.identity.as_ref(), &request) else { continue };
            let took = began.elapsed();
            if response.status == 503 {
                std::thread::sleep(Duration::from_millis(200));
                continue;
            }
            assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
            self.receipt = response.header(RECEIPT_HEADER).unwrap().to_owned();
            let chain = parse_certs_only(&decode_body(&response.body).unwrap()).unwrap();
            return (Identity { chain, key: key.into() }, took);
        }
    }

    fn renew(&mut self) -> Duration {
        let receipt = self.receipt.clone();
        let (identity, took) = self.certify("/.well-known/est/simplereenroll", (RECEIPT_HEADER, receipt));
        self.identity = Some(identity);
        let probe = Request::post("/v1/probe", "application/json", Vec::new());
        while self.channel.exchange(self.identity.as_ref(), &probe).map(|r| r.status) != Ok(204) {}
        self.channel.close();
        took
    }
}

struct Load {
    ledger_ms: f64,
    seconds: f64,
    cpu_ms: f64,
    p99_admitted: f64,
    p99_total: f64,
    wire_bytes: u64,
}

fn returning(folder: &Path, url: &str, trust: &Trust, server: &Child) -> Load {
    use base64::Engine;
    let mut devices: Vec<Device> = (0..CLIENTS).map(|n| Device::new(n, url, trust)).collect();
    std::thread::scope(|scope| {
        for part in devices.chunks_mut(CLIENTS / 16) {
            scope.spawn(|| {
                for device in part {
                    let token = ca::token(folder, None, "default", Span::hours(1)).unwrap();
                    let basic = format!("any:{}", token.expose());
                    let basic = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(basic));
                    let header = ("authorization", basic);
                    device.identity = Some(device.certify("/.well-known/est/simpleenroll", header).0);
                    device.channel.close();
                }
            });
        }
    });
    println!("{CLIENTS} devices enrolled");
    let wire_before: u64 = devices.iter().map(|d| d.channel.wire_bytes()).sum();
    let (cpu_before, ledger_before) = (cpu_ms(server.id()), thread_ms(server.id(), "ledger"));
    let barrier = Arc::new(Barrier::new(CLIENTS));
    let began = Instant::now();
    let mut times: Vec<(Duration, Duration)> = std::thread::scope(|scope| {
        let start = |device| {
            let barrier = barrier.clone();
            let run = move || {
                let device: &mut Device = device;
                barrier.wait();
                let began = Instant::now();
                let admitted = device.renew();
                (admitted, began.elapsed())
            };
            std::thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, run).unwrap()
        };
        let threads: Vec<_> = devices.iter_mut().map(start).collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let seconds = began.elapsed().as_secs_f64();
    let cpu_ms = (cpu_ms(server.id()) - cpu_before) / CLIENTS as f64;
    let ledger_ms = (thread_ms(server.id(), "ledger") - ledger_before) / CLIENTS as f64;
    let wire: u64 = devices.iter().map(|d| d.channel.wire_bytes()).sum::<u64>() - wire_before;
    let p99 = |times: &mut Vec<(Duration, Duration)>, pick: fn(&(Duration, Duration)) -> Duration| {
        times.sort_by_key(pick);
        pick(&times[CLIENTS * 99 / 100]).as_secs_f64() * 1_000.0
    };
    Load {
        ledger_ms,
        seconds,
        cpu_ms,
        p99_admitted: p99(&mut times, |t| t.0),
        p99_total: p99(&mut times, |t| t.1),
        wire_bytes: wire / CLIENTS as u64,
    }
}

/// CPU time of a process in ms: user and system, all threads.
fn cpu_ms(pid: u32) -> f64 {
    ticks_ms(&std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap())
}

/// That of its thread of this name.
fn thread_ms(pid: u32, name: &str) -> f64 {
    let stats = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let stats = stats.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
    stats.filter(|stat| stat.contains(&format!("({name})"))).map(|stat| ticks_ms(&stat)).sum()
}

fn ticks_ms(stat: &str) -> f64 {
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks * 10.0 // 100 ticks a second on every Linux
}

/// Size of the agent's binary, and its memory once it sleeps.
fn agent(folder: &Path, url: &str) -> (Option<u64>, Option<u64>) {
    let Some(binary) = std::env::var_os("VEDETTE_AGENT") else {
        println!("VEDETTE_AGENT is not set: the agent's size and memory are not measured");
        return (None, None);
    };
    let home = tempfile::tempdir().unwrap();
    let token = ca::token(folder, None, "default", Span::hours(1)).unwrap();
    std::fs::write(home.path().join("t"), token.expose()).unwrap();
    let (dir, root) = (home.path().join("d"), folder.join("root/1.json"));
    let mut enroll = Command::new(&binary);
    enroll.args(["enroll", "--server", url, "--device", "bench", "--dir"]).arg(&dir).arg("--trust").arg(root);
    assert!(enroll.arg("--token-file").arg(home.path().join("t")).status().unwrap().success());
    let mut run = Command::new(&binary).arg("run").arg("--dir").arg(&dir).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(run.stdout.take().unwrap()).read_line(&mut line).unwrap();
    // It has said its state; it asks the time once and sleeps for a day.
    std::thread::sleep(Duration::from_secs(2));
    let status = std::fs::read_to_string(format!("/proc/{}/status", run.id())).unwrap();
    let rss = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
    let rss: u64 = rss.trim().trim_end_matches(" kB").parse().unwrap();
    run.kill().unwrap();
    run.wait().unwrap();
    (Some(std::fs::metadata(&binary).unwrap().len()), Some(rss * 1_024))
}

/// Milliseconds to walk `steps` root documents, two of three keys changing at each.
fn walk(steps: u32) -> f64 {
    let generations: Vec<Vec<SigningKey>> =
        (0..=steps).map(|_| (0..3).map(|_| SigningKey::generate().unwrap()).collect()).collect();
    let document = |version: usize| {
        let keys = generations[version].iter().map(SigningKey::public).collect();
        let roles = [(Role::Root, RoleKeys { threshold: 2, keys })].into();
        RootDocument { v: 1, version: version as u32 + 1, expires_ms: Millis(u64::MAX), roles, anchors: vec![] }
    };
    let signed = |version: usize| {
        let own = generations[version].iter().take(2);
        let old = version.checked_sub(1).map_or(&[][..], |v| &generations[v]).iter().take(2);
        document(version).sign(&own.chain(old).collect::<Vec<_>>())
    };
    let documents: Vec<Vec<u8>> = (0..=steps as usize).map(signed).collect();
    let start = Trust::start(&documents[0]).unwrap();
    let began = Instant::now();
    let (end, result) = start.walk(documents[1..].iter().map(Vec::as_slice));
    let took = began.elapsed().as_secs_f64() * 1_000.0;
    assert_eq!((end.version(), result), (steps + 1, Ok(())));
    took
}
