//! What a device's certificate says of how it stands with `vedette ca`.

use ::policy::CertificateClass;
use ::policy::server::Shown;
use cert_manager::authority::{POLICY_AMBER, POLICY_DEGRADED, POLICY_QUARANTINE};
use schema::Millis;

/// On what terms a certificate (DER) was issued, and when; none where it cannot be read.
pub fn shown(der: &[u8]) -> Option<Shown> {
    let facts = cert_manager::facts::parse_certificate(der).ok()?;
    let has = |policy: &str| facts.policies.iter().any(|oid| oid == policy);
    let class = match () {
        () if has(POLICY_QUARANTINE) => CertificateClass::Quarantine,
        () if has(POLICY_AMBER) => CertificateClass::Amber,
        () if has(POLICY_DEGRADED) => CertificateClass::Degraded,
        () => CertificateClass::Full,
    };
    Some(Shown { class, issued: Millis(facts.validity.from.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cert_manager::authority::{Authority, self_signed_authority};
    use cert_manager::facts::Serial;
    use cert_manager::ledger::Grant;
    use cert_manager::time::{Span, Validity};
    use rcgen::{KeyPair, PublicKeyData as _};

    #[test]
    fn the_terms_that_the_authority_writes_are_the_terms_that_are_read() {
        let now = cert_manager::time::Millis(1_795_343_040_000);
        let validity = Validity { from: now - Span::days(1), until: now + Span::days(9) };
        let (key, device) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let own = self_signed_authority("devices", &key, validity).unwrap();
        let authority = Authority::new(own, key, None).unwrap();
        for (grant, class) in [
            (Grant::Full, CertificateClass::Full),
            (Grant::Degraded, CertificateClass::Degraded),
            (Grant::Amber, CertificateClass::Amber),
            (Grant::Quarantine, CertificateClass::Quarantine),
        ] {
            let (id, spki) = ("dev-9".parse().unwrap(), device.subject_public_key_info());
            let der = authority.issue((&id, "default"), &spki, grant, &Serial::new(&[7]).unwrap(), validity).unwrap();
            assert_eq!(shown(&der), Some(Shown { class, issued: Millis(validity.from.0) }));
        }
        assert_eq!(shown(b"no certificate"), None);
    }
}
