//! TLS on both ends: rustls with ring, 1.3 first, 1.2 allowed.

use std::sync::{Arc, LazyLock};

use rustls::client::Resumption;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::CertificateDer;
use rustls::server::ResolvesServerCert;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{CipherSuite, ClientConfig, RootCertStore, ServerConfig};

use crate::agent::channel::Identity;

pub mod floor; // the device's check of the server: no clock, only a floor
pub mod live; // a pair that follows the device's folder without a restart
pub mod own; // the authority's own pair, made anew in time
pub mod peers; // one device's check of another, also when both are cut off
pub mod returning; // the server's check of devices: also of those whose certificate has expired

pub use returning::Issued;

/// Certificates or keys TLS cannot use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// rustls refused them.
    #[error("TLS cannot use the certificate or key")]
    Rustls(#[from] rustls::Error),
    /// No verifier can be built from the anchors.
    #[error("TLS cannot use the anchors: {0}")]
    Anchors(String),
}

/// The one cryptography provider of this crate: ring's, but AES-128 with SHA-256 first. Key schedule and
/// transcript are hashed some fifty times a handshake, and processors have instructions for SHA-256, not
/// for SHA-384.
pub fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    Arc::new(provider)
}

/// What signatures over a handshake are checked with.
static ALGORITHMS: LazyLock<WebPkiSupportedAlgorithms> = LazyLock::new(|| provider().signature_verification_algorithms);

/// The part of a verifier in which ours differ from nobody's: the other end's signature over the handshake, which proves that
/// it holds the certificate's key.
macro_rules! signatures_as_ever {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            cert: &rustls::pki_types::CertificateDer<'_>,
            dss: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls12_signature(message, cert, dss, &$crate::tls::ALGORITHMS)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            cert: &rustls::pki_types::CertificateDer<'_>,
            dss: &rustls::DigitallySignedStruct,
        ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
            rustls::crypto::verify_tls13_signature(message, cert, dss, &$crate::tls::ALGORITHMS)
        }

        fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
            $crate::tls::ALGORITHMS.supported_schemes()
        }
    };
}
use signatures_as_ever;

/// A store of trust anchors. Any certificate can be one, an intermediate too.
///
/// # Errors
/// [`TlsError::Anchors`] when one of them cannot be read.
pub fn anchors(certificates: &[Vec<u8>]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for der in certificates {
        roots.add(CertificateDer::from(der.as_slice())).map_err(|e| TlsError::Anchors(e.to_string()))?;
    }
    Ok(Arc::new(roots))
}

/// The authority's side: shows `own`, asks for a client certificate, requires none, accepts expired ones.
/// `devices`: whose certificates are read. `issued`: the
/// certificates it signed a moment ago.
///
/// # Errors
/// [`TlsError`].
pub fn server_config(
    own: Arc<dyn ResolvesServerCert>,
    devices: &[Vec<u8>],
    issued: Arc<Issued>,
) -> Result<ServerConfig, TlsError> {
    let verifier = returning::ReturningVerifier::new(anchors(devices)?, provider(), issued)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(own);
    // A device comes back once a month: tickets would be bytes for nothing.
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The device's side.
///
/// # Errors
/// [`TlsError`].
pub fn client_config(
    verifier: Arc<dyn ServerCertVerifier>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous() // the verifier is `floor::FloorVerifier`, which checks everything but a clock
        .with_custom_certificate_verifier(verifier);
    let mut config = match identity {
        Some(identity) => {
            let pair = CertifiedKey::new(certificates(&identity.chain), identity.key.for_tls()?);
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn certificates(chain: &[Vec<u8>]) -> Vec<CertificateDer<'static>> {
    chain.iter().map(|der| CertificateDer::from(der.clone())).collect()
}
