//! What both stores of checkpoints promise, and what the one on disk does when the disk lies.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop where it stands")]

use ingest::Partition;
use ingest::checkpoint::{Checkpoint, CheckpointError, CheckpointStore, FolderStore, MemoryStore};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

fn at(offset: i64) -> Checkpoint {
    Checkpoint { offset, model: None, state: format!("state at {offset}").into_bytes() }
}

fn calls() -> Partition {
    Partition::new("agent.calls", 3)
}

/// Saves checkpoints at these offsets, in this order, in both stores; expects the newest at or before `offset_max`.
#[track_caller]
fn check(saved: &[i64], offset_max: i64, expected: Option<i64>) {
    let folder = TempDir::new().unwrap();
    let stores: [&dyn CheckpointStore; 2] = [&MemoryStore::default(), &FolderStore::open(folder.path()).unwrap()];
    for store in stores {
        saved.iter().for_each(|offset| store.save(&calls(), &at(*offset)).unwrap());
        assert_eq!(store.newest(&calls(), offset_max).unwrap(), expected.map(at));
        assert_eq!(store.newest(&Partition::new("agent.calls", 4), offset_max).unwrap(), None);
    }
}

#[test]
fn the_newest_one_not_past_the_committed_offset_is_found() {
    check(&[], 100, None);
    check(&[10], 9, None);
    check(&[10], 10, Some(10));
    check(&[10, 20], 19, Some(10));
    check(&[10, 20], 100, Some(20));
}

#[test]
fn old_ones_are_forgotten_and_so_are_those_of_a_log_read_anew() {
    check(&[10, 20, 30], 15, None);
    check(&[10, 20, 30], 30, Some(30));
    check(&[10, 20, 5], 100, Some(5));
    check(&[10, 20, 20], 100, Some(20));
}

#[test]
fn saved_ones_are_there_for_the_next_process() {
    let folder = TempDir::new().unwrap();
    FolderStore::open(folder.path()).unwrap().save(&calls(), &at(10)).unwrap();
    let next = FolderStore::open(folder.path()).unwrap();
    assert_eq!(next.newest(&calls(), 10).unwrap(), Some(at(10)));
}

#[test]
fn only_the_last_two_take_up_space() {
    let folder = TempDir::new().unwrap();
    let store = FolderStore::open(folder.path()).unwrap();
    (1..=10).for_each(|offset| store.save(&calls(), &at(offset)).unwrap());
    let names: Vec<_> = fs::read_dir(folder.path().join("agent.calls/3")).unwrap().map(|f| f.unwrap().path()).collect();
    assert_eq!(names.len(), 3, "{names:?}");
}

/// Saves at 10 and 20, harms the files, and expects what is found then.
#[track_caller]
fn check_harmed(harm: impl Fn(PathBuf), expected: Option<i64>) {
    let folder = TempDir::new().unwrap();
    let store = FolderStore::open(folder.path()).unwrap();
    [10, 20].iter().for_each(|offset| store.save(&calls(), &at(*offset)).unwrap());
    harm(folder.path().join("agent.calls/3"));
    assert_eq!(store.newest(&calls(), 100).unwrap(), expected.map(at));
    store.save(&calls(), &at(30)).unwrap();
    assert_eq!(store.newest(&calls(), 100).unwrap(), Some(at(30)), "a harmed store can be written again");
}

const NEWEST: &str = "00000000000000000020.checkpoint";

#[test]
fn a_torn_one_is_passed_over_for_the_one_before() {
    check_harmed(|folder| fs::write(folder.join(NEWEST), b"VDTCKPT\n").unwrap(), Some(10));
    check_harmed(|folder| fs::remove_file(folder.join(NEWEST)).unwrap(), Some(10));
    check_harmed(
        |folder| {
            let mut bytes = fs::read(folder.join(NEWEST)).unwrap();
            bytes[60] ^= 1;
            fs::write(folder.join(NEWEST), bytes).unwrap();
        },
        Some(10),
    );
}

#[test]
fn a_crash_between_two_files_leaves_the_one_before() {
    check_harmed(|folder| fs::write(folder.join("00000000000000000030.checkpoint"), b"half").unwrap(), Some(20));
    check_harmed(|folder| fs::write(folder.join("manifest.unfinished"), b"{\"v\":1").unwrap(), Some(20));
}

#[test]
fn a_torn_manifest_means_reading_the_log_from_its_start() {
    check_harmed(
        |folder| fs::write(folder.join("manifest"), b"{\"v\":1,\"checkpoints\":[]}\nsha256:00\n").unwrap(),
        None,
    );
    check_harmed(|folder| fs::write(folder.join("manifest"), [0xff; 40]).unwrap(), None);
}

#[test]
fn one_of_a_newer_build_is_named_and_not_used() {
    let folder = TempDir::new().unwrap();
    let store = FolderStore::open(folder.path()).unwrap();
    let manifest = r#"{"v":2,"checkpoints":[]}"#;
    fs::create_dir_all(folder.path().join("agent.calls/3")).unwrap();
    let text = format!("{manifest}\n{}\n", schema::Digest::of(manifest.as_bytes()));
    fs::write(folder.path().join("agent.calls/3/manifest"), text).unwrap();
    let error = store.newest(&calls(), 100).unwrap_err();
    assert!(matches!(error, CheckpointError::NewerVersion { found: 2, known: 1, .. }), "{error}");
}
