//! Connections and their limits: how many, how slow, how many streams and resets, and a drain at the end.

use super::Limits;
use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use metrics::counter;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

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

/// Serves `router` (HTTP/1.1 and HTTP/2) until `shutdown`, then lets the calls in hand end.
pub async fn listen(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    if !address.ip().is_loopback() {
        return Err(ServeError::Plaintext(address));
    }
    let builder = builder(&limits);
    let connections = Arc::new(Semaphore::new(limits.connections_max as usize));
    let drain = GracefulShutdown::new();
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
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let connection = drain.watch(connection);
        tokio::spawn(async move {
            let _permit = permit;
            if connection.await.is_err() {
                counter!("vedette_policy_connections_broken_total").increment(1);
            }
        });
    }
    drop(listener);
    if tokio::time::timeout(Duration::from_millis(limits.drain_ms_max), drain.shutdown()).await.is_err() {
        tracing::warn!("calls in hand did not end in time");
    }
    Ok(())
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
