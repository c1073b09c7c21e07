//! What a certificate says, parsed once at the edge into a type that cannot be wrong.

use std::net::IpAddr;

use serde::Serialize;
use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509Certificate};

use crate::digest::{Digest, hex};
use crate::time::{Millis, Validity};

/// Largest certificate that is parsed at all, in bytes.
pub const CERT_BYTES_MAX: usize = 16 * 1024;
/// Most subject alternative names in one certificate.
pub const NAMES_MAX: usize = 64;
/// Most certificate policies, and most extended key usages, in one certificate.
pub const OIDS_MAX: usize = 32;

/// A certificate's facts: what policy, the ledger and the agent decide on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertFacts {
    /// Subject name as text, for people.
    pub subject: String,
    /// The one common name of the subject; `None` when there is none or more than one.
    pub common_name: Option<String>,
    /// Issuer name as text, for people.
    pub issuer: String,
    /// Serial number.
    pub serial: Serial,
    /// Subject alternative names, in the order written.
    pub names: Vec<Name>,
    /// First and last valid moment.
    pub validity: Validity,
    /// SHA-256 over the whole DER encoding.
    pub fingerprint: Digest,
    /// The subject's key.
    pub key: KeyFacts,
    /// Certificate policy OIDs in dotted form.
    pub policies: Vec<String>,
    /// Extended key usage OIDs in dotted form.
    pub extended_key_usages: Vec<String>,
    /// Whether basic constraints mark it as a certificate authority.
    pub is_ca: bool,
}

impl CertFacts {
    /// The class of a device, as our authority writes it into its certificate; `None` where there is none, or more
    /// than one.
    pub fn class(&self) -> Option<&str> {
        let mut classes = self.names.iter().filter_map(|name| match name {
            Name::Uri(uri) => uri.strip_prefix(CLASS_URI),
            _ => None,
        });
        match (classes.next(), classes.next()) {
            (Some(one), None) => Some(one),
            _ => None,
        }
    }
}

/// A public key as a certificate or a request states it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyFacts {
    /// Kind and size of the key.
    pub algorithm: KeyAlgorithm,
    /// SHA-256 of the SubjectPublicKeyInfo: the key's identity, the same in every certificate for it.
    pub id: Digest,
}

/// Key kinds this crate knows by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAlgorithm {
    /// ECDSA on P-256.
    EcP256,
    /// ECDSA on P-384.
    EcP384,
    /// Ed25519.
    Ed25519,
    /// RSA, with the size of the modulus in bits.
    Rsa(usize),
    /// Anything else, by its OID.
    Other(String),
}

impl KeyAlgorithm {
    /// Whether a certificate may be issued for such a key.
    pub fn acceptable(&self) -> bool {
        match self {
            Self::EcP256 | Self::EcP384 | Self::Ed25519 => true,
            Self::Rsa(bits) => (2_048..=4_096).contains(bits),
            Self::Other(_) => false,
        }
    }
}

/// A certificate serial number: 1 to 20 bytes, big-endian, no leading zero (RFC 5280 section 4.1.2.2).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct Serial(Vec<u8>);

impl Serial {
    /// Takes big-endian bytes; leading zeros are dropped, since DER adds one for the sign.
    ///
    /// # Errors
    /// [`FactsError::Serial`] when nothing or more than 20 bytes remain.
    pub fn new(bytes: &[u8]) -> Result<Self, FactsError> {
        let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
        match bytes.get(start..) {
            Some(rest) if (1..=20).contains(&rest.len()) => Ok(Self(rest.to_vec())),
            _ => Err(FactsError::Serial { found: bytes.len() }),
        }
    }

    /// Big-endian bytes, no leading zero.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Display for Serial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl std::fmt::Debug for Serial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "serial:{self}")
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

/// One subject alternative name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// `dNSName`.
    Dns(String),
    /// `iPAddress` of 4 or 16 bytes.
    Ip(IpAddr),
    /// `uniformResourceIdentifier`.
    Uri(String),
    /// Any other kind, by its name.
    Other(&'static str),
}

/// Why bytes are not a certificate this crate accepts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FactsError {
    /// Larger than [`CERT_BYTES_MAX`].
    #[error("certificate of {found} bytes, the limit is {CERT_BYTES_MAX}")]
    TooLarge {
        /// Bytes given.
        found: usize,
    },
    /// Not DER, or not a certificate.
    #[error("not an X.509 certificate: {reason}")]
    Malformed {
        /// What the parser said.
        reason: String,
    },
    /// Bytes follow the certificate.
    #[error("{count} bytes follow the certificate")]
    TrailingBytes {
        /// How many.
        count: usize,
    },
    /// A serial number that is empty, zero or longer than 20 bytes.
    #[error("serial number of {found} bytes, expected 1 to 20 and not zero")]
    Serial {
        /// Bytes given.
        found: usize,
    },
    /// `notAfter` before `notBefore`.
    #[error("certificate ends before it begins")]
    Backwards,
    /// More names, policies or usages than the limit.
    #[error("{found} {what}, the limit is {max}")]
    TooMany {
        /// What there are too many of.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// The limit.
        max: usize,
    },
}

/// Reads the facts of one DER certificate.
///
/// # Errors
/// [`FactsError`]: too large, malformed, trailing bytes, or over a limit.
pub fn parse_certificate(der: &[u8]) -> Result<CertFacts, FactsError> {
    if der.len() > CERT_BYTES_MAX {
        return Err(FactsError::TooLarge { found: der.len() });
    }
    let (rest, cert) = X509Certificate::from_der(der).map_err(malformed)?;
    if !rest.is_empty() {
        return Err(FactsError::TrailingBytes { count: rest.len() });
    }
    let validity = validity(&cert)?;
    let mut facts = CertFacts {
        subject: cert.subject().to_string(),
        common_name: common_name(cert.subject()),
        issuer: cert.issuer().to_string(),
        serial: Serial::new(cert.raw_serial())?,
        names: Vec::new(),
        validity,
        fingerprint: Digest::of(der),
        key: key_facts(cert.public_key()),
        policies: Vec::new(),
        extended_key_usages: Vec::new(),
        is_ca: cert.is_ca(),
    };
    for extension in cert.extensions() {
        read_extension(extension.parsed_extension(), &mut facts)?;
    }
    Ok(facts)
}

/// The subject's one common name; two are no identity, so they count as none.
pub(crate) fn common_name(name: &x509_parser::x509::X509Name<'_>) -> Option<String> {
    let mut names = name.iter_common_name();
    match (names.next(), names.next()) {
        (Some(one), None) => one.as_str().ok().map(str::to_owned),
        _ => None,
    }
}

/// Kind and identity of a SubjectPublicKeyInfo.
pub(crate) fn key_facts(spki: &x509_parser::x509::SubjectPublicKeyInfo<'_>) -> KeyFacts {
    let oid = spki.algorithm.algorithm.to_id_string();
    let curve = spki.algorithm.parameters.as_ref().and_then(|p| p.as_oid().ok());
    let algorithm = match (oid.as_str(), curve.map(|c| c.to_id_string()).as_deref()) {
        ("1.2.840.10045.2.1", Some("1.2.840.10045.3.1.7")) => KeyAlgorithm::EcP256,
        ("1.2.840.10045.2.1", Some("1.3.132.0.34")) => KeyAlgorithm::EcP384,
        ("1.3.101.112", _) => KeyAlgorithm::Ed25519,
        ("1.2.840.113549.1.1.1", _) => match spki.parsed() {
            Ok(x509_parser::public_key::PublicKey::RSA(key)) => KeyAlgorithm::Rsa(key.key_size()),
            _ => KeyAlgorithm::Other(oid),
        },
        _ => KeyAlgorithm::Other(oid),
    };
    KeyFacts { algorithm, id: Digest::of(spki.raw) }
}

fn validity(cert: &X509Certificate<'_>) -> Result<Validity, FactsError> {
    let dates = cert.validity();
    if dates.not_after.timestamp() < dates.not_before.timestamp() {
        return Err(FactsError::Backwards);
    }
    Ok(Validity {
        from: Millis::from_unix_seconds(dates.not_before.timestamp()),
        until: Millis::from_unix_seconds(dates.not_after.timestamp()),
    })
}

fn read_extension(parsed: &ParsedExtension<'_>, facts: &mut CertFacts) -> Result<(), FactsError> {
    match parsed {
        ParsedExtension::SubjectAlternativeName(names) => {
            within("names", names.general_names.len(), NAMES_MAX)?;
            facts.names = names.general_names.iter().map(name).collect();
        }
        ParsedExtension::CertificatePolicies(policies) => {
            within("policies", policies.len(), OIDS_MAX)?;
            facts.policies = policies.iter().map(|p| p.policy_id.to_id_string()).collect();
        }
        ParsedExtension::ExtendedKeyUsage(usage) => {
            within("key usages", usage.other.len(), OIDS_MAX)?;
            let known = [
                (usage.any, "2.5.29.37.0"),
                (usage.server_auth, SERVER_AUTH),
                (usage.client_auth, CLIENT_AUTH),
                (usage.ocsp_signing, "1.3.6.1.5.5.7.3.9"),
            ];
            let named = known.iter().filter(|(set, _)| *set).map(|(_, oid)| (*oid).to_owned());
            let other = usage.other.iter().map(|oid| oid.to_id_string());
            facts.extended_key_usages = named.chain(other).collect();
        }
        ParsedExtension::ParseError { error } => return Err(malformed(error)),
        _ => {}
    }
    Ok(())
}

/// What a device's class is written after, as a URI among its names.
pub const CLASS_URI: &str = "urn:vedette:class:";
/// OID of the extended key usage for TLS servers.
pub const SERVER_AUTH: &str = "1.3.6.1.5.5.7.3.1";
/// OID of the extended key usage for TLS clients.
pub const CLIENT_AUTH: &str = "1.3.6.1.5.5.7.3.2";

fn name(general: &GeneralName<'_>) -> Name {
    match general {
        GeneralName::DNSName(dns) => Name::Dns((*dns).to_owned()),
        GeneralName::URI(uri) => Name::Uri((*uri).to_owned()),
        GeneralName::IPAddress(bytes) => match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
            (Ok(v4), _) => Name::Ip(IpAddr::from(v4)),
            (_, Ok(v6)) => Name::Ip(IpAddr::from(v6)),
            _ => Name::Other("address of unusual length"),
        },
        GeneralName::RFC822Name(_) => Name::Other("mail address"),
        GeneralName::DirectoryName(_) => Name::Other("directory name"),
        _ => Name::Other("unusual name"),
    }
}

fn within(what: &'static str, found: usize, max: usize) -> Result<(), FactsError> {
    if found > max { Err(FactsError::TooMany { what, found, max }) } else { Ok(()) }
}

fn malformed(error: impl std::fmt::Display) -> FactsError {
    FactsError::Malformed { reason: error.to_string() }
}

#[cfg(test)]
mod tests;
