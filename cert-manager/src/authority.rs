//! The issuing authority: one signing certificate, and how each kind of certificate looks.

use std::fmt;
use std::time::Duration;

use der::Encode;
use der::asn1::ObjectIdentifier;
use rcgen::{
    CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyUsagePurpose, PublicKeyData, SanType, SigningKey, SubjectPublicKeyInfo,
};
use x509_cert::ext::pkix::CertificatePolicies;
use x509_cert::ext::pkix::certpolicy::PolicyInformation;

use crate::device::{DeviceId, is_name};
use crate::facts::{CLASS_URI, CertFacts, FactsError, Serial, parse_certificate};
use crate::keys::Key;
use crate::ledger::rules::Grant;
use crate::time::{Millis, Span, Validity};

/// Policy of a certificate that may only renew, ask the time, read trust and upload calls.
/// Under 2.25, the arc of UUIDs: nobody assigns it, nobody else uses this number.
pub const POLICY_QUARANTINE: &str = "2.25.1963478012.1";
/// Policy of a short certificate given because the device looks unusual.
pub const POLICY_AMBER: &str = "2.25.1963478012.2";
/// Policy of a short certificate given because nobody could say how the device looks.
pub const POLICY_DEGRADED: &str = "2.25.1963478012.3";

/// How far `notBefore` lies in the past: devices' clocks are slow more often than fast.
pub const BACKDATE: Span = Span::minutes(5);

/// Last moment X.509 can write: the end of the year 9999.
const LAST: Millis = Millis(253_402_300_799_000);

/// Signs certificates.
pub struct Authority {
    issuer: Issuer<'static, Key>,
    certificate: Vec<u8>,
    facts: CertFacts,
    crl_url: Option<String>,
}

/// Why nothing was signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// The authority's own certificate cannot be read.
    #[error("cannot read the authority's certificate")]
    Certificate(#[source] FactsError),
    /// The key does not belong to the certificate, or the certificate is no authority's.
    #[error("the key and the certificate of the authority do not belong together")]
    Mismatch,
    /// Signing failed, or the request's key is of a kind that cannot be certified.
    #[error("cannot sign: {reason}")]
    Sign {
        /// What the library said.
        reason: String,
    },
}

impl Authority {
    /// From a DER certificate and its key. `crl_url` is written into each certificate.
    ///
    /// # Errors
    /// [`AuthorityError::Certificate`] or [`AuthorityError::Mismatch`].
    pub fn new(certificate: Vec<u8>, key: impl Into<Key>, crl_url: Option<String>) -> Result<Self, AuthorityError> {
        let key = key.into();
        let facts = parse_certificate(&certificate).map_err(AuthorityError::Certificate)?;
        if !facts.is_ca || facts.key.id != key.id() {
            return Err(AuthorityError::Mismatch);
        }
        let issuer = Issuer::from_ca_cert_der(&certificate.as_slice().into(), key).map_err(sign)?;
        Ok(Self { issuer, certificate, facts, crl_url })
    }

    /// The authority's certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// What the authority's certificate says.
    pub fn facts(&self) -> &CertFacts {
        &self.facts
    }

    /// When a certificate of `life` issued `now` is valid: never longer than the authority itself.
    pub fn validity(&self, life: Span, now: Millis) -> Validity {
        let until = (now + life).min(self.facts.validity.until).min(LAST);
        // Whole seconds: X.509 writes no finer time, and the receipt must say what the certificate says.
        Validity { from: seconds(now - BACKDATE), until: seconds(until) }
    }

    /// Signs a device certificate for the DER SubjectPublicKeyInfo `spki`. `class` is written into it for peers
    /// that are cut off; one that is no name is left out.
    ///
    /// # Errors
    /// [`AuthorityError::Sign`].
    pub fn issue(
        &self,
        (device, class): (&DeviceId, &str),
        spki: &[u8],
        grant: Grant,
        serial: &Serial,
        validity: Validity,
    ) -> Result<Vec<u8>, AuthorityError> {
        let mut params = leaf(device.as_str(), validity);
        params.serial_number = Some(serial.bytes().to_vec().into());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let uri = format!("urn:vedette:device:{device}").try_into().map_err(sign)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        if is_name(class) {
            params.subject_alt_names.push(SanType::URI(format!("{CLASS_URI}{class}").try_into().map_err(sign)?));
        }
        if let Some(policy) = policy(grant) {
            params.custom_extensions.push(policies(policy)?);
        }
        if let Some(url) = &self.crl_url {
            params.crl_distribution_points = vec![rcgen::CrlDistributionPoint { uris: vec![url.clone()] }];
        }
        let key = SubjectPublicKeyInfo::from_der(spki).map_err(sign)?;
        Ok(params.signed_by(&key, &self.issuer).map_err(sign)?.der().to_vec())
    }

    /// Signs a certificate for an operator: who may look, and is no device.
    ///
    /// # Errors
    /// [`AuthorityError::Sign`].
    pub fn issue_operator(&self, name: &DeviceId, key: &Key, validity: Validity) -> Result<Vec<u8>, AuthorityError> {
        let mut params = leaf(name.as_str(), validity);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let uri = format!("urn:vedette:operator:{name}").try_into().map_err(sign)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        Ok(params.signed_by(key, &self.issuer).map_err(sign)?.der().to_vec())
    }

    /// Signs a revocation list.
    ///
    /// # Errors
    /// [`AuthorityError::Sign`].
    pub(crate) fn sign_crl(&self, params: rcgen::CertificateRevocationListParams) -> Result<Vec<u8>, AuthorityError> {
        Ok(params.signed_by(&self.issuer).map_err(sign)?.der().to_vec())
    }

    /// Signs a TLS server certificate for `names` (DNS names or addresses).
    ///
    /// # Errors
    /// [`AuthorityError::Sign`].
    pub fn issue_server(
        &self,
        names: &[String],
        key: &impl PublicKeyData,
        validity: Validity,
    ) -> Result<Vec<u8>, AuthorityError> {
        let mut params = leaf("vedette ca", validity);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.subject_alt_names = CertificateParams::new(names.to_vec()).map_err(sign)?.subject_alt_names;
        Ok(params.signed_by(key, &self.issuer).map_err(sign)?.der().to_vec())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority({}, ..)", self.facts.subject)
    }
}

/// A self-signed authority certificate.
///
/// # Errors
/// [`AuthorityError::Sign`].
pub fn self_signed_authority(name: &str, key: &impl SigningKey, validity: Validity) -> Result<Vec<u8>, AuthorityError> {
    Ok(authority_params(name, validity).self_signed(key).map_err(sign)?.der().to_vec())
}

/// An authority certificate under `above`: an intermediate, or a cross-certificate at a rollover
/// (OldWithNew, NewWithOld: RFC 4210 section 4.4).
///
/// # Errors
/// [`AuthorityError::Sign`].
pub fn subordinate_authority(
    name: &str,
    spki: &[u8],
    above: &Authority,
    validity: Validity,
) -> Result<Vec<u8>, AuthorityError> {
    let key = SubjectPublicKeyInfo::from_der(spki).map_err(sign)?;
    Ok(authority_params(name, validity).signed_by(&key, &above.issuer).map_err(sign)?.der().to_vec())
}

/// Id of a key: SHA-256 of its SubjectPublicKeyInfo, as in [`crate::facts::KeyFacts::id`].
pub fn key_id(key: &impl PublicKeyData) -> crate::Digest {
    crate::Digest::of(&key.subject_public_key_info())
}

fn authority_params(name: &str, validity: Validity) -> CertificateParams {
    let mut params = leaf(name, validity);
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn leaf(common_name: &str, validity: Validity) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.not_before = date(validity.from);
    params.not_after = date(validity.until);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn policy(grant: Grant) -> Option<&'static str> {
    match grant {
        Grant::Full => None,
        Grant::Amber => Some(POLICY_AMBER),
        Grant::Degraded => Some(POLICY_DEGRADED),
        Grant::Quarantine => Some(POLICY_QUARANTINE),
    }
}

/// certificatePolicies (RFC 5280 section 4.2.1.4) with one policy.
fn policies(oid: &str) -> Result<CustomExtension, AuthorityError> {
    let policy_identifier = ObjectIdentifier::new(oid).map_err(sign)?;
    let one = PolicyInformation { policy_identifier, policy_qualifiers: None };
    let content = CertificatePolicies(vec![one]).to_der().map_err(sign)?;
    Ok(CustomExtension::from_oid_content(&[2, 5, 29, 32], content))
}

fn seconds(at: Millis) -> Millis {
    Millis(at.0 / 1_000 * 1_000)
}

/// A moment as the certificate library writes it.
pub(crate) fn date(at: Millis) -> time::OffsetDateTime {
    time::OffsetDateTime::UNIX_EPOCH + Duration::from_millis(at.min(LAST).0)
}

fn sign(error: impl fmt::Display) -> AuthorityError {
    AuthorityError::Sign { reason: error.to_string() }
}
