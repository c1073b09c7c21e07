//! Damaged sets end in an error that names the file and the line, never in a panic or half a set.

use crate::folder::{Folder, gzip, small};
use datasets::{DatasetError, Results, View, labels, load};

fn refusal(folder: &Folder) -> DatasetError {
    load(folder.path(), "s", &View::default()).map(|set| set.calls.len()).unwrap_err()
}

/// Loading must fail with a message that holds every one of `parts`.
fn check(folder: &Folder, parts: &[&str]) {
    let message = refusal(folder).to_string();
    for part in parts {
        assert!(message.contains(part), "`{part}` is not in: {message}");
    }
}

#[test]
fn a_missing_file_is_named_with_what_needs_it() {
    check(&Folder::new(), &["s.sessions.jsonl.gz", "is missing", "set `s`"]);
    let folder = small();
    std::fs::remove_file(folder.path().join("s.calls.jsonl.gz")).unwrap();
    check(&folder, &["s.calls.jsonl.gz", "is missing"]);
    let view = View { results: Results::Named("stripped".into()), missions: true };
    let error = load(small().path(), "s", &view).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("s.results_stripped.jsonl.gz") && error.contains("view `stripped`"), "{error}");
    assert!(matches!(labels::load(Folder::new().path(), "s"), Err(DatasetError::Missing { .. })));
}

#[test]
fn gzip_cut_anywhere_is_said_to_be_cut_off() {
    for file in ["s.sessions", "s.calls", "s.results", "s.missions", "s.longargs"] {
        let file = format!("{file}.jsonl.gz");
        let whole = std::fs::read(small().path().join(&file)).unwrap();
        for cut in [0, 1, 9, 12, whole.len() / 2, whole.len() - 9, whole.len() - 1] {
            let folder = small().with_bytes(&file, &whole[..cut]);
            let error = refusal(&folder);
            assert!(matches!(error, DatasetError::CutOff { .. }), "{file} at {cut}: {error}");
            assert!(error.to_string().contains(&file), "{error}");
        }
    }
}

#[test]
fn a_flipped_bit_never_loads_in_silence() {
    let whole = std::fs::read(small().path().join("s.calls.jsonl.gz")).unwrap();
    let good = load(small().path(), "s", &View::default()).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        let folder = small().with_bytes("s.calls.jsonl.gz", &damaged);
        // Bytes 4..10 of the header (time, level, system) carry nothing.
        if let Ok(set) = load(folder.path(), "s", &View::default()) {
            assert!((3..10).contains(&at) && set.calls.len() == good.calls.len(), "byte {at}");
        }
    }
}

#[test]
fn what_is_not_gzip_is_said_so() {
    check(&small().with_bytes("s.calls.jsonl.gz", b"{\"session\":\"a\"}\n"), &["s.calls.jsonl.gz", "damaged"]);
}

#[test]
fn a_line_that_is_no_record_is_named() {
    let good = r#"{"session":"a","seq":0,"tool":"t","args":{}}"#;
    for (bad, why) in [
        ("{\"session\":", "EOF"),
        ("[]", "expected"),
        (r#"{"session":"a","tool":"t"}"#, "missing field `seq`"),
        (r#"{"seq":1,"tool":"t"}"#, "missing field `session`"),
        (r#"{"session":"a","seq":1}"#, "missing field `tool`"),
        (r#"{"session":"a","seq":"1","tool":"t"}"#, "invalid type"),
        (r#"{"session":"a","seq":-1,"tool":"t"}"#, "invalid value"),
        (r#"{"session":"a","seq":1,"tool":["t"]}"#, "invalid type"),
        (r#"{"session":"a","seq":1,"tool":"t","args":{"x":NaN}}"#, "expected value"),
        (r#"{"session":"a","seq":1,"tool":"t","status":"maybe"}"#, "unknown variant"),
        (r#"{"session":"a","seq":1,"tool":"t","ts_ms":-5}"#, "-5 is no time"),
        (r#"{"session":"a","seq":1,"tool":"t","ts_ms":9000000000000000}"#, "is no time"),
        (r#"{"session":"q","seq":1,"tool":"t"}"#, "session `q` is not in the sessions file"),
        (r#"{"session":"a","seq":0,"tool":"t"}"#, "call 0 of session `a` does not come after call 0"),
        (r#"{"session":"a","seq":1,"tool":"t","result":"ffffffffffff"}"#, "result `ffffffffffff` is not in"),
    ] {
        check(&small().with("s.calls.jsonl.gz", &[good, bad]), &["s.calls.jsonl.gz", "line 2", why]);
    }
    let deep = format!(r#"{{"session":"a","seq":1,"tool":"t","args":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    check(&small().with("s.calls.jsonl.gz", &[good, &deep]), &["line 2", "recursion limit"]);
    check(&small().with_bytes("s.calls.jsonl.gz", &gzip(b"\xff\xfe{}\n")), &["line 1"]);
}

#[test]
fn a_100_mb_string_is_refused_at_the_limit() {
    let huge = format!(r#"{{"session":"a","seq":0,"tool":"t","args":{{"x":"{}"}}}}"#, "x".repeat(100_000_000));
    assert!(
        matches!(refusal(&small().with("s.calls.jsonl.gz", &[&huge])), DatasetError::LineTooLong { place, .. } if place.line == 1)
    );
}

#[test]
fn duplicates_are_refused() {
    let session = r#"{"session":"a","split":"test"}"#;
    check(&small().with("s.sessions.jsonl.gz", &[session, session]), &["line 2", "session `a` a second time"]);
    let mission = r#"{"session":"a","mission":"m"}"#;
    check(&small().with("s.missions.jsonl.gz", &[mission, mission]), &["line 2", "a second time"]);
    let (one, two) = (r#"{"result":"000000000001","text":"x"}"#, r#"{"result":"000000000001","text":"y"}"#);
    check(&small().with("s.results.jsonl.gz", &[one, two]), &["line 2", "result `000000000001` a second time"]);
    let sequence = r#"{"id":"a","split":"test","seq":[1]}"#;
    check(&Folder::new().with("s.jsonl.gz", &[sequence, sequence]), &["line 2", "session `a` a second time"]);
}

#[test]
fn a_sessions_file_without_its_columns_or_without_sessions_is_refused() {
    for (line, why) in [
        (r#"{"split":"test"}"#, "missing field `session`"),
        (r#"{"session":"a"}"#, "missing field `split`"),
        (r#"{"session":"a","split":"validation"}"#, "unknown variant"),
        (r#"{"session":"","split":"test"}"#, "session is empty"),
        (r#"{"session":"a","split":"test","fold":-1}"#, "invalid value"),
    ] {
        check(&small().with("s.sessions.jsonl.gz", &[line]), &["s.sessions.jsonl.gz", "line 1", why]);
    }
    check(&small().with("s.sessions.jsonl.gz", &[""]), &["holds no session"]);
}

#[test]
fn keys_without_their_results_file_are_no_texts() {
    let folder = small();
    std::fs::remove_file(folder.path().join("s.results.jsonl.gz")).unwrap();
    check(&folder, &["line 1", "result `000000000001` is not in", "s.results.jsonl.gz"]);
}

#[test]
fn a_name_that_leaves_the_folder_is_refused() {
    for name in ["", "../s", "a/b", ".hidden", "a\0b"] {
        assert!(matches!(load(small().path(), name, &View::default()), Err(DatasetError::BadSetName { .. })), "{name}");
        let view = View { results: Results::Named(name.into()), missions: true };
        assert!(matches!(load(small().path(), "s", &view), Err(DatasetError::BadSetName { .. })), "{name}");
    }
}
