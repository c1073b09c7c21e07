//! What a store of checkpoints promises, in memory and on disk, and what it does when the disk lies.

use ingest::Partition;
use ingest::checkpoint::{Bucket, Checkpoint, CheckpointError, CheckpointStore, Entries};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

fn calls() -> Partition {
    Partition::new("agent.calls", 3)
}

fn on_disk(folder: &Path) -> Bucket {
    Bucket::open(folder.to_str().unwrap()).unwrap()
}

/// A state of two entries: the offset, and the tens of it (so that checkpoints share some of it).
fn state(offset: i64) -> Entries {
    let mut entries = Entries::default();
    entries.push(b"offset", Some(offset.to_string().as_bytes()));
    entries.push(b"tens", Some((offset / 10).to_string().as_bytes()));
    entries
}

fn whole(offset: i64) -> Checkpoint {
    Checkpoint { offset, since: None, model: None, entries: state(offset) }
}

/// What is new at `offset` since the checkpoint at `since`.
fn added(offset: i64, since: i64) -> Checkpoint {
    let mut entries = Entries::default();
    entries.push(b"offset", Some(offset.to_string().as_bytes()));
    if offset / 10 != since / 10 {
        entries.push(b"tens", Some((offset / 10).to_string().as_bytes()));
    }
    Checkpoint { offset, since: Some(since), model: None, entries }
}

#[track_caller]
fn expect(store: &Bucket, offset_max: i64, expected: Option<i64>) {
    let found = store.newest(&calls(), offset_max).unwrap();
    assert_eq!(found.as_ref().map(|stored| stored.offset), expected);
    if let Some(stored) = found {
        assert_eq!(Entries::folded(&stored.segments), state(stored.offset), "state at {}", stored.offset);
    }
}

/// Saves checkpoints in this order, in both stores; expects the newest at or before `offset_max`.
#[track_caller]
fn check(saved: &[Checkpoint], offset_max: i64, expected: Option<i64>) {
    let folder = TempDir::new().unwrap();
    for store in [Bucket::open("memory:").unwrap(), on_disk(folder.path())] {
        saved.iter().for_each(|checkpoint| store.save(&calls(), checkpoint).unwrap());
        expect(&store, offset_max, expected);
        assert_eq!(store.newest(&Partition::new("agent.calls", 4), offset_max).unwrap(), None);
    }
}

#[test]
fn the_newest_one_not_past_the_committed_offset_is_found() {
    check(&[], 100, None);
    check(&[whole(10)], 9, None);
    check(&[whole(10)], 10, Some(10));
    check(&[whole(10), added(20, 10)], 19, Some(10));
    check(&[whole(10), added(20, 10)], 100, Some(20));
    check(&[whole(10), added(12, 10), added(13, 12), added(29, 13)], 28, Some(13));
}

#[test]
fn old_ones_are_forgotten_and_so_are_those_of_a_log_read_anew() {
    check(&[whole(10), added(20, 10), added(30, 20)], 15, None);
    check(&[whole(10), whole(20), added(30, 20)], 30, Some(30));
    check(&[whole(10), added(20, 10), whole(5)], 100, Some(5));
    check(&[whole(10), whole(20), whole(20)], 100, Some(20));
}

#[test]
fn a_hundred_additions_stay_few_files_and_each_is_whole() {
    let folder = TempDir::new().unwrap();
    let store = on_disk(folder.path());
    store.save(&calls(), &whole(0)).unwrap();
    for offset in 1..=100 {
        store.save(&calls(), &added(offset, offset - 1)).unwrap();
        expect(&store, i64::MAX, Some(offset));
        let files = fs::read_dir(folder.path().join("agent.calls/3")).unwrap().count();
        assert!(files <= 2 + 2 * 13, "{files} files at {offset}");
    }
}

/// `count` keys from `from` on, each with 3 KB of what `round` says; every seventh is gone.
fn large(from: u32, count: u32, round: u8) -> Entries {
    let mut entries = Entries::default();
    for n in (from..from + count).rev() {
        let value = [round; 3_000];
        entries.push(&n.to_be_bytes(), (n % 7 != 3).then_some(&value[..]));
    }
    entries
}

#[test]
fn segments_of_many_pieces_are_joined_and_what_is_gone_stays_gone() {
    let folder = TempDir::new().unwrap();
    for store in [Bucket::open("memory:").unwrap(), on_disk(folder.path())] {
        let mut history: Vec<Entries> = Vec::new();
        for (round, (from, count)) in (0u8..).zip([(0, 5_000), (2_000, 2_500), (1_500, 2_500), (4_000, 4_000)]) {
            let offset = i64::from(round);
            let since = offset.checked_sub(1).filter(|since| *since >= 0);
            let entries = large(from, count, round);
            store.save(&calls(), &Checkpoint { offset, since, model: None, entries: entries.clone() }).unwrap();
            history.push(entries);
            let found = store.newest(&calls(), 100).unwrap().unwrap();
            assert!(found.segments.len() < 3, "{} segments", found.segments.len());
            assert!(Entries::folded(&found.segments) == Entries::folded(&history), "round {round}");
        }
    }
}

#[test]
fn a_torn_segment_is_not_joined_to_others() {
    let folder = TempDir::new().unwrap();
    let store = on_disk(folder.path());
    store.save(&calls(), &Checkpoint { entries: large(0, 5_000, 0), ..whole(0) }).unwrap();
    let segment = folder.path().join("agent.calls/3/00000000000000000000.whole.segment");
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let more = Checkpoint { offset: 1, since: Some(0), model: None, entries: large(0, 5_000, 1) };
    let error = store.save(&calls(), &more).unwrap_err();
    assert!(matches!(error, CheckpointError::Torn { .. }), "{error}");
    store.save(&calls(), &whole(30)).unwrap();
    expect(&store, 100, Some(30));
}

#[test]
fn one_that_adds_to_what_is_not_there_is_refused() {
    let store = Bucket::open("memory:").unwrap();
    store.save(&calls(), &whole(10)).unwrap();
    let error = store.save(&calls(), &added(30, 20)).unwrap_err();
    assert!(matches!(error, CheckpointError::Gap { since: 20, .. }), "{error}");
    expect(&store, 100, Some(10));
}

#[test]
fn saved_ones_are_there_for_the_next_process() {
    let folder = TempDir::new().unwrap();
    on_disk(folder.path()).save(&calls(), &whole(10)).unwrap();
    let next = on_disk(folder.path());
    expect(&next, 10, Some(10));
    next.save(&calls(), &added(11, 10)).unwrap();
    expect(&on_disk(folder.path()), 100, Some(11));
}

#[test]
fn a_checkpoint_of_version_1_is_found_and_added_to_after_a_whole_one() {
    let folder = TempDir::new().unwrap();
    let home = folder.path().join("agent.calls/3");
    fs::create_dir_all(&home).unwrap();
    fs::write(home.join("00000000000000001042.checkpoint"), include_bytes!("golden/checkpoint-v1")).unwrap();
    let store = on_disk(folder.path());
    let found = store.newest(&calls(), 2_000).unwrap().unwrap();
    assert_eq!((found.offset, found.segments), (1_042, vec![Entries::whole(b"{\"s-1\":3}")]));
    let error = store.save(&calls(), &added(1_050, 1_042)).unwrap_err();
    assert!(matches!(error, CheckpointError::Gap { .. }), "{error}");
    store.save(&calls(), &whole(1_050)).unwrap();
    expect(&store, 2_000, Some(1_050));
}

/// Saves at 10 (whole) and 15 (added), harms the files, and expects what is found then.
#[track_caller]
fn check_harmed(harm: impl Fn(PathBuf), expected: Option<i64>) {
    let folder = TempDir::new().unwrap();
    let store = on_disk(folder.path());
    [whole(10), added(15, 10)].iter().for_each(|checkpoint| store.save(&calls(), checkpoint).unwrap());
    harm(folder.path().join("agent.calls/3"));
    expect(&store, 100, expected);
    store.save(&calls(), &whole(30)).unwrap();
    expect(&store, 100, Some(30));
}

const NEWEST: &str = "00000000000000000015.00000000000000000010.segment";
const OLDEST: &str = "00000000000000000010.whole.segment";
const NEWEST_MANIFEST: &str = "00000000000000000015.manifest";

#[test]
fn a_torn_one_is_passed_over_for_the_one_before() {
    check_harmed(|home| fs::write(home.join(NEWEST), b"VDTCKPT\n").unwrap(), Some(10));
    check_harmed(|home| fs::remove_file(home.join(NEWEST)).unwrap(), Some(10));
    check_harmed(|home| fs::write(home.join(NEWEST_MANIFEST), [0xff; 40]).unwrap(), Some(10));
    check_harmed(|home| fs::write(home.join(NEWEST_MANIFEST), b"{\"v\":1}\nsha256:00\n").unwrap(), Some(10));
    let flip = |home: PathBuf| {
        let mut bytes = fs::read(home.join(NEWEST)).unwrap();
        bytes[70] ^= 1;
        fs::write(home.join(NEWEST), bytes).unwrap();
    };
    check_harmed(flip, Some(10));
}

#[test]
fn without_what_all_others_add_to_the_log_is_read_from_its_start() {
    check_harmed(|home| fs::remove_file(home.join(OLDEST)).unwrap(), None);
}

#[test]
fn a_crash_between_two_files_leaves_the_one_before() {
    check_harmed(|home| fs::write(home.join("00000000000000000030.whole.segment"), b"half").unwrap(), Some(15));
    check_harmed(|home| fs::write(home.join("00000000000000000030.manifest#1"), b"{\"v\":2").unwrap(), Some(15));
}

#[test]
fn one_of_a_newer_build_is_named_and_not_used() {
    let folder = TempDir::new().unwrap();
    let store = on_disk(folder.path());
    let manifest = r#"{"v":5,"pieces":[]}"#;
    fs::create_dir_all(folder.path().join("agent.calls/3")).unwrap();
    let text = format!("{manifest}\n{}\n", schema::Digest::of(manifest.as_bytes()));
    fs::write(folder.path().join("agent.calls/3/00000000000000000010.manifest"), text).unwrap();
    let error = store.newest(&calls(), 100).unwrap_err();
    assert!(matches!(error, CheckpointError::NewerVersion { found: 5, known: 4, .. }), "{error}");
}

#[test]
fn an_address_that_is_none_says_what_is_expected() {
    let error = Bucket::open("ftp://host/x").unwrap_err().to_string();
    assert!(error.contains("ftp://host/x") && error.contains("file://"), "{error}");
}
