//! Every parser of outside bytes, fed what a fuzzer would try first: real input with bits flipped, bytes cut,
//! doubled, swapped and spliced, from a seed. None panics, none takes much, and each still reads the real thing.
//! The long runs are the targets in `fuzz/`.

use crate::common::{Device, START, authority, desk, office};
use cert_manager::bundle::{ApiRange, Kind, Manifest};
use cert_manager::device::RequestId;
use cert_manager::est::wire::certs_only;
use cert_manager::floor::{Nonce, TimeAnswer};
use cert_manager::holds::Holds;
use cert_manager::ledger::Ledger;
use cert_manager::sign::SigningKey;
use cert_manager::time::Span;
use cert_manager::{Digest, bundle, envelope, est, facts, fleet, pem, receipt, revocation, trust};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A parser and something real it must read.
struct Target {
    name: &'static str,
    seed: Vec<u8>,
    parse: fn(&[u8]) -> bool,
}

fn targets() -> Vec<Target> {
    let (office, ledger) = (office(), Ledger::in_memory().unwrap());
    let device = Device::enrol("dev-9", &ledger, &office, START);
    let authority = authority();
    let key = rcgen::KeyPair::generate().unwrap();
    let csr = rcgen::CertificateParams::new(vec!["dev-9".to_owned()]).unwrap().serialize_request(&key).unwrap();
    let signer = SigningKey::generate().unwrap();
    let content = b"content";
    let manifest = Manifest {
        v: 1,
        kind: Kind::Model,
        version: 1,
        expires_ms: START + Span::days(1),
        size: content.len() as u64,
        digest: Digest::of(content),
        api: ApiRange { from: 1, until: 2 },
    };
    let root = desk().1.bytes().to_vec();
    let time = TimeAnswer { nonce: Nonce([7; 16]), time_ms: START, trust_version: 1 }.sign(&signer);
    ledger.revoke(&device.name, "lost", START).unwrap();
    let status = revocation::status_list(&ledger.revocations().unwrap(), &signer, START);
    let chain = [authority.certificate(), office.authority.certificate()];
    let target = |name, seed: &[u8], parse| Target { name, seed: seed.to_vec(), parse };
    vec![
        target("certificate", authority.certificate(), |b| facts::parse_certificate(b).is_ok()),
        target("cms", &certs_only(chain).unwrap(), |b| est::wire::parse_certs_only(b).is_ok()),
        target("csr", csr.der(), |b| est::csr::parse_csr(b).is_ok()),
        target("est body", &est::wire::encode_body(csr.der()), |b| est::wire::decode_body(b).is_ok()),
        target("receipt", device.receipt.unwrap().bytes(), |b| receipt::parse_receipt(b).is_ok()),
        target("root document", &root, |b| trust::Trust::start(b).is_ok()),
        target("envelope", &time, |b| envelope::parse_envelope(b).is_ok()),
        target("manifest", &serde_json::to_vec(&manifest).unwrap(), |b| bundle::parse_manifest(b).is_ok()),
        target("status list", &status, |b| revocation::parse_status_list(b).is_ok()),
        target("pem", pem::encode("CERTIFICATE", authority.certificate()).as_bytes(), |b| pem::certificates(b).is_ok()),
        target("http head", b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n", |b| est::client::parse_head(b).is_some()),
        target("holds", b"api=1 root=2 model=17 policy=0 trust=3", |b| {
            std::str::from_utf8(b).is_ok_and(|text| text.parse::<Holds>().is_ok())
        }),
        target("fleet query", b"after=dev-9&limit=100", |b| {
            std::str::from_utf8(b).is_ok_and(|text| fleet::parse_query(text).is_ok())
        }),
        target("request id", RequestId([7; 16]).to_string().as_bytes(), |b| {
            std::str::from_utf8(b).is_ok_and(|text| text.parse::<RequestId>().is_ok())
        }),
    ]
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    for _ in 0..rng.random_range(1..4) {
        if bytes.is_empty() {
            bytes.push(rng.random());
        }
        let at = rng.random_range(0..bytes.len());
        let end = rng.random_range(at..=bytes.len().min(at + 64));
        match rng.random_range(0..8) {
            0 => bytes[at] ^= 1 << rng.random_range(0..8),
            1 => bytes[at] = [0, 0x7f, 0x80, 0xff, b'"', b'{', 0x30, 0x84][rng.random_range(0..8)],
            2 => bytes.truncate(at),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            5 => bytes.insert(at, rng.random()),
            6 => {
                let from = rng.random_range(0..other.len());
                let piece = other[from..other.len().min(from + 64)].to_vec();
                bytes.splice(at..end, piece);
            }
            // A length field that promises more than there is.
            _ => bytes[at..end].iter_mut().for_each(|b| *b = 0xff),
        }
    }
}

#[test]
fn no_mutation_of_real_input_makes_a_parser_panic() {
    let targets = targets();
    for (number, target) in targets.iter().enumerate() {
        assert!((target.parse)(&target.seed), "{} no longer reads what is real", target.name);
        let other = &targets[(number + 1) % targets.len()].seed;
        let (mut rng, mut read) = (ChaCha8Rng::seed_from_u64(number as u64), 0);
        for round in 0..ROUNDS {
            let mut bytes = target.seed.clone();
            mutate(&mut bytes, other, &mut rng);
            let parsed = std::panic::catch_unwind(|| (target.parse)(&bytes));
            read += u32::from(parsed.unwrap_or_else(|_| panic!("{}: panic in round {round}", target.name)));
        }
        println!("{:<14} {ROUNDS} mutations, {read} still readable", target.name);
    }
}

const ROUNDS: u32 = 10_000;

#[test]
fn what_is_far_too_large_is_refused() {
    for target in targets() {
        for byte in [0, b'[', 0x30, 0xff] {
            let bytes = vec![byte; 8 * 1024 * 1024];
            assert!(!(target.parse)(&bytes), "{}", target.name);
        }
    }
}
