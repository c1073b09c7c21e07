//! PEM (RFC 7468), as far as certificates and keys need it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Largest PEM text that is read, in bytes.
pub const PEM_BYTES_MAX: usize = 256 * 1024;
/// Most certificates in one PEM file.
pub const PEM_CERTS_MAX: usize = 64;

/// Text that holds no, broken, or too many certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not 1 to {PEM_CERTS_MAX} certificates in PEM of at most {PEM_BYTES_MAX} bytes")]
pub struct PemError;

/// `der` under `label`, 64 characters a line.
pub fn encode(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        // INVARIANT: base64 is ASCII, so every chunk is text.
        out.push_str(std::str::from_utf8(line).unwrap_or_default());
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// The DER certificates in PEM text, in order.
///
/// # Errors
/// [`PemError`].
pub fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
    if pem.len() > PEM_BYTES_MAX {
        return Err(PemError);
    }
    let certs: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).take(PEM_CERTS_MAX + 1).collect();
    let certs = certs.map_err(|_| PemError)?;
    if certs.is_empty() || certs.len() > PEM_CERTS_MAX {
        return Err(PemError);
    }
    Ok(certs.into_iter().map(|cert| cert.to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_survive_pem_and_bad_text_is_refused() {
        let text = encode("CERTIFICATE", &[7; 100]) + &encode("CERTIFICATE", &[8; 3]);
        assert_eq!(certificates(text.as_bytes()), Ok(vec![vec![7; 100], vec![8; 3]]));
        assert!(text.lines().all(|line| line.len() <= 64));
        for bad in ["", "-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----\n"] {
            assert_eq!(certificates(bad.as_bytes()), Err(PemError));
        }
        assert_eq!(certificates(encode("CERTIFICATE", &[1]).repeat(65).as_bytes()), Err(PemError));
    }
}
