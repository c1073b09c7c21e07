//! Alerts as requests: `POST`, one finding a body, `Idempotency-Key` for receivers that count.

use super::Attempt;
use axum::http::header::{CONTENT_TYPE, HOST, RETRY_AFTER};
use axum::http::uri::Scheme;
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use ingest::Record;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Where findings are posted to. Its path may hold a secret, as those of many services do, so it is not shown.
pub struct Webhook {
    url: Uri,
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// Why nothing can be posted to an address.
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

impl Webhook {
    /// A receiver at `url`. `authorities`: PEM certificates that vouch for it, where it is https.
    pub fn new(url: &str, authorities: &[u8]) -> Result<Self, AddressError> {
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

    pub(super) async fn post(&self, record: &Record) -> Attempt {
        match tokio::time::timeout(ANSWER_MAX, self.exchange(record)).await {
            Ok(Ok((status, headers))) => judge(status, &headers),
            Ok(Err(why)) => Attempt::Again(why, None),
            Err(_) => Attempt::Again(format!("no answer within {} s", ANSWER_MAX.as_secs()), None),
        }
    }

    async fn exchange(&self, record: &Record) -> Result<(StatusCode, HeaderMap), String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|error| error.to_string())?;
        match &self.tls {
            None => self.ask(stream, record).await,
            Some((connector, name)) => {
                let stream = connector.connect(name.clone(), stream).await.map_err(|error| error.to_string())?;
                self.ask(stream, record).await
            }
        }
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        record: &Record,
    ) -> Result<(StatusCode, HeaderMap), String> {
        let said = |error: hyper::Error| error.to_string();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(said)?;
        // Ends with the sender: one request a connection, alerts are few.
        tokio::spawn(connection);
        let path = self.url.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, format!("{}:{}", self.host, self.port))
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", record.id())
            .body(Full::new(Bytes::from(record.payload.clone())))
            .map_err(|error| error.to_string())?;
        let response = sender.send_request(request).await.map_err(said)?;
        Ok((response.status(), response.headers().clone()))
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Webhook({}, ..)", self.host)
    }
}

/// RFC 9110, section 15: what the receiver is at fault for, and what asks for patience, is tried again.
fn judge(status: StatusCode, headers: &HeaderMap) -> Attempt {
    let later = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY, StatusCode::TOO_MANY_REQUESTS];
    match status {
        // An alert that was taken before is one that is there.
        status if status.is_success() || status == StatusCode::CONFLICT => Attempt::Done,
        status if status.is_server_error() || status.is_redirection() || later.contains(&status) => {
            let wait = headers.get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()?.trim().parse().ok());
            Attempt::Again(format!("the receiver answered {status}"), wait.map(Duration::from_secs))
        }
        status => Attempt::Refused(format!("the receiver answered {status}")),
    }
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
