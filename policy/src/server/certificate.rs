//! The certificate of the device a call came from, as a gateway that checked it passes it on.

use super::state::AppState;
use crate::shards::Shards;
use crate::{Certificate, CertificateClass};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use schema::Millis;

/// What a certificate says of how its device stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// On what terms it was issued.
    pub class: CertificateClass,
    /// When.
    pub issued: Millis,
}

type Read = dyn Fn(&[u8]) -> Option<Shown> + Send + Sync;

/// Reads certificates; each of them once, as long as it is remembered.
pub struct Certificates {
    read: Box<Read>,
    known: Shards<Option<Shown>>,
}

impl Certificates {
    /// `read` takes DER and knows the authority's terms.
    pub fn new(read: impl Fn(&[u8]) -> Option<Shown> + Send + Sync + 'static) -> Self {
        Self { read: Box::new(read), known: Shards::new(KNOWN_MAX) }
    }

    /// A certificate as Envoy passes it on: PEM, percent-encoded (`source.certificate`).
    fn of_envoy(&self, text: &str) -> Option<Shown> {
        if text.is_empty() || text.len() > TEXT_BYTES_MAX {
            return None;
        }
        let key = self.known.key(&text);
        if let Some(known) = self.known.read(key, |shown| *shown) {
            return known;
        }
        let pem: Vec<u8> = percent_encoding::percent_decode_str(text).collect();
        let shown = CertificateDer::from_pem_slice(&pem).ok().and_then(|der| (self.read)(&der));
        self.known.with(key, |known| *known = shown);
        shown
    }
}

impl AppState {
    /// What `text` says at `now`; nothing where no authority's terms are known.
    pub(super) fn certificate(&self, text: &str, now: Millis) -> Certificate {
        let shown = self.certificates.as_ref().and_then(|certificates| certificates.of_envoy(text));
        shown.map(|shown| Certificate { class: shown.class, age_ms: now.since(shown.issued) }).unwrap_or_default()
    }
}

/// Devices whose certificate is remembered.
const KNOWN_MAX: usize = 100_000;
/// Longest certificate that is read, as text.
const TEXT_BYTES_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_certificate_is_read_once_and_what_is_none_says_nothing() {
        let reads = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&reads);
        let certificates = Certificates::new(move |der| {
            counted.fetch_add(1, Ordering::Relaxed);
            (der == b"hello").then_some(Shown { class: CertificateClass::Amber, issued: Millis(7) })
        });
        let pem = "-----BEGIN%20CERTIFICATE-----%0AaGVsbG8%3D%0A-----END%20CERTIFICATE-----%0A";
        for _ in 0..3 {
            let shown = certificates.of_envoy(pem).unwrap();
            assert_eq!((shown.class, shown.issued), (CertificateClass::Amber, Millis(7)));
        }
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        for none in ["", "hello", "%", "-----BEGIN CERTIFICATE-----", &long] {
            assert_eq!(certificates.of_envoy(none), None);
        }
    }
}
