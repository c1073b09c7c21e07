use proptest::prelude::*;
use rcgen::{CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};

use super::*;

/// certificatePolicies with one policy, 1.3.6.1.4.1.99999.1.
const POLICY: &[u8] = &[0x30, 0x0d, 0x30, 0x0b, 0x06, 0x09, 0x2b, 0x06, 0x01, 0x04, 0x01, 0x86, 0x8d, 0x1f, 0x01];

fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["dev-9.example".to_owned()]).unwrap();
    params.distinguished_name.remove(DnType::CommonName);
    params.distinguished_name.push(DnType::CommonName, "dev-9");
    params.not_before = rcgen::date_time_ymd(2026, 1, 1);
    params.not_after = rcgen::date_time_ymd(2026, 4, 1);
    change(&mut params);
    params.self_signed(&key).unwrap().der().to_vec()
}

#[test]
fn every_fact_of_a_device_certificate_is_read() {
    let der = certificate(|params| {
        params.serial_number = Some(vec![0x12, 0x34].into());
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        params.subject_alt_names.push(SanType::URI("urn:dev:9".try_into().unwrap()));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let policy = CustomExtension::from_oid_content(&[2, 5, 29, 32], POLICY.to_vec());
        params.custom_extensions.push(policy);
    });
    let facts = parse_certificate(&der).unwrap();
    assert_eq!(facts.common_name.as_deref(), Some("dev-9"));
    assert_eq!(facts.serial.to_string(), "1234");
    assert_eq!(facts.validity.life(), crate::time::Span::days(90));
    assert_eq!(facts.key.algorithm, KeyAlgorithm::EcP256);
    assert_eq!(facts.extended_key_usages, [CLIENT_AUTH]);
    assert_eq!(facts.policies, ["1.3.6.1.4.1.99999.1"]);
    assert_eq!(facts.fingerprint, Digest::of(&der));
    assert!(!facts.is_ca);
    assert_eq!(
        facts.names,
        [Name::Dns("dev-9.example".into()), Name::Ip([127, 0, 0, 1].into()), Name::Uri("urn:dev:9".into())]
    );
}

#[test]
fn a_key_has_the_same_id_in_every_certificate_for_it() {
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let one = CertificateParams::new(vec!["a".to_owned()]).unwrap().self_signed(&key).unwrap();
    let two = CertificateParams::new(vec!["b".to_owned()]).unwrap().self_signed(&key).unwrap();
    let (one, two) = (parse_certificate(one.der()).unwrap(), parse_certificate(two.der()).unwrap());
    assert_eq!(one.key, two.key);
    assert_eq!(one.key.algorithm, KeyAlgorithm::Ed25519);
    assert_ne!(one.fingerprint, two.fingerprint);
}

#[test]
fn bad_bytes_get_the_error_that_says_what_is_wrong() {
    let good = certificate(|_| {});
    let mut trailing = good.clone();
    trailing.push(0);
    assert_eq!(parse_certificate(&trailing), Err(FactsError::TrailingBytes { count: 1 }));
    let huge = vec![0x30; CERT_BYTES_MAX + 1];
    assert_eq!(parse_certificate(&huge), Err(FactsError::TooLarge { found: CERT_BYTES_MAX + 1 }));
    assert!(matches!(parse_certificate(b""), Err(FactsError::Malformed { .. })));
    assert!(matches!(parse_certificate(&good[..good.len() / 2]), Err(FactsError::Malformed { .. })));
    let many = certificate(|params| {
        params.subject_alt_names = (0..65).map(|i| SanType::DnsName(format!("d{i}").try_into().unwrap())).collect();
    });
    assert_eq!(parse_certificate(&many), Err(FactsError::TooMany { what: "names", found: 65, max: NAMES_MAX }));
    let backwards = certificate(|params| params.not_after = rcgen::date_time_ymd(2025, 1, 1));
    assert_eq!(parse_certificate(&backwards), Err(FactsError::Backwards));
}

#[test]
fn a_serial_is_one_to_twenty_bytes() {
    assert_eq!(Serial::new(&[0, 7]).unwrap().bytes(), [7]);
    assert_eq!(Serial::new(&[0]), Err(FactsError::Serial { found: 1 }));
    assert_eq!(Serial::new(&[1; 21]), Err(FactsError::Serial { found: 21 }));
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse_certificate(&bytes);
    }

    #[test]
    fn no_flipped_byte_makes_the_parser_panic(at in 0usize..400, to in any::<u8>()) {
        let mut der = certificate(|_| {});
        let at = at % der.len();
        der[at] = to;
        let _ = parse_certificate(&der);
    }
}
