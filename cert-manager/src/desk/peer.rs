//! Who is on the other end, from the certificate TLS has verified.

use x509_parser::prelude::{FromDer, X509Certificate};

use super::operators::Operators;
use crate::authority::POLICY_QUARANTINE;
use crate::device::DeviceId;
use crate::digest::Digest;
use crate::facts::{CertFacts, FactsError, parse_certificate};
use crate::time::Millis;

/// A maker of devices whose certificates may enrol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factory {
    /// The maker's authority, DER.
    pub certificate: Vec<u8>,
    /// Class its devices get.
    pub class: String,
}

/// An authority of ours, of any generation: whom it signed for is a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    subject: String,
    certificate: Vec<u8>,
}

impl Issuer {
    /// From its DER certificate.
    ///
    /// # Errors
    /// [`FactsError`].
    pub fn new(certificate: &[u8]) -> Result<Self, FactsError> {
        Ok(Self { subject: parse_certificate(certificate)?.subject, certificate: certificate.to_vec() })
    }

    /// Its certificate, DER.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// Whether it signed `der`, whose facts are `facts`. The name is compared first: that costs nothing.
    fn signed(&self, der: &[u8], facts: &CertFacts) -> bool {
        self.subject == facts.issuer && signed_by(der, &self.certificate)
    }
}

/// Whose certificates are known, and as whose.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Our own authorities, oldest first.
    pub issuers: Vec<Issuer>,
    /// Makers of devices.
    pub factories: Vec<Factory>,
    /// Those who may read the fleet.
    pub operators: Operators,
}

/// Who is on the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// No certificate.
    Anonymous,
    /// A factory certificate (IDevID, IEEE 802.1AR).
    Factory {
        /// The device's name, from the certificate.
        name: DeviceId,
        /// Id of its key.
        key: Digest,
        /// Class devices of that maker get.
        class: String,
    },
    /// A device with a certificate of ours.
    Device(DevicePeer),
    /// A person, or a dashboard, that may read the fleet and do nothing else.
    Operator {
        /// Whose certificate it is.
        name: DeviceId,
    },
    /// A certificate TLS accepted but no rule knows.
    Stranger,
}

/// A device with a certificate of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicePeer {
    /// Its name.
    pub name: DeviceId,
    /// Id of its key.
    pub key: Digest,
    /// Last valid moment of its certificate.
    pub until: Millis,
    /// SHA-256 of its certificate.
    pub fingerprint: Digest,
    /// What its certificate is good for now.
    pub standing: DeviceStanding,
}

/// What a device certificate is good for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceStanding {
    /// Valid.
    Current,
    /// Valid, with the quarantine policy.
    Quarantine,
    /// Expired: it may only ask to come back.
    Expired,
    /// Revoked or on hold: it may only be told so.
    Revoked,
}

/// A certificate that TLS has verified, read once for a whole connection.
#[derive(Debug, Clone)]
pub struct Shown {
    name: DeviceId,
    facts: CertFacts,
    by: By,
}

/// Who signed a certificate.
#[derive(Debug, Clone)]
enum By {
    /// We, for a device.
    Us,
    /// A maker of devices.
    Factory(Factory),
    /// The operators' authority.
    Operators,
}

/// What is on the other end of a connection, before any request.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one a connection")]
pub enum End {
    /// No certificate.
    Anonymous,
    /// A certificate that cannot be read, that names nobody, or that none of ours signed.
    Stranger,
    /// A certificate that names a device or an operator.
    Shown(Shown),
}

impl End {
    /// Reads the certificate that TLS has verified.
    pub fn of(certificate: Option<&[u8]>, known: &Known) -> Self {
        let Some(der) = certificate else { return Self::Anonymous };
        let Ok(facts) = parse_certificate(der) else { return Self::Stranger };
        let Some(name) = facts.common_name.as_deref().and_then(|n| n.parse::<DeviceId>().ok()) else {
            return Self::Stranger;
        };
        match by(der, &facts, known) {
            Some(by) => Self::Shown(Shown { name, facts, by }),
            None => Self::Stranger,
        }
    }

    /// Who that is now. `revoked` looks a serial up.
    pub fn peer(&self, known: &Known, revoked: impl Fn(&str) -> bool, now: Millis) -> Peer {
        let Shown { name, facts, by } = match self {
            Self::Anonymous => return Peer::Anonymous,
            Self::Stranger => return Peer::Stranger,
            Self::Shown(shown) => shown,
        };
        let expired = facts.validity.expired(now);
        match by {
            // A factory certificate carries no date that matters (IEEE 802.1AR: 9999), but one that does
            // and has passed is not good.
            By::Factory(_) if expired => Peer::Stranger,
            By::Factory(maker) => Peer::Factory { name: name.clone(), key: facts.key.id, class: maker.class.clone() },
            By::Operators if !expired && known.operators.holds(name, facts.fingerprint) => {
                Peer::Operator { name: name.clone() }
            }
            By::Operators => Peer::Stranger,
            By::Us => {
                let standing = standing(facts, revoked, now);
                let (key, until, fingerprint) = (facts.key.id, facts.validity.until, facts.fingerprint);
                Peer::Device(DevicePeer { name: name.clone(), key, until, fingerprint, standing })
            }
        }
    }
}

/// Who signed a certificate under one of our anchors.
///
/// Decided by its signature wherever somebody else signs, too: names can be copied, by a maker's own
/// intermediate for one. Where only we sign, TLS has checked the signature, and the name says which of us.
fn by(der: &[u8], facts: &CertFacts, known: &Known) -> Option<By> {
    if let Some(maker) = known.factories.iter().find(|maker| signed_by(der, &maker.certificate)) {
        return Some(By::Factory(maker.clone()));
    }
    if known.operators.authority().is_some_and(|authority| authority.signed(der, facts)) {
        return Some(By::Operators);
    }
    let ours = match known.factories.is_empty() {
        true => known.issuers.iter().any(|issuer| issuer.subject == facts.issuer),
        false => known.issuers.iter().any(|issuer| issuer.signed(der, facts)),
    };
    ours.then_some(By::Us)
}

/// Says who holds `certificate`, whose possession TLS has proved, under an anchor that is one of those
/// `known`. `revoked` looks a serial up.
pub fn identify(certificate: Option<&[u8]>, known: &Known, revoked: impl Fn(&str) -> bool, now: Millis) -> Peer {
    End::of(certificate, known).peer(known, revoked, now)
}

fn standing(facts: &CertFacts, revoked: impl Fn(&str) -> bool, now: Millis) -> DeviceStanding {
    match () {
        () if revoked(&facts.serial.to_string()) => DeviceStanding::Revoked,
        () if facts.validity.expired(now) => DeviceStanding::Expired,
        () if facts.policies.iter().any(|p| p == POLICY_QUARANTINE) => DeviceStanding::Quarantine,
        () => DeviceStanding::Current,
    }
}

/// Whether the key of `authority` signed `certificate`.
fn signed_by(certificate: &[u8], authority: &[u8]) -> bool {
    let (Ok((_, cert)), Ok((_, above))) =
        (X509Certificate::from_der(certificate), X509Certificate::from_der(authority))
    else {
        return false;
    };
    cert.issuer() == above.subject() && cert.verify_signature(Some(above.public_key())).is_ok()
}
