//! What a loaded set holds.

use crate::folder::{Folder, small};
use datasets::{Dataset, Results, Split, View, labels, load};
use schema::{Millis, Status};
use serde_json::json;

fn loaded(folder: &Folder, view: &View) -> Dataset {
    load(folder.path(), "s", view).unwrap()
}

#[test]
fn calls_come_in_file_order_with_their_results_missions_and_long_arguments() {
    let set = loaded(&small(), &View::default());
    let ids: Vec<_> = set.calls.iter().map(|call| call.id.as_str()).collect();
    assert_eq!(ids, ["b/0", "a/0", "a/1"]);
    assert_eq!(set.calls[0].args, json!({ "note": "01234567" }));
    assert_eq!(set.calls[0].status, Some(Status::Error));
    assert_eq!(set.calls[1].result, Some(json!("text")));
    assert_eq!(set.calls[2].result, None);
    assert_eq!(set.calls[0].mission, None);
    assert_eq!(set.calls[1].mission.as_deref(), Some("Pay.\n\nNow."));
    assert_eq!(set.calls[2].mission.as_deref(), Some("Go on.\n\nPlease."));
    assert_eq!(set.calls[1].seq, Some(0));
    assert!(set.calls.iter().all(|call| call.tenant.as_str() == "default" && call.principal.is_none()));
}

#[test]
fn sessions_keep_their_order_split_and_fold() {
    let set = loaded(&small(), &View::default());
    let found: Vec<_> = set.sessions.iter().map(|s| (s.session.as_str(), s.split, s.fold)).collect();
    assert_eq!(found, [("a", Split::Train, Some(3)), ("b", Split::Test, None)]);
    let by_session = set.calls_by_session();
    assert_eq!((&by_session[0].1[..], &by_session[1].1[..]), (&[1, 2][..], &[0][..]));
}

#[test]
fn a_set_without_times_ticks_once_a_second_from_zero_in_each_session() {
    let set = loaded(&small(), &View::default());
    assert!(!set.timed);
    assert_eq!(set.calls.iter().map(|call| call.at).collect::<Vec<_>>(), [Millis(0), Millis(0), Millis(1_000)]);
}

#[test]
fn another_view_replaces_the_texts_and_their_sizes() {
    let plain = loaded(&small(), &View { results: Results::Named("plain".into()), missions: true });
    assert_eq!((plain.calls[1].result.clone(), plain.calls[1].result_bytes), (Some(json!("other text")), Some(10)));
}

#[test]
fn without_results_and_missions_only_sizes_and_status_remain() {
    let bare = loaded(&small(), &View { results: Results::None, missions: false });
    assert!(bare.calls.iter().all(|call| call.result.is_none() && call.mission.is_none()));
    assert_eq!((bare.calls[1].result_bytes, bare.calls[1].status), (Some(4), Some(Status::Ok)));
}

#[test]
fn of_a_sessions_file_nothing_counts_but_session_split_fold_and_pool() {
    let stripped = small().with(
        "s.sessions.jsonl.gz",
        &[r#"{"session":"a","split":"train","fold":3}"#, r#"{"session":"b","split":"test"}"#],
    );
    let (full, stripped) = (loaded(&small(), &View::default()), loaded(&stripped, &View::default()));
    assert_eq!(full.sessions, stripped.sessions);
    assert_eq!(all_of(&full), all_of(&stripped));
    // Not even their types are looked at.
    let odd = small().with(
        "s.sessions.jsonl.gz",
        &[
            r#"{"session":"a","split":"train","fold":3,"label":7,"outcome":[],"n_calls":"?"}"#,
            r#"{"session":"b","split":"test"}"#,
        ],
    );
    assert_eq!(all_of(&full), all_of(&loaded(&odd, &View::default())));
}

#[test]
fn in_a_set_with_pools_each_agent_is_a_principal_of_its_own() {
    let folder = Folder::new()
        .with("s.sessions.jsonl.gz", &[r#"{"session":"a","split":"train","pool":"b"}"#, r#"{"session":"c","split":"test"}"#])
        .with(
            "s.calls.jsonl.gz",
            &[
                r#"{"session":"a","seq":0,"ts_ms":5,"agent":"client-1","app":"p","tool":"predict","args":{"x":[1,2]},"status":"ok","result_bytes":3,"result":{"label":0}}"#,
                r#"{"session":"c","seq":0,"ts_ms":9,"agent":"client-2","principal":"user:3","app":"p","tool":"predict","args":{"x":[1,2]},"status":"ok"}"#,
            ],
        );
    let set = loaded(&folder, &View::default());
    assert_eq!(set.sessions[0].pool.as_deref(), Some("b"));
    assert_eq!(set.calls[0].principal.as_ref().unwrap().as_str(), "client-1");
    assert_eq!(set.calls[1].principal.as_ref().unwrap().as_str(), "user:3");
    assert_eq!(set.calls[0].result, Some(json!({ "label": 0 })));
    assert_eq!(set.calls[1].result, None);
    assert!(set.timed);
    assert_eq!(set.calls[1].at, Millis(9));
}

#[test]
fn the_numbers_of_a_sequence_file_are_tools() {
    let folder = Folder::new().with(
        "s.jsonl.gz",
        &[
            r#"{"id":"blk_-1","split":"train","label":"benign","type":null,"seq":[5,22]}"#,
            r#"{"id":"blk_2","split":"test","label":"anomaly","type":"x","seq":[]}"#,
        ],
    );
    let set = loaded(&folder, &View::default());
    let tools: Vec<_> = set.calls.iter().map(|call| (call.id.as_str(), call.tool.as_str(), call.at.0)).collect();
    assert_eq!(tools, [("blk_-1/0", "e5", 0), ("blk_-1/1", "e22", 1_000)]);
    assert_eq!((set.sessions.len(), set.timed), (2, false));
    let truth = labels::load(folder.path(), "s").unwrap();
    assert_eq!((truth.sessions[1].label, truth.sessions[1].outcome.as_str()), (labels::Label::Anomaly, "x"));
}

#[test]
fn a_tool_name_that_a_model_made_up_is_kept_within_bounds() {
    let long = "x".repeat(300);
    let line = |seq: u32, tool: &str| format!(r#"{{"session":"a","seq":{seq},"tool":"{tool}","args":{{}}}}"#);
    let folder = Folder::new()
        .with("s.sessions.jsonl.gz", &[r#"{"session":"a","split":"test"}"#])
        .with("s.calls.jsonl.gz", &[&line(0, ""), &line(1, &long), &line(2, r"a\nb")]);
    let tools: Vec<_> = loaded(&folder, &View::default()).calls.iter().map(|call| call.tool.to_string()).collect();
    assert_eq!(tools, ["unknown", &long[..256], "a\u{fffd}b"]);
}

#[test]
fn labels_are_read_apart() {
    let truth = labels::load(small().path(), "s").unwrap();
    let b = &truth.sessions[1];
    assert_eq!(
        (b.label, b.outcome.as_str(), b.attack_goal_seq, b.n_calls),
        (labels::Label::Injection, "succeeded", Some(0), 1)
    );
    assert_eq!(truth.by_session()[&truth.sessions[0].session].app.as_deref(), Some("bank"));
}

/// Everything a call holds, for comparison.
fn all_of(set: &Dataset) -> Vec<String> {
    let of = |call: &schema::RawCall| {
        format!(
            "{:?} {:?} {:?} {:?} {:?} {} {:?} {:?} {:?} {:?}",
            call.id,
            call.at,
            call.seq,
            call.agent,
            call.principal,
            call.args,
            call.mission,
            call.status,
            call.result,
            call.result_bytes
        )
    };
    set.calls.iter().map(of).collect()
}
