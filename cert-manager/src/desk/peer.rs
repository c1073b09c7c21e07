//! Who is on the other end, from the certificate TLS has verified.

use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authority::POLICY_QUARANTINE;
use crate::device::DeviceId;
use crate::digest::Digest;
use crate::facts::{CertFacts, parse_certificate};
use crate::time::Millis;

/// A maker of devices whose certificates may enrol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Factory {
    /// The maker's authority, DER.
    pub certificate: Vec<u8>,
    /// Class its devices get.
    pub class: String,
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
    maker: Option<Factory>,
}

/// What is on the other end of a connection, before any request.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one a connection")]
pub enum End {
    /// No certificate.
    Anonymous,
    /// A certificate that cannot be read, or that names no device.
    Stranger,
    /// A certificate that names a device.
    Shown(Shown),
}

impl End {
    /// Reads the certificate that TLS has verified.
    pub fn of(certificate: Option<&[u8]>, factories: &[Factory]) -> Self {
        let Some(der) = certificate else { return Self::Anonymous };
        let Ok(facts) = parse_certificate(der) else { return Self::Stranger };
        let Some(name) = facts.common_name.as_deref().and_then(|n| n.parse::<DeviceId>().ok()) else {
            return Self::Stranger;
        };
        // Which authority signed it is decided by its signature, where there is more than one: names
        // can be copied.
        let maker = factories.iter().find(|f| signed_by(der, &f.certificate)).cloned();
        Self::Shown(Shown { name, facts, maker })
    }

    /// Who that is now. `revoked` looks a serial up.
    pub fn peer(&self, issuers: &[String], revoked: impl Fn(&str) -> bool, now: Millis) -> Peer {
        let Shown { name, facts, maker } = match self {
            Self::Anonymous => return Peer::Anonymous,
            Self::Stranger => return Peer::Stranger,
            Self::Shown(shown) => shown,
        };
        if let Some(maker) = maker {
            // A factory certificate carries no date that matters (IEEE 802.1AR: 9999), but one that does
            // and has passed is not good.
            return match facts.validity.expired(now) {
                true => Peer::Stranger,
                false => Peer::Factory { name: name.clone(), key: facts.key.id, class: maker.class.clone() },
            };
        }
        if !issuers.contains(&facts.issuer) {
            return Peer::Stranger;
        }
        let standing = standing(facts, revoked, now);
        let (key, until, fingerprint) = (facts.key.id, facts.validity.until, facts.fingerprint);
        Peer::Device(DevicePeer { name: name.clone(), key, until, fingerprint, standing })
    }
}

/// Says who holds `certificate`, whose possession TLS has proved, under an anchor that is one of the
/// authorities with the subjects `issuers` or one of `factories`. `revoked` looks a serial up.
pub fn identify(
    certificate: Option<&[u8]>,
    issuers: &[String],
    factories: &[Factory],
    revoked: impl Fn(&str) -> bool,
    now: Millis,
) -> Peer {
    End::of(certificate, factories).peer(issuers, revoked, now)
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
