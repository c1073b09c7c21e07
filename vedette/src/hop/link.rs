//! A connection to another replica: HTTP/2, one for all questions, opened when the first is asked and again when it broke.

use super::{answer, host_and_port};
use axum::http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use policy::server::Tls;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

/// To one replica.
pub(super) struct Link {
    address: Arc<str>,
    tls: Option<Tls>,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    open: Option<SendRequest<Full<Bytes>>>,
    failed: Option<(Instant, String)>,
}

impl Link {
    /// Not open yet; once it is, `runtime` keeps it going.
    pub(super) fn new(address: Arc<str>, tls: Option<Tls>, runtime: Handle) -> Self {
        Self { address, tls, runtime, state: Mutex::default() }
    }

    /// Asks; the answer's status and body, or why there is none.
    pub(super) async fn post(&self, path: &str, body: Bytes) -> Result<(StatusCode, Bytes), String> {
        let mut sender = self.sender().await?;
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let request = Request::post(format!("{scheme}://{}{path}", self.address)).body(Full::new(body));
        let request = request.map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (status, body) = (response.status(), Limited::new(response.into_body(), answer::BYTES_MAX));
        Ok((status, body.collect().await.map_err(|error| error.to_string())?.to_bytes()))
    }

    /// One caller connects, the others wait for it. Who is out of reach is not tried again for a moment.
    async fn sender(&self) -> Result<SendRequest<Full<Bytes>>, String> {
        let mut state = self.state.lock().await;
        if let Some(open) = state.open.as_ref().filter(|open| !open.is_closed()) {
            return Ok(open.clone());
        }
        if let Some((_, why)) = state.failed.as_ref().filter(|(at, _)| at.elapsed() < AGAIN) {
            return Err(why.clone());
        }
        let (address, tls) = (Arc::clone(&self.address), self.tls.clone());
        let connecting = self.runtime.spawn(tokio::time::timeout(CONNECT_MAX, connect(address, tls)));
        let connected = match connecting.await {
            Ok(Ok(connected)) => connected.map_err(|error| error.to_string()),
            Ok(Err(_)) => Err("no connection in time".to_owned()),
            Err(_) => Err("connecting broke off".to_owned()),
        };
        match connected {
            Ok(open) => {
                *state = State { open: Some(open.clone()), failed: None };
                Ok(open)
            }
            Err(why) => {
                *state = State { open: None, failed: Some((Instant::now(), why.clone())) };
                Err(why)
            }
        }
    }
}

async fn connect(address: Arc<str>, tls: Option<Tls>) -> io::Result<SendRequest<Full<Bytes>>> {
    let (host, port) = host_and_port(&address).ok_or(io::ErrorKind::InvalidInput)?;
    let mut found: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    if tls.is_none() {
        // Whoever can write to the topic could have calls sent to a machine of theirs.
        found.retain(|address| address.ip().is_loopback());
        if found.is_empty() {
            return Err(io::Error::other(
                "in plain text only replicas on this machine are asked: set `policy.members.tls`",
            ));
        }
    }
    let stream = TcpStream::connect(found.as_slice()).await?;
    // Questions are small: waiting to fill a packet only adds delay.
    stream.set_nodelay(true)?;
    match tls {
        None => open(stream).await,
        Some(tls) => open(tls.connect(host, stream).await?).await,
    }
}

async fn open(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> io::Result<SendRequest<Full<Bytes>>> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(PING_EVERY).keep_alive_timeout(PING_EVERY);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Longest wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Who was out of reach is tried again after so long.
const AGAIN: Duration = Duration::from_millis(100);
/// A replica that does not answer pings for this long is gone.
const PING_EVERY: Duration = Duration::from_secs(5);
