//! A device walks every root document since it was last online, and no attacker can bend the walk.

use crate::common::{START, authority};
use cert_manager::envelope::{ENVELOPE_BYTES_MAX, EnvelopeError};
use cert_manager::sign::{Role, SigningKey};
use cert_manager::time::Span;
use cert_manager::trust::{Anchor, RoleKeys, RootDocument, STEPS_MAX, Trust, TrustError};

/// Root keys of one generation: three, of which two must sign.
struct Generation(Vec<SigningKey>);

impl Generation {
    fn new() -> Self {
        Self((0..3).map(|_| SigningKey::generate().unwrap()).collect())
    }

    fn document(&self, version: u32) -> RootDocument {
        let keys = self.0.iter().map(SigningKey::public).collect();
        let root = RoleKeys { threshold: 2, keys };
        RootDocument {
            v: 1,
            version,
            expires_ms: START + Span::days(365),
            roles: [(Role::Root, root)].into(),
            anchors: vec![],
        }
    }

    fn two(&self) -> [&SigningKey; 2] {
        [&self.0[0], &self.0[1]]
    }
}

/// Documents 1..=n, all keys changed at every step.
fn chain(n: u32) -> (Vec<Generation>, Vec<Vec<u8>>) {
    let generations: Vec<_> = (0..n).map(|_| Generation::new()).collect();
    let mut documents = vec![generations[0].document(1).sign(&generations[0].two())];
    for (version, pair) in (2..).zip(generations.windows(2)) {
        let signers = [pair[0].two(), pair[1].two()].concat();
        documents.push(pair[1].document(version).sign(&signers));
    }
    (generations, documents)
}

fn walk(documents: &[Vec<u8>]) -> (Trust, Result<(), TrustError>) {
    let start = Trust::start(&documents[0]).unwrap();
    start.walk(documents[1..].iter().map(Vec::as_slice))
}

#[test]
fn a_device_two_generations_behind_comes_back_with_no_hand() {
    let (_, documents) = chain(3);
    let (trust, end) = walk(&documents);
    assert_eq!((trust.version(), end), (3, Ok(())));
}

#[test]
fn a_skipped_step_a_rollback_and_too_few_signatures_are_refused() {
    let (generations, documents) = chain(4);
    let at = |n: usize| Trust::start(&documents[n - 1]).unwrap();
    // Skipped: document 3 offered to a device at 1, whose keys never signed it.
    assert_eq!(
        at(1).step(&documents[2]),
        Err(TrustError::Envelope(EnvelopeError::Threshold { found: 0, threshold: 2 }))
    );
    // Skipped with the old keys' help: the number gives it away.
    let signers = [generations[0].two(), generations[2].two()].concat();
    let skipping = generations[2].document(3).sign(&signers);
    assert_eq!(at(1).step(&skipping), Err(TrustError::Version { found: 3, expected: 2 }));
    // Rollback: the same keys sign an older and the same number again.
    for version in [1, 2] {
        let back = generations[1].document(version).sign(&generations[1].two());
        assert_eq!(at(2).step(&back), Err(TrustError::Version { found: version, expected: 3 }));
    }
    // One signature less, on either side.
    let one = |old: &[&SigningKey], new: &[&SigningKey]| generations[1].document(2).sign(&[old, new].concat());
    let (old, new) = (generations[0].two(), generations[1].two());
    let short = TrustError::Envelope(EnvelopeError::Threshold { found: 1, threshold: 2 });
    assert_eq!(at(1).step(&one(&old[..1], &new)), Err(short.clone()));
    assert_eq!(at(1).step(&one(&old, &new[..1])), Err(short.clone()));
    assert_eq!(at(1).step(&one(&[old[0], old[0]], &new)), Err(short), "one key twice is one");
}

#[test]
fn an_endless_an_oversize_and_a_forked_chain_are_refused_and_the_good_part_is_kept() {
    let generation = Generation::new();
    let document = |version| generation.document(version).sign(&generation.two());
    let endless: Vec<_> = (1..=STEPS_MAX as u32 + 2).map(document).collect();
    let (trust, end) = walk(&endless);
    assert_eq!((trust.version(), end), (STEPS_MAX as u32 + 1, Err(TrustError::Endless)));

    let mut oversize = document(2);
    oversize.resize(ENVELOPE_BYTES_MAX + 1, b' ');
    let found = oversize.len();
    let (trust, end) = walk(&[document(1), oversize]);
    assert_eq!((trust.version(), end), (1, Err(TrustError::Envelope(EnvelopeError::TooLarge { found }))));

    // Fork: keys of generation 1 sign a second document 2; a device already at 2 stays with the first.
    let (generations, documents) = chain(3);
    let other = Generation::new();
    let forked = other.document(2).sign(&[generations[0].two(), other.two()].concat());
    let third = other.document(3).sign(&other.two());
    let (trust, end) = walk(&[documents[0].clone(), documents[1].clone(), third]);
    assert_eq!(trust.version(), 2);
    assert_eq!(end, Err(TrustError::Envelope(EnvelopeError::Threshold { found: 0, threshold: 2 })));
    let (trust, end) = walk(&[documents[0].clone(), documents[1].clone(), forked]);
    assert_eq!(trust.version(), 2);
    assert!(end.is_err());
}

#[test]
fn a_document_that_would_lock_everyone_out_or_trust_anyone_is_refused() {
    let generation = Generation::new();
    let refused = |change: &dyn Fn(&mut RootDocument)| {
        let mut document = generation.document(1);
        change(&mut document);
        let refused = Trust::start(&document.sign(&generation.two()));
        assert!(matches!(refused, Err(TrustError::Malformed { .. })), "{refused:?}");
    };
    refused(&|d| d.v = 2);
    refused(&|d| d.roles.clear());
    refused(&|d| d.roles.get_mut(&Role::Root).unwrap().threshold = 0);
    refused(&|d| d.roles.get_mut(&Role::Root).unwrap().threshold = 4);
    refused(&|d| {
        let keys = &mut d.roles.get_mut(&Role::Root).unwrap().keys;
        keys[1] = keys[0];
    });
    let leaf = rcgen::generate_simple_self_signed(vec!["x".to_owned()]).unwrap().cert.der().to_vec();
    let validity = authority().facts().validity;
    refused(&|d| d.anchors = vec![Anchor::new(&leaf, validity)]);
    refused(&|d| d.anchors = vec![Anchor::new(b"?", validity)]);
}

#[test]
fn an_anchor_is_believed_within_its_dates_only() {
    let generation = Generation::new();
    let authority = authority();
    let mut document = generation.document(1);
    document.anchors = vec![Anchor::new(authority.certificate(), authority.facts().validity)];
    let trust = Trust::start(&document.sign(&generation.two())).unwrap();
    let until = authority.facts().validity.until;
    assert_eq!(trust.anchors(until), [authority.certificate().to_vec()]);
    assert_eq!(trust.anchors(until + Span(1)), Vec::<Vec<u8>>::new());
    assert!(!trust.stale(START) && trust.stale(START + Span::days(366)));
}
