//! The device's check of the server, on a device whose clock may be anything.
//!
//! A floor is a lower bound of now, so a certificate is refused only when it is certainly expired:
//! the chain is verified at the later of the floor and its own newest `notBefore`.

use std::sync::Arc;
use std::time::Duration;

use rustls::Error;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use super::{TlsError, anchors, provider, signatures_as_ever};
use crate::facts::parse_certificate;
use crate::time::Millis;

/// Verifies a server at a floor, whatever time rustls thinks it is.
#[derive(Debug)]
pub struct FloorVerifier {
    inner: Arc<WebPkiServerVerifier>,
    floor: Millis,
}

impl FloorVerifier {
    /// Accepts servers under `certificates` (DER) that are not certainly expired.
    ///
    /// # Errors
    /// [`TlsError::Anchors`].
    pub fn new(certificates: &[Vec<u8>], floor: Millis) -> Result<Self, TlsError> {
        let inner = WebPkiServerVerifier::builder_with_provider(anchors(certificates)?, provider());
        let inner = inner.build().map_err(|e| TlsError::Anchors(e.to_string()))?;
        Ok(Self { inner, floor })
    }
}

impl ServerCertVerifier for FloorVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = std::iter::once(end_entity).chain(intermediates);
        let begins = chain.filter_map(|der| parse_certificate(der).ok()).map(|f| f.validity.from);
        let at = begins.fold(self.floor, Millis::max);
        let at = UnixTime::since_unix_epoch(Duration::from_millis(at.0));
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, at)
    }

    signatures_as_ever!();
}
