//! A request for a certificate (PKCS#10, RFC 2986): parsed, its own signature checked, nothing trusted.

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer;

use crate::facts::{KeyAlgorithm, KeyFacts, common_name, key_facts};

/// Largest request that is parsed, in bytes.
pub const CSR_BYTES_MAX: usize = 16 * 1024;

/// What a request says. Only the key and the common name are ever used: the server decides the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsrFacts {
    /// The one common name of the subject.
    pub common_name: Option<String>,
    /// The key a certificate is asked for.
    pub key: KeyFacts,
    /// Its SubjectPublicKeyInfo in DER.
    pub spki: Vec<u8>,
}

/// Why bytes are not a request this server takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsrError {
    /// Larger than [`CSR_BYTES_MAX`].
    #[error("request of {found} bytes, the limit is {CSR_BYTES_MAX}")]
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// Not DER, or not a request.
    #[error("not a PKCS#10 request: {reason}")]
    Malformed {
        /// What the parser said.
        reason: String,
    },
    /// The request is not signed by the key it names: no proof of possession.
    #[error("the request is not signed by its own key")]
    Signature,
    /// A key kind or size that is not accepted.
    #[error("key {0:?} is not accepted: use P-256, P-384, Ed25519 or RSA of 2048 to 4096 bits")]
    Key(KeyAlgorithm),
}

/// Reads a request and checks the signature that proves possession of its key.
///
/// # Errors
/// [`CsrError`]: too large, malformed, unsigned, or a key that is not accepted.
pub fn parse_csr(der: &[u8]) -> Result<CsrFacts, CsrError> {
    if der.len() > CSR_BYTES_MAX {
        return Err(CsrError::TooLarge { found: der.len() });
    }
    let malformed = |reason: String| CsrError::Malformed { reason };
    let (rest, csr) = X509CertificationRequest::from_der(der).map_err(|e| malformed(e.to_string()))?;
    if !rest.is_empty() {
        return Err(malformed(format!("{} bytes follow", rest.len())));
    }
    let info = &csr.certification_request_info;
    let key = key_facts(&info.subject_pki);
    // The kind first: the signature check is the costly part, and not made for keys nobody wants.
    if !key.algorithm.acceptable() {
        return Err(CsrError::Key(key.algorithm));
    }
    csr.verify_signature().map_err(|_| CsrError::Signature)?;
    Ok(CsrFacts { common_name: common_name(&info.subject), key, spki: info.subject_pki.raw.to_vec() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn request(key: &KeyPair) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "dev-9");
        params.serialize_request(key).unwrap().der().to_vec()
    }

    #[test]
    fn a_request_gives_its_name_and_key() {
        for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let facts = parse_csr(&request(&key)).unwrap();
            assert_eq!(facts.common_name.as_deref(), Some("dev-9"));
            assert_eq!(facts.key.id, crate::Digest::of(&facts.spki));
        }
    }

    #[test]
    fn a_request_for_a_key_one_does_not_hold_is_refused() {
        let mut der = request(&KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap());
        let last = der.len() - 1;
        der[last] ^= 1;
        assert_eq!(parse_csr(&der), Err(CsrError::Signature));
        let huge = vec![0x30; CSR_BYTES_MAX + 1];
        assert_eq!(parse_csr(&huge), Err(CsrError::TooLarge { found: huge.len() }));
        assert!(matches!(parse_csr(b"no"), Err(CsrError::Malformed { .. })));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(at in 0usize..1_000, to in any::<u8>(), cut in 0usize..1_000) {
            let mut der = request(&KeyPair::generate().unwrap());
            let (at, cut) = (at % der.len(), cut % der.len());
            der[at] = to;
            let _ = parse_csr(&der);
            let _ = parse_csr(&der[..cut]);
        }
    }
}
