//! Whoever takes alerts over HTTP: an address, and one request a connection.

use axum::http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use axum::http::uri::Scheme;
use axum::http::{HeaderMap, Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where requests go. Its path may hold a secret, as those of many services do, so it is not shown.
pub(super) struct Receiver {
    url: Uri,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why nothing can be sent to an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Not a URL of the two schemes.
    #[error("it is no http:// or https:// URL with a host")]
    Url,
    /// Plain text to another machine.
    #[error("alerts would go to another machine in plain text: use https://")]
    PlainText,
    /// No authority to know the receiver by.
    #[error("no authority's certificate is found to know the receiver by")]
    NoAuthorities,
}

impl Receiver {
    /// A receiver at `url`. `authorities`: PEM certificates that vouch for it, where it is https.
    pub(super) fn new(url: &str, authorities: &[u8]) -> Result<Self, AddressError> {
        let url: Uri = url.parse().map_err(|_| AddressError::Url)?;
        let (Some(scheme), Some(host)) = (url.scheme().cloned(), url.host().map(str::to_owned)) else {
            return Err(AddressError::Url);
        };
        let secure = scheme == Scheme::HTTPS;
        if !secure && scheme != Scheme::HTTP {
            return Err(AddressError::Url);
        }
        let loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if !secure && !loopback {
            return Err(AddressError::PlainText);
        }
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = if secure { Some((connector(authorities)?, name(&host)?)) } else { None };
        Ok(Self { url, host, port, tls })
    }

    /// Posts `body`, and returns the head of the answer; or says why there is none.
    pub(super) async fn post(&self, kind: &str, key: &str, body: Bytes) -> Result<Response<Incoming>, String> {
        match tokio::time::timeout(ANSWER_MAX, self.exchange(kind, key, body)).await {
            Ok(answered) => answered,
            Err(_) => Err(format!("no answer within {} s", ANSWER_MAX.as_secs())),
        }
    }

    /// Path and query of what is asked.
    pub(super) fn path(&self) -> &str {
        self.url.path_and_query().map_or("/", |path| path.as_str())
    }

    async fn exchange(&self, kind: &str, key: &str, body: Bytes) -> Result<Response<Incoming>, String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| error.to_string())?;
        match &self.tls {
            None => self.ask(stream, kind, key, body).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(|error| error.to_string())?;
                self.ask(stream, kind, key, body).await
            }
        }
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        kind: &str,
        key: &str,
        body: Bytes,
    ) -> Result<Response<Incoming>, String> {
        let said = |error: hyper::Error| error.to_string();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
        // Ends with the sender: one request a connection, alerts are few.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(Method::POST)
            .uri(self.path())
            .header(HOST, format!("{}:{}", self.host, self.port))
            .header(CONTENT_TYPE, kind)
            .header("idempotency-key", key)
            .body(Full::new(body))
            .map_err(|error| error.to_string())?;
        sender.send_request(request).await.map_err(said)
    }
}

impl std::fmt::Debug for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Receiver({}, ..)", self.host)
    }
}

/// `Retry-After` (RFC 9110, section 10.2.3), where it is a number of seconds.
pub(super) fn patience(headers: &HeaderMap) -> Option<Duration> {
    let wait = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(wait))
}

fn connector(authorities: &[u8]) -> Result<TlsConnector, AddressError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(authorities).filter_map(Result::ok));
    if roots.is_empty() {
        return Err(AddressError::NoAuthorities);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| AddressError::NoAuthorities)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn name(host: &str) -> Result<ServerName<'static>, AddressError> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(|_| AddressError::Url)
}

/// Longest wait for a receiver's answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
