//! A webhook on loopback with a scripted scorer, and just enough HTTP to ask it.

use super::{NOW, verdict};
use async_trait::async_trait;
use policy::server::{AppState, serve};
use policy::{Scored, Scorer, ScorerError};
use schema::*;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

/// Scores by the tool's name: `hijacked_…` is an injection, `maybe_…` a suspected one, `copy_…` a suspected extraction,
/// `late_…` waits for [`Scripted::go_on`], `broken_…` fails, `panics_…` panics, `away_…` is owned elsewhere.
#[derive(Default)]
pub struct Scripted {
    pub seen: Mutex<Vec<(String, Phase)>>,
    pub results: Mutex<Vec<serde_json::Value>>,
    pub principals: Mutex<Vec<Option<String>>>,
    pub missions: Mutex<Vec<Option<String>>>,
    pub go_on: Notify,
    pub asked: Notify,
    pub finished: Notify,
    pub standing: Option<Standing>,
    pub not_ready: Option<String>,
}

#[async_trait]
impl Scorer for Scripted {
    async fn score(&self, raw: Arc<RawCall>) -> Result<Arc<Scored>, ScorerError> {
        let tool = raw.tool.as_str().to_owned();
        self.seen.lock().unwrap().push((tool.clone(), raw.phase));
        self.principals.lock().unwrap().push(raw.principal.clone().map(String::from));
        self.missions.lock().unwrap().push(raw.mission.clone());
        self.asked.notify_one();
        // `POST /late_pay` is as good as `late_pay`.
        let kind = tool.rsplit('/').next().unwrap().split('_').next().unwrap();
        match kind {
            "late" => {
                self.go_on.notified().await;
                self.finished.notify_one();
            }
            "broken" => return Err(ScorerError::Failed("the model is torn".to_owned())),
            "away" => return Err(ScorerError::Unreachable("10.0.0.7".to_owned())),
            "panics" => panic!("as told"),
            _ => {}
        }
        let call = seal(&raw, &TenantKey::new([7; 32]));
        // A result that says POISON makes every later call a hijack.
        let poisoned = self.results.lock().unwrap().iter().any(|result| result.to_string().contains("POISON"));
        let (p, pattern) = match kind {
            _ if poisoned => (0.001, Pattern::Injection),
            "hijacked" => (0.001, Pattern::Injection),
            "maybe" => (0.015, Pattern::Injection),
            "copy" => (0.025, Pattern::Extraction),
            _ => (0.5, Pattern::None),
        };
        let verdict = verdict(&call, p, pattern, pattern == Pattern::Injection);
        Ok(Arc::new(Scored::new(call, verdict, self.standing.clone())))
    }

    async fn result(&self, raw: RawCall) -> Result<(), ScorerError> {
        self.seen.lock().unwrap().push((raw.tool.as_str().to_owned(), raw.phase));
        self.results.lock().unwrap().push(raw.result.unwrap_or_default());
        Ok(())
    }

    fn not_ready(&self) -> Option<String> {
        self.not_ready.clone()
    }
}

/// What is last known of a session, at once.
pub struct LastKnown(pub Standing);

#[async_trait]
impl Scorer for LastKnown {
    async fn score(&self, raw: Arc<RawCall>) -> Result<Arc<Scored>, ScorerError> {
        let call = seal(&raw, &TenantKey::new([7; 32]));
        let verdict = verdict(&call, 1.0, Pattern::None, self.0.exposed);
        Ok(Arc::new(Scored { degraded: true, ..Scored::new(call, verdict, Some(self.0.clone())) }))
    }
}

pub struct Running {
    pub address: SocketAddr,
    pub stop: oneshot::Sender<()>,
    pub done: JoinHandle<()>,
}

pub async fn start(state: AppState) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let done = tokio::spawn(async move {
        let told = async {
            // A test that does not care lets go of `stop`: that is no shutdown.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        serve(listener, state, told).await.unwrap();
    });
    Running { address, stop, done }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }
}

/// One request on a connection of its own; `headers` are whole lines.
pub async fn http(address: SocketAddr, method: &str, path: &str, headers: &[&str], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nhost: vedette\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    headers.iter().for_each(|header| text.push_str(&format!("{header}\r\n")));
    text.push_str("\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    // A server that refuses a long body may close before it has all of it.
    let _ = stream.write_all(body).await;
    read(stream).await
}

pub async fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

pub async fn decide(address: SocketAddr, tool: &str, headers: &[&str]) -> Answer {
    http(address, "POST", "/v1/decide", headers, &record_of(tool)).await
}

/// A record of the wall clock's time, as a gateway would send it.
pub fn record_of(tool: &str) -> Vec<u8> {
    super::record(serde_json::json!({ "tool": tool, "at": NOW.0 }))
}
