//! Servers as processes of their own, ended when they go out of scope.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub struct Server {
    child: Child,
    pub http: SocketAddr,
    pub grpc: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Free now; a server takes it a moment later.
pub fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

impl Server {
    /// The real binary with shipped defaults, but for enforcing.
    pub fn vedette(model: &Path, folder: &Path) -> Self {
        let config = folder.join("vedette.toml");
        std::fs::write(&config, "[policy]\nmode = \"enforce\"\n").unwrap();
        let (http, grpc) = (free(), free());
        let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
        command.arg("policy").arg("--config").arg(config).arg("--model").arg(model);
        command.args(["--listen", &http.to_string(), "--listen-grpc", &grpc.to_string()]);
        Self::start(command, http, grpc)
    }

    /// This bench again, in another role.
    pub fn own(role: &str) -> Self {
        let address = free();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([role, &address.to_string()]);
        Self::start(command, address, address)
    }

    pub fn start(mut command: Command, http: SocketAddr, grpc: SocketAddr) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Self { child, http, grpc };
        let started = Instant::now();
        // Another process has no event to await but its ports.
        while TcpStream::connect(http).is_err() || TcpStream::connect(grpc).is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "{command:?} ended");
            assert!(started.elapsed() < Duration::from_secs(60), "{command:?} does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }
}

/// Processor, cores, and what else wanted them in the last minute.
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown");
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("?").to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores, load {load} in the last minute", model.trim_start_matches([' ', '\t', ':']))
}
