//! TUF's list of attacks on bundles, and every one refused.

use crate::common::START;
use cert_manager::Digest;
use cert_manager::bundle::{
    ApiRange, BundleError, CHUNK_BYTES, CONTENT_BYTES_MAX, Kind, Manifest, Skew, accept, parse_manifest,
};
use cert_manager::ca::{self, Config, Init};
use cert_manager::envelope::{ENVELOPE_BYTES_MAX, EnvelopeError};
use cert_manager::http::Request;
use cert_manager::risk::FixedRisk;
use cert_manager::sign::{Role, SigningKey};
use cert_manager::time::{Millis, Span};
use cert_manager::trust::{RoleKeys, RootDocument, Trust};
use proptest::prelude::*;

struct Owner {
    bundle: [SigningKey; 2],
    other: SigningKey,
    trust: Trust,
}

impl Owner {
    fn new() -> Self {
        let key = || SigningKey::generate().unwrap();
        let (root, bundle, other) = (key(), [key(), key()], key());
        let roles = [
            (Role::Root, RoleKeys { threshold: 1, keys: vec![root.public()] }),
            (Role::Bundle, RoleKeys { threshold: 2, keys: bundle.iter().map(SigningKey::public).collect() }),
            (Role::Time, RoleKeys { threshold: 1, keys: vec![other.public()] }),
        ];
        let expires_ms = START + Span::days(365);
        let document = RootDocument { v: 1, version: 1, expires_ms, roles: roles.into(), anchors: vec![] };
        let trust = Trust::start(&document.sign(&[&root])).unwrap();
        Self { bundle, other, trust }
    }

    fn both(&self) -> [&SigningKey; 2] {
        [&self.bundle[0], &self.bundle[1]]
    }

    /// What a device that holds number 5 makes of a changed manifest.
    fn offer(&self, change: impl FnOnce(&mut Manifest), now: Millis) -> Result<Manifest, BundleError> {
        let mut manifest = manifest();
        change(&mut manifest);
        accept(&manifest.sign(&self.both()), Kind::Model, 5, &self.trust, now)
    }
}

fn manifest() -> Manifest {
    Manifest {
        v: 1,
        kind: Kind::Model,
        version: 6,
        expires_ms: START + Span::days(30),
        size: 5,
        digest: Digest::of(b"model"),
        api: ApiRange { from: 1, until: 1 },
    }
}

#[test]
fn a_good_bundle_is_taken() {
    let owner = Owner::new();
    let taken = owner.offer(|_| {}, START).unwrap();
    assert!(taken.names(b"model"));
}

#[test]
fn arbitrary_software_is_refused() {
    let owner = Owner::new();
    let short = |found| Err(BundleError::Envelope(EnvelopeError::Threshold { found, threshold: 2 }));
    let signed_by = |keys: &[&SigningKey]| accept(&manifest().sign(keys), Kind::Model, 5, &owner.trust, START);
    assert_eq!(signed_by(&[]), short(0));
    assert_eq!(signed_by(&[&owner.other, &SigningKey::generate().unwrap()]), short(0), "keys of other roles");
    assert_eq!(signed_by(&[&owner.bundle[0]]), short(1), "one stolen key");
    assert_eq!(signed_by(&[&owner.bundle[0], &owner.bundle[0]]), short(1));
    // Content that was swapped, cut or grown after signing.
    for content in [&b"modem"[..], b"mode", b"model2", b""] {
        assert!(!manifest().names(content));
    }
}

#[test]
fn rollback_replay_freeze_and_stale_trust_are_refused() {
    let owner = Owner::new();
    for version in [0, 4, 5] {
        let refused = owner.offer(|m| m.version = version, START);
        assert_eq!(refused, Err(BundleError::Rollback { found: version, held: 5 }));
    }
    assert_eq!(owner.offer(|_| {}, START + Span::days(31)), Err(BundleError::Expired));
    let forever = |m: &mut Manifest| m.expires_ms = Millis(u64::MAX);
    assert_eq!(owner.offer(forever, START + Span::days(366)), Err(BundleError::StaleTrust));
}

#[test]
fn mix_and_match_is_refused() {
    let owner = Owner::new();
    let refused = owner.offer(|m| m.kind = Kind::Policy, START);
    assert_eq!(refused, Err(BundleError::Kind { found: Kind::Policy, wanted: Kind::Model }));
}

#[test]
fn endless_data_is_refused_before_it_is_read() {
    let owner = Owner::new();
    let huge = vec![b' '; ENVELOPE_BYTES_MAX + 1];
    let refused = accept(&huge, Kind::Model, 5, &owner.trust, START);
    assert_eq!(refused, Err(BundleError::Envelope(EnvelopeError::TooLarge { found: huge.len() })));
    let refused = owner.offer(|m| m.size = CONTENT_BYTES_MAX + 1, START);
    assert_eq!(refused, Err(BundleError::TooLarge(CONTENT_BYTES_MAX + 1)));
}

#[test]
fn an_unsupported_pair_is_told_which_side_is_too_old() {
    let owner = Owner::new();
    println!("| device API | bundle API | the device |\n|---|---|---|");
    for (from, until, skew) in
        [(1, 1, Skew::None), (1, 9, Skew::None), (2, 9, Skew::DeviceTooOld), (0, 0, Skew::BundleTooOld)]
    {
        let offered = owner.offer(|m| m.api = ApiRange { from, until }, START);
        println!("| 1 | {from} to {until} | {skew:?} |");
        match skew {
            Skew::None => assert!(offered.is_ok()),
            skew => assert_eq!(offered, Err(BundleError::Unsupported(skew))),
        }
    }
    let backwards = owner.offer(|m| m.api = ApiRange { from: 2, until: 1 }, START);
    assert_eq!(backwards, Err(BundleError::Malformed));
}

#[test]
fn a_fleet_goes_back_to_an_older_model_by_a_higher_number() {
    let (folder, file) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let trust = ca::init(folder.path(), &Init::default()).unwrap();
    let (life, api) = (Span::days(30), ApiRange { from: 1, until: 1 });
    let publish = |content: &[u8]| {
        std::fs::write(file.path(), content).unwrap();
        ca::bundle_publish(folder.path(), Kind::Model, file.path(), life, api).unwrap().version
    };
    let old = vec![7; CHUNK_BYTES as usize + 10];
    assert_eq!((publish(&old), publish(b"bad")), (1, 2));
    assert_eq!(ca::bundle_rollback(folder.path(), Kind::Model, 1, life).unwrap().version, 3);
    let opened = ca::open(folder.path(), &Config::default(), Box::new(FixedRisk::default())).unwrap();
    let member = crate::common::member("dev-9");
    let get = |path: &str| opened.desk.answer(&member, &Request::get(path), START);
    // A device that runs 2 takes 3, in pieces, and a download that broke off goes on.
    let manifest = accept(&get("/v1/bundles/model").body, Kind::Model, 2, &trust, START).unwrap();
    let mut content = Vec::new();
    while (content.len() as u64) < manifest.size {
        content.extend(get(&format!("/v1/bundles/model/3/{}", content.len())).body);
    }
    assert!(manifest.names(&content) && content == old);
    assert_eq!(get("/v1/bundles/policy").status, 404);
    assert_eq!(get("/v1/bundles/model/3/99999999").body, b"");
    // What was changed on the shelf is not published again.
    std::fs::write(folder.path().join("bundles/model/1.bin"), b"evil").unwrap();
    assert!(ca::bundle_rollback(folder.path(), Kind::Model, 1, life).is_err());
    assert!(ca::bundle_rollback(folder.path(), Kind::Model, 9, life).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_manifest(&bytes);
    }
}
