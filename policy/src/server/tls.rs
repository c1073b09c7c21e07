//! Mutual TLS: who asks shows a certificate of an authority the operator named, and one that is not revoked. What is in
//! force can be replaced while connections are open: they end once their calls in hand are answered, so that a client
//! that was revoked does not stay.

use arc_swap::ArcSwap;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, client};

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
    /// To peers: servers of the same authorities.
    client: ArcSwap<ClientConfig>,
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
        let authorities = Arc::new(authorities);
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::clone(&authorities), Arc::clone(&provider));
        let mut of_peers = WebPkiServerVerifier::builder_with_provider(authorities, Arc::clone(&provider));
        if let Some(revoked) = revoked {
            let revoked = lists(revoked)?;
            (verifier, of_peers) = (verifier.with_crls(revoked.clone()), of_peers.with_crls(revoked));
        }
        let verifier = verifier.build().map_err(TlsError::Clients)?;
        let of_peers = of_peers.build().map_err(TlsError::Clients)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|source| TlsError::Pem { what: "key", source })?;
        let own = certificates("certificate", certificate)?;
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_webpki_verifier(of_peers)
            .with_client_auth_cert(own.clone(), key.clone_key())
            .map_err(TlsError::Pair)?;
        client.alpn_protocols = vec![b"h2".to_vec()];
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(own, key)
            .map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let (config, client) = (ArcSwap::from_pointee(config), ArcSwap::from_pointee(client));
        Ok(Self(Arc::new(InForce { config, client, replaced: watch::Sender::new(()) })))
    }

    /// Shakes hands with a peer, another server whose clients and whose own certificate are of the same authorities, over
    /// `stream`: with our certificate, for HTTP/2. `host`: what its certificate has to be for.
    ///
    /// Errors: no name or address, or a peer that is not who it should be.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> std::io::Result<client::TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(std::io::Error::other)?;
        TlsConnector::from(self.0.client.load_full()).connect(name, stream).await
    }

    /// Puts what `other` holds in force, for new connections at once; open ones end with their calls in hand.
    pub fn replace(&self, other: &Self) {
        self.0.config.store(other.0.config.load_full());
        self.0.client.store(other.0.client.load_full());
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
