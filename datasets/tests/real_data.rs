//! The published sets, where they are at hand: `VEDETTE_DATA` names their folder (default: `shared/data` beside the
//! workspace). `VEDETTE_DATA=none` says that there are none here.

use datasets::{Dataset, Results, Split, View, labels, load, replay};
use std::path::PathBuf;

fn folder() -> Option<PathBuf> {
    let named = std::env::var_os("VEDETTE_DATA");
    if named.as_deref() == Some("none".as_ref()) {
        eprintln!("not run: VEDETTE_DATA=none, so no published sets are read");
        return None;
    }
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = named.map_or(here, PathBuf::from);
    assert!(
        folder.join("agentdojo.calls.jsonl.gz").exists(),
        "no data sets in `{}`: set VEDETTE_DATA to their folder, or to `none` to leave these tests out",
        folder.display()
    );
    Some(folder)
}

fn loaded(name: &str) -> Option<Dataset> {
    Some(load(&folder()?, name, &View::default()).unwrap())
}

fn trained(set: &Dataset) -> usize {
    set.sessions.iter().filter(|meta| meta.split == Split::Train).count()
}

#[test]
fn agentdojo_loads_whole() {
    let Some(set) = loaded("agentdojo") else { return };
    assert_eq!((set.calls.len(), set.sessions.len(), trained(&set), set.timed), (44_192, 13_608, 749, false));
    assert_eq!(set.calls.iter().filter(|call| call.result.is_some()).count(), 44_048);
    assert!(set.calls.iter().filter(|call| call.seq == Some(0)).all(|call| call.mission.is_some()));
    let cut = set.calls.iter().filter(|call| call.args.to_string().contains(" chars, sha1 ")).count();
    assert_eq!(cut, 0, "every long argument is put back");
    let truth = labels::load(&folder().unwrap(), "agentdojo").unwrap();
    assert_eq!(truth.sessions.iter().filter(|label| label.outcome == labels::Outcome::Succeeded).count(), 1_619);
    assert_eq!(truth.sessions.iter().map(|label| label.n_calls).sum::<u64>(), 44_192);
}

#[test]
fn agentdojo_calls_stand_in_the_order_of_the_file() {
    let Some(set) = loaded("agentdojo") else { return };
    // Sessions in a row, each counting from 0: the order the file is written in.
    let mut expected = 0;
    for (index, call) in set.calls.iter().enumerate() {
        if index > 0 && set.calls[index - 1].session != call.session {
            expected = 0;
        }
        assert_eq!(call.seq, Some(expected), "{:?}", call.id);
        expected += 1;
    }
    assert_eq!(set.calls[0].id.as_str(), "s-000231fde7ea7e/0");
}

#[test]
fn the_plain_view_differs_in_results_only() {
    let Some(folder) = folder() else { return };
    let original = load(&folder, "agentdojo", &View::default()).unwrap();
    let plain = load(&folder, "agentdojo", &View { results: Results::Named("plain".into()), missions: true }).unwrap();
    let differ = original.calls.iter().zip(&plain.calls).filter(|(a, b)| a.result != b.result).count();
    assert!(differ > 10_000, "{differ}");
    assert!(
        original
            .calls
            .iter()
            .zip(&plain.calls)
            .all(|(a, b)| a.args == b.args && a.id == b.id && a.mission == b.mission)
    );
}

#[test]
fn what_users_go_on_to_say_is_told_with_the_next_call() {
    let Some(set) = loaded("taubench_airline") else { return };
    let call = |id: &str| set.calls.iter().find(|call| call.id.as_str() == id).unwrap();
    let first = call("t-007adce83076cf/0").mission.as_deref().unwrap();
    assert!(
        first.starts_with("Hi! I would like to cancel some of my upcoming flights, please.\n\nSure, my user ID is")
    );
    assert!(
        call("t-007adce83076cf/1")
            .mission
            .as_deref()
            .unwrap()
            .starts_with("I would like to cancel all the reservations")
    );
    assert_eq!((set.calls.len(), trained(&set)), (1_164, 46));
}

#[test]
fn every_other_set_loads() {
    for (name, calls, sessions, timed) in [
        ("agentdyn_dailylife", 78_836, 12_141, false),
        ("cloudtrail_s3_exfil", 103, 6, true),
        ("s3_honeybucket", 301, 277, true),
        ("extraction_lab", 134_612, 756, true),
    ] {
        let Some(set) = loaded(name) else { return };
        assert_eq!((set.calls.len(), set.sessions.len(), set.timed), (calls, sessions, timed), "{name}");
        assert_eq!(set.calls.iter().all(|call| call.principal.is_some()), name == "extraction_lab", "{name}");
        assert_eq!(labels::load(&folder().unwrap(), name).unwrap().sessions.len(), sessions, "{name}");
        assert_eq!(replay::stream(&set, &replay::Faults::default()).len(), calls, "{name}");
    }
}

#[test]
fn the_log_sequences_load() {
    for (name, sessions, train) in [("hdfs_100k", 7_940, 6_352), ("hdfs_logdeep_partial", 21_693, 4_855)] {
        let Some(set) = loaded(name) else { return };
        assert_eq!((set.sessions.len(), trained(&set), set.timed), (sessions, train, false), "{name}");
        assert!(set.calls.iter().all(|call| call.tool.as_str().starts_with('e')));
        assert_eq!(labels::load(&folder().unwrap(), name).unwrap().sessions.len(), sessions);
    }
}
