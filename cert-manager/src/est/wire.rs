//! EST bodies: base64 of DER. Strict in what is sent, tolerant in what is read.
//!
//! Real clients wrap or do not wrap, send a Content-Transfer-Encoding or leave it out, and by hand
//! send PEM. RFC 8951 section 3.1 says the header means nothing, so it is never looked at.

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use cms::cert::CertificateChoices;
use cms::content_info::{CmsVersion, ContentInfo};
use cms::revocation::RevocationInfoChoices;
use cms::signed_data::{CertificateSet, EncapsulatedContentInfo, SignedData, SignerInfos};
use der::asn1::{ObjectIdentifier, SetOfVec};
use der::{Any, AnyRef, Decode, Encode};

use crate::facts::CERT_BYTES_MAX;

/// Largest EST body that is read, in bytes as sent.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Most certificates in one certs-only message.
pub const CERTS_MAX: usize = 16;

/// Why a body is not what EST says it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Longer than [`BODY_BYTES_MAX`].
    #[error("body of {found} bytes, the limit is {BODY_BYTES_MAX}")]
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// Neither base64, PEM nor DER.
    #[error("body is not base64")]
    NotBase64,
    /// Not a certs-only CMS message.
    #[error("not a certs-only message: {reason}")]
    NotCertsOnly {
        /// What the parser said.
        reason: String,
    },
    /// More certificates than [`CERTS_MAX`], or one larger than [`CERT_BYTES_MAX`].
    #[error("more or larger certificates than allowed")]
    TooMany,
}

/// One base64 line and one newline: what every client tried reads.
pub fn encode_body(der: &[u8]) -> Vec<u8> {
    let mut line = base64::engine::general_purpose::STANDARD.encode(der).into_bytes();
    line.push(b'\n');
    line
}

/// Reads a body: wrapped or not, padded or not, PEM, or plain DER.
///
/// # Errors
/// [`WireError::TooLarge`] or [`WireError::NotBase64`].
pub fn decode_body(body: &[u8]) -> Result<Vec<u8>, WireError> {
    if body.len() > BODY_BYTES_MAX {
        return Err(WireError::TooLarge { found: body.len() });
    }
    // 0x30, a DER sequence, is "0": long base64 of DER begins with "M", so the two cannot be confused.
    if body.first() == Some(&0x30) {
        return Ok(body.to_vec());
    }
    let armour = |line: &&[u8]| !line.starts_with(b"-----");
    let text: Vec<u8> =
        body.split(|b| *b == b'\n').filter(armour).flatten().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    if text.is_empty() {
        return Err(WireError::NotBase64);
    }
    TOLERANT.decode(text).map_err(|_| WireError::NotBase64)
}

const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");

/// A certs-only message of DER certificates (RFC 5652 section 5.2, RFC 7030 section 4.2.3).
///
/// # Errors
/// [`WireError::NotCertsOnly`] when one of them is no certificate.
pub fn certs_only<'a>(certs: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<u8>, WireError> {
    let mut set = SetOfVec::new();
    for der in certs {
        let cert = x509_cert::Certificate::from_der(der).map_err(not_certs)?;
        set.insert(CertificateChoices::Certificate(cert)).map_err(not_certs)?;
    }
    let signed = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::default(),
        encap_content_info: EncapsulatedContentInfo { econtent_type: DATA, econtent: None },
        certificates: Some(CertificateSet(set)),
        // Empty, not absent: as OpenSSL writes it.
        crls: Some(RevocationInfoChoices(SetOfVec::default())),
        signer_infos: SignerInfos(SetOfVec::default()),
    };
    let signed = signed.to_der().map_err(not_certs)?;
    let content = Any::from(AnyRef::try_from(signed.as_slice()).map_err(not_certs)?);
    ContentInfo { content_type: SIGNED_DATA, content }.to_der().map_err(not_certs)
}

/// Reads the DER certificates of a certs-only message, in the order of the set.
///
/// # Errors
/// [`WireError`]: too large, not such a message, or too many certificates.
pub fn parse_certs_only(der: &[u8]) -> Result<Vec<Vec<u8>>, WireError> {
    if der.len() > BODY_BYTES_MAX {
        return Err(WireError::TooLarge { found: der.len() });
    }
    let outer = ContentInfo::from_der(der).map_err(not_certs)?;
    if outer.content_type != SIGNED_DATA {
        return Err(WireError::NotCertsOnly { reason: "not signed data".to_owned() });
    }
    let signed: SignedData = outer.content.decode_as().map_err(not_certs)?;
    let set = signed.certificates.ok_or_else(|| WireError::NotCertsOnly { reason: "no certificates".to_owned() })?;
    if set.0.len() > CERTS_MAX {
        return Err(WireError::TooMany);
    }
    let mut certs = Vec::with_capacity(set.0.len());
    for choice in set.0.iter() {
        let CertificateChoices::Certificate(cert) = choice else { continue };
        let der = cert.to_der().map_err(not_certs)?;
        if der.len() > CERT_BYTES_MAX {
            return Err(WireError::TooMany);
        }
        certs.push(der);
    }
    Ok(certs)
}

fn not_certs(error: impl std::fmt::Display) -> WireError {
    WireError::NotCertsOnly { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_answer_is_one_line_and_one_newline() {
        let body = encode_body(&[0x30; 500]);
        assert_eq!(body.iter().filter(|b| **b == b'\n').count(), 1);
        assert_eq!(body.last(), Some(&b'\n'));
    }

    #[test]
    fn bodies_are_read_wrapped_unwrapped_armoured_unpadded_or_raw() {
        let der = [&[0x30, 0x82][..], &[7; 200]].concat();
        let line = String::from_utf8(encode_body(&der)).unwrap();
        let wrapped: String = line.trim().as_bytes().chunks(64).map(|c| format!("{}\r\n", str(c))).collect();
        let pem = format!("-----BEGIN CERTIFICATE REQUEST-----\n{wrapped}-----END CERTIFICATE REQUEST-----\n");
        let bare = line.trim().trim_end_matches('=').to_owned();
        for form in [line.clone(), wrapped, pem, bare, format!("\n\n {line}\n")] {
            assert_eq!(decode_body(form.as_bytes()), Ok(der.clone()), "{form}");
        }
        assert_eq!(decode_body(&der), Ok(der));
        for bad in ["", "\n", "not base64!", "-----BEGIN X-----\n"] {
            assert_eq!(decode_body(bad.as_bytes()), Err(WireError::NotBase64), "{bad}");
        }
        let huge = vec![b'A'; BODY_BYTES_MAX + 1];
        assert_eq!(decode_body(&huge), Err(WireError::TooLarge { found: huge.len() }));
    }

    fn str(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    fn certificates(count: usize) -> Vec<Vec<u8>> {
        let one = |i| {
            let key = rcgen::KeyPair::generate().unwrap();
            rcgen::CertificateParams::new(vec![format!("d{i}")]).unwrap().self_signed(&key).unwrap().der().to_vec()
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn certificates_survive_a_certs_only_message() {
        let mut sent = certificates(3);
        let message = certs_only(sent.iter().map(Vec::as_slice)).unwrap();
        let mut got = parse_certs_only(&message).unwrap();
        sent.sort();
        got.sort();
        assert_eq!(got, sent);
        for end in 0..message.len() {
            assert!(parse_certs_only(&message[..end]).is_err(), "cut at {end}");
        }
        let many = certificates(CERTS_MAX + 1);
        let message = certs_only(many.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(parse_certs_only(&message), Err(WireError::TooMany));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = decode_body(&bytes);
            let _ = parse_certs_only(&bytes);
        }
    }
}
