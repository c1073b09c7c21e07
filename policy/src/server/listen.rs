//! Connections and their limits: how many, how slow, how many streams and resets, and a drain at the end.

use super::{Limits, Tls, Workers};
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use metrics::counter;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Plain text beyond this machine.
    #[error("{0} is not loopback: a listener there needs TLS")]
    Plaintext(SocketAddr),
    /// The listener broke.
    #[error("the listener broke")]
    Listener(#[source] std::io::Error),
}

/// Where a server listens: in plain text on the loopback, or with mutual TLS anywhere.
pub struct Endpoint {
    /// Taken already.
    pub listener: TcpListener,
    /// Needed beyond the loopback.
    pub tls: Option<Tls>,
    /// Who serves the connections; without them the runtime that listens.
    pub workers: Option<Workers>,
}

impl From<TcpListener> for Endpoint {
    /// In plain text.
    fn from(listener: TcpListener) -> Self {
        Self { listener, tls: None, workers: None }
    }
}

/// Serves `router` (HTTP/1.1 and HTTP/2) until `shutdown`, then lets the calls in hand end.
pub async fn listen(
    endpoint: impl Into<Endpoint>,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let Endpoint { listener, tls, workers } = endpoint.into();
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    if tls.is_none() && !address.ip().is_loopback() {
        return Err(ServeError::Plaintext(address));
    }
    let builder = Arc::new(builder(&limits));
    let connections = Arc::new(Semaphore::new(limits.connections_max as usize));
    let (end, ending) = watch::channel(());
    tokio::pin!(shutdown);
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&connections).acquire_owned() => permit,
            () = &mut shutdown => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            // Out of descriptors, or the peer is gone already: neither ends the service.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are small: waiting to fill a packet only adds delay.
        let _ = stream.set_nodelay(true);
        let connection = Connection { builder: Arc::clone(&builder), router: router.clone(), ending: ending.clone() };
        let (tls, within) = (tls.clone(), Duration::from_millis(limits.header_ms_max));
        // It is watched by whoever serves it.
        let Ok(stream) = stream.into_std() else { continue };
        let served = async move {
            let _permit = permit;
            let Ok(stream) = TcpStream::from_std(stream) else { return };
            match tls {
                None => connection.serve(stream, std::future::pending()).await,
                Some(tls) => connection.shake_hands(stream, &tls, within).await,
            }
        };
        match &workers {
            Some(workers) => workers.spawn(served),
            None => drop(tokio::spawn(served)),
        }
    }
    drop(listener);
    drop(end);
    // All connections' permits at once: none is open any more.
    let closed = connections.acquire_many(limits.connections_max);
    if tokio::time::timeout(Duration::from_millis(limits.drain_ms_max), closed).await.is_err() {
        tracing::warn!("calls in hand did not end in time");
    }
    Ok(())
}

/// The certificate a client has shown, in DER, checked already: an extension of its requests.
#[derive(Clone)]
pub struct PeerCertificate(pub Arc<[u8]>);

struct Connection {
    builder: Arc<Builder<TokioExecutor>>,
    router: Router,
    ending: watch::Receiver<()>,
}

impl Connection {
    /// A peer that is slow at it is as bad as one that trickles headers.
    async fn shake_hands(self, stream: TcpStream, tls: &Tls, within: Duration) {
        let mut replaced = tls.replaced();
        match tokio::time::timeout(within, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let replaced = async move { drop(replaced.changed().await) };
                let peer = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).map(|der| der.as_ref().into());
                let router = match peer {
                    Some(peer) => self.router.layer(Extension(PeerCertificate(peer))),
                    None => self.router,
                };
                Self { router, ..self }.serve(stream, replaced).await;
            }
            Ok(Err(error)) => {
                counter!("vedette_policy_handshakes_refused_total").increment(1);
                tracing::debug!(%error, "a TLS handshake failed");
            }
            Err(_) => counter!("vedette_policy_handshakes_refused_total").increment(1),
        }
    }

    /// Until the peer is done; `over` or the end of all lets it finish what is in hand, and nothing else.
    async fn serve(
        mut self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        over: impl Future<Output = ()>,
    ) {
        let service = TowerToHyperService::new(self.router);
        let connection = self.builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = over => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            // An error: the sender is gone, which is the sign.
            _ = self.ending.changed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if served.is_err() {
            counter!("vedette_policy_connections_broken_total").increment(1);
        }
    }
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.header_ms_max))
        // hyper refuses a smaller buffer than 8 KiB.
        .max_buf_size((limits.header_bytes_max as usize).max(8 * 1024));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(limits.header_bytes_max)
        .max_pending_accept_reset_streams(limits.resets_max as usize)
        .max_local_error_reset_streams(limits.resets_max as usize)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    builder
}

/// After a failed accept: long enough not to spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);
/// A peer that does not answer pings for this long is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
