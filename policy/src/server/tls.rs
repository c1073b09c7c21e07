//! Mutual TLS: who asks shows a certificate of an authority the operator named, and one that is not revoked. What is in
//! force can be replaced while connections are open: they end once their calls in hand are answered, so that a client
//! that was revoked does not stay.

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// Not PEM, or not of the kind that is needed.
    #[error("{what}: no PEM that can be used")]
    Pem {
        /// Which file.
        what: &'static str,
        /// Why.
        source: rustls::pki_types::pem::Error,
    },
    /// A file without a certificate.
    #[error("{what}: there is no certificate in it")]
    Empty {
        /// Which file.
        what: &'static str,
    },
    /// Key and certificate do not belong together, or use what is not supported.
    #[error("certificate and key cannot be used together")]
    Pair(#[source] rustls::Error),
    /// The authorities of clients, or the revocation list, cannot be used.
    #[error("clients cannot be checked")]
    Clients(#[source] rustls::server::VerifierBuilderError),
    /// An authority's certificate cannot be used.
    #[error("an authority of clients cannot be used")]
    Authority(#[source] rustls::Error),
}

/// A server's certificates. TLS 1.3 or 1.2, HTTP/2 or HTTP/1.1, client certificates required.
#[derive(Clone)]
pub struct Tls(Arc<InForce>);

struct InForce {
    config: ArcSwap<ServerConfig>,
    replaced: watch::Sender<()>,
}

impl Tls {
    /// From PEM files: the server's chain and key, the authorities of its clients and, where there is one, their
    /// revocation list, which may also be DER as authorities serve it. With a list, a client whose authority has none in
    /// it is refused.
    pub fn new(certificate: &[u8], key: &[u8], clients: &[u8], revoked: Option<&[u8]>) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut authorities = RootCertStore::empty();
        for authority in certificates("clients", clients)? {
            authorities.add(authority).map_err(TlsError::Authority)?;
        }
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider));
        if let Some(revoked) = revoked {
            verifier = verifier.with_crls(lists(revoked)?);
        }
        let verifier = verifier.build().map_err(TlsError::Clients)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|source| TlsError::Pem { what: "key", source })?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates("certificate", certificate)?, key)
            .map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (config, replaced) = (ArcSwap::from_pointee(config), watch::Sender::new(()));
        Ok(Self(Arc::new(InForce { config, replaced })))
    }

    /// Puts what `other` holds in force, for new connections at once; open ones end with their calls in hand.
    pub fn replace(&self, other: &Self) {
        self.0.config.store(other.0.config.load_full());
        self.0.replaced.send_replace(());
    }

    /// Says when what is in force from now on is replaced.
    pub(super) fn replaced(&self) -> watch::Receiver<()> {
        self.0.replaced.subscribe()
    }

    pub(super) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.0.config.load_full()).accept(stream).await
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(..)")
    }
}

fn lists(bytes: &[u8]) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    // A sequence in DER; anything else has to be PEM.
    if bytes.first() == Some(&0x30) {
        return Ok(vec![CertificateRevocationListDer::from(bytes.to_vec())]);
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(bytes).collect();
    lists.map_err(|source| TlsError::Pem { what: "revoked", source })
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(TlsError::Empty { what }),
        Ok(found) => Ok(found),
        Err(source) => Err(TlsError::Pem { what, source }),
    }
}
