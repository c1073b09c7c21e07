//! The server's check of a client certificate: an expired one proves who comes back, nothing more.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DistinguishedName, Error, RootCertStore};

use super::{TlsError, signatures_as_ever};
use crate::digest::Digest;
use crate::facts::parse_certificate;

/// Wraps [`WebPkiClientVerifier`]: what it refuses as expired is verified again at one second before
/// the earliest `notAfter` of the chain. Everything else it refuses stays refused. Whether the device
/// may do anything is decided per route, from the certificate's own dates (see [`crate::desk`]).
#[derive(Debug)]
pub struct ReturningVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    issued: Arc<Issued>,
}

/// Certificates this process signed a moment ago. A device shows its new one at once, in its probe: what is
/// byte for byte what was signed needs no second proof. Possession of the key is proved as ever, and what
/// the certificate opens is decided per route, from its own dates.
#[derive(Debug, Default)]
pub struct Issued {
    newest: Mutex<VecDeque<Digest>>,
}

impl Issued {
    /// How many are remembered.
    pub const MAX: usize = 512;

    /// Remembers a certificate.
    pub fn note(&self, certificate: &[u8]) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.len() >= Self::MAX {
            newest.pop_front();
        }
        newest.push_back(Digest::of(certificate));
    }

    /// Whether it was signed a moment ago; it is forgotten with this, since a probe comes once.
    fn take(&self, certificate: &[u8]) -> bool {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let digest = Digest::of(certificate);
        let at = newest.iter().position(|held| *held == digest);
        at.is_some_and(|at| newest.remove(at).is_some())
    }
}

impl ReturningVerifier {
    /// Accepts certificates under `roots`, those `issued` a moment ago, and clients that show none.
    ///
    /// # Errors
    /// [`TlsError::Anchors`] when there is no anchor.
    pub fn new(
        roots: Arc<RootCertStore>,
        provider: Arc<CryptoProvider>,
        issued: Arc<Issued>,
    ) -> Result<Self, TlsError> {
        let inner = WebPkiClientVerifier::builder_with_provider(roots, provider)
            .allow_unauthenticated()
            // Devices have one certificate: a hint of names would only cost bytes.
            .clear_root_hint_subjects()
            .build()
            .map_err(|e| TlsError::Anchors(e.to_string()))?;
        Ok(Self { inner, issued })
    }
}

impl ClientCertVerifier for ReturningVerifier {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.issued.take(end_entity) {
            return Ok(ClientCertVerified::assertion());
        }
        let refused = match self.inner.verify_client_cert(end_entity, intermediates, now) {
            Err(error) => error,
            verified => return verified,
        };
        let expired = CertificateError::Expired;
        let is_expired = matches!(
            &refused,
            Error::InvalidCertificate(e) if *e == expired || matches!(e, CertificateError::ExpiredContext { .. })
        );
        if !is_expired {
            return Err(refused);
        }
        let chain = std::iter::once(end_entity).chain(intermediates);
        let ends = chain.filter_map(|der| parse_certificate(der).ok()).map(|f| f.validity.until.unix_seconds());
        let Some(earliest) = ends.min() else { return Err(refused) };
        let then = UnixTime::since_unix_epoch(Duration::from_secs(earliest.saturating_sub(1)));
        self.inner.verify_client_cert(end_entity, intermediates, then)
    }

    signatures_as_ever!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_issued_a_moment_ago_is_known_once_and_not_for_ever() {
        let issued = Issued::default();
        issued.note(b"certificate");
        assert!(!issued.take(b"another"));
        assert!(issued.take(b"certificate"));
        assert!(!issued.take(b"certificate"), "once");
        issued.note(b"old");
        (0..Issued::MAX).for_each(|n| issued.note(&n.to_be_bytes()));
        assert!(!issued.take(b"old"), "pushed out");
    }
}
