//! A running `vedette engine`, and what can be asked of it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

pub const VEDETTE: &str = env!("CARGO_BIN_EXE_vedette");

/// A `vedette engine` that answers, killed on drop.
pub struct Engine {
    pub child: Child,
    pub address: String,
}

impl Engine {
    /// `settings`: further lines of `[engine]`, then other tables. Returns once it listens and owns partitions, as far as `ready` can ask.
    pub fn start(folder: &Path, broker: &str, settings: &str, ready: impl Fn(&str) -> bool) -> Self {
        // A port that was free a moment ago.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string();
        let config = format!(
            "[seal]\nkey_file = \"key\"\n[engine]\nlisten = \"{address}\"\ncheckpoints = \"checkpoints\"\n\
             decisions = \"none\"\n{settings}\n"
        );
        fs::write(folder.join("vedette.toml"), config).unwrap();
        let log = fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let mut command = Command::new(VEDETTE);
        command.args(["engine", "--brokers", broker]).current_dir(folder).stdout(Stdio::null()).stderr(log);
        let mut engine = Self { child: command.spawn().unwrap(), address };
        while !ready(&engine.address) {
            let ended = engine.child.try_wait().unwrap();
            assert!(ended.is_none(), "{}", fs::read_to_string(folder.join("log")).unwrap());
            std::thread::sleep(Duration::from_millis(50)); // the pace of asking another process
        }
        engine
    }

    /// Asks it to end, as a service manager does; it must end well.
    pub fn stop(mut self) {
        self.ask_to_end();
        assert!(self.child.wait().unwrap().success());
    }

    pub fn ask_to_end(&self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// Until it ends by itself: how, and what it said.
    pub fn ended(&mut self, folder: &Path) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, fs::read_to_string(folder.join("log")).unwrap())
    }

    pub fn post(&self, head: &str, body: &[u8]) -> (u16, String) {
        let head = format!("POST /v1/calls HTTP/1.1\r\ncontent-length: {}\r\n{head}", body.len());
        ask(&self.address, &head, body).unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The status and body that come back.
fn ask(address: &str, head: &str, body: &[u8]) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.write_all(format!("{head}host: {address}\r\nconnection: close\r\n\r\n").as_bytes()).ok()?;
    stream.write_all(body).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some((answer.split(' ').nth(1)?.parse().ok()?, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

pub fn get(address: &str, path: &str) -> Option<(u16, String)> {
    ask(address, &format!("GET {path} HTTP/1.1\r\n"), b"")
}

pub fn ready(address: &str) -> bool {
    get(address, "/readyz").is_some_and(|(status, _)| status == 200)
}
