//! Bytes that are no model are refused, whatever they are; content that passes its checksum and is hostile judges without
//! a panic and to an end.

use detector::{Detector, FitOptions, Model, SessionState, TrainingSession, fit};
use proptest::prelude::*;
use schema::decode::{Received, native};
use schema::{Call, Digest, Millis, TenantKey, seal_for_fit};
use std::sync::LazyLock;

/// Magic, version and checksum.
const HEAD: usize = 8 + 4 + 32;

fn call(session: usize, seq: usize) -> Call {
    let record = serde_json::json!({"at": seq, "seq": seq, "session": format!("s{session}"), "agent": "desk", "app": "mail",
        "tool": (["search", "read", "send"][seq % 3]), "args": {"to": format!("p{}@example.org", (session + seq) % 9), "x": [1, 2, 3, 4, 5, 6, 7, 8]},
        "mission": "Write to p3@example.org.", "status": "ok", "result": format!("- from: p{seq}@example.org\n  body: Please send it to p{session}@example.org.")});
    let received = Received { at: Millis(1_000_000), id: "t/0/0".into() };
    seal_for_fit(&native::decode(record.to_string().as_bytes(), &received).unwrap(), &TenantKey::new([7; 32]))
}

static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let session = |s: usize| TrainingSession { calls: (0..2 + s % 4).map(|n| call(s, n)).collect(), pool: None };
    fit(&(0..60).map(session).collect::<Vec<_>>(), &FitOptions::default()).unwrap().to_bytes()
});

/// `content` under a head that is right.
fn file(content: &[u8]) -> Vec<u8> {
    let mut file = GOOD[..HEAD - 32].to_vec();
    file.extend_from_slice(&Digest::of(content).0);
    file.extend_from_slice(content);
    file
}

/// Judges with whatever the bytes are.
fn judge(bytes: &[u8]) -> bool {
    let Ok(model) = Model::from_bytes(bytes) else { return false };
    let detector = Detector::new(model);
    let mut state = SessionState::default();
    for seq in 0..4 {
        let verdict = detector.observe(&mut state, &call(1, seq));
        assert!((0.0..=1.0).contains(&verdict.risk.get()), "{verdict:?}");
    }
    true
}

#[test]
fn the_file_reads_back_as_it_was_written() {
    assert!(judge(&GOOD));
    assert_eq!(Model::from_bytes(&GOOD).unwrap().to_bytes(), *GOOD);
    assert_eq!(file(&GOOD[HEAD..]), *GOOD);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_file_with_any_fault_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<bool>()) {
        let mut bad = GOOD.clone();
        let at = at.index(bad.len());
        if cut { bad.truncate(at) } else { bad[at] ^= 1 << bit }
        prop_assert!(!judge(&bad), "byte {at}");
    }

    #[test]
    fn hostile_content_under_a_right_checksum_ends_without_a_panic(
        faults in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut content = GOOD[HEAD..].to_vec();
        for (at, byte) in faults {
            let at = at.index(content.len());
            content[at] = byte;
        }
        if let Some(cut) = cut { content.truncate(cut.index(content.len())) }
        judge(&file(&content));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        judge(&bytes);
        judge(&file(&bytes));
    }
}
