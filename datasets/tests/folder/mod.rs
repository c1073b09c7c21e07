//! A set's folder, written line by line.

use flate2::{Compression, write::GzEncoder};
use std::io::Write as _;
use std::path::Path;

pub struct Folder(pub tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn with(self, file: &str, lines: &[&str]) -> Self {
        let mut text = lines.join("\n");
        text.push('\n');
        self.with_bytes(file, &gzip(text.as_bytes()))
    }

    pub fn with_bytes(self, file: &str, bytes: &[u8]) -> Self {
        std::fs::write(self.path().join(file), bytes).unwrap();
        self
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A set `s` of two sessions that uses every file.
pub fn small() -> Folder {
    Folder::new()
        .with(
            "s.sessions.jsonl.gz",
            &[
                r#"{"session":"a","n_calls":2,"agent":"m","app":"bank","label":"benign","outcome":"clean","split":"train","fold":3}"#,
                r#"{"session":"b","n_calls":1,"label":"injection","outcome":"succeeded","attack_from_seq":0,"attack_goal_seq":0,"split":"test","fold":null}"#,
            ],
        )
        .with(
            "s.calls.jsonl.gz",
            &[
                r#"{"session":"b","seq":0,"ts_ms":null,"agent":"m","app":"bank","tool":"send_money","args":{"note":"0123…[8 chars, sha1 0ad6793c]"},"status":"error","result_bytes":4,"result":"000000000001"}"#,
                r#"{"session":"a","seq":0,"ts_ms":null,"agent":"m","app":"bank","tool":"read_file","args":{"path":"x"},"status":"ok","result_bytes":4,"result":"000000000001"}"#,
                r#"{"session":"a","seq":1,"ts_ms":null,"agent":"m","app":"bank","tool":"send_money","args":{},"status":null,"result_bytes":null,"result":null}"#,
            ],
        )
        .with("s.results.jsonl.gz", &[r#"{"result":"000000000001","text":"text"}"#])
        .with("s.results_plain.jsonl.gz", &[r#"{"result":"000000000001","text":"other text"}"#])
        .with(
            "s.missions.jsonl.gz",
            &[r#"{"session":"a","mission":"Pay.","turns":[[0,"Now."],[1,"Go on."],[1,"Please."],[9,"Thanks."]]}"#, r#"{"session":"z","mission":"of no call here"}"#],
        )
        .with("s.longargs.jsonl.gz", &[r#"{"sha1":"0ad6793c","text":"01234567"}"#])
}
