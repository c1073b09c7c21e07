//! The built-in world in a folder of its own, and the binary to run on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder that goes away, and commands in it.
pub struct World {
    folder: tempfile::TempDir,
}

/// Enough sessions to learn from, few enough for a debug build.
pub const SMALL: [&str; 4] = ["--world-sessions", "240", "--world-seed", "3"];

impl World {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `vedette` with the words of `line`, then `more`; `@name` stands for a file of this folder.
    pub fn run(&self, line: &str, more: &[&str]) -> Output {
        let words = line.split_whitespace().chain(more.iter().copied());
        let words = words.map(|word| match word.strip_prefix('@') {
            Some(name) => self.path(name).into_os_string(),
            None => word.into(),
        });
        Command::new(env!("CARGO_BIN_EXE_vedette")).args(words).current_dir(&self.folder).output().unwrap()
    }

    /// As `run`; fails the test, with what was said, when the command fails. Standard output.
    pub fn ok(&self, line: &str, more: &[&str]) -> String {
        let output = self.run(line, more);
        assert!(output.status.success(), "vedette {line} {more:?}\n{}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// As `run`; fails the test when the command does not. What was reported.
    pub fn refused(&self, line: &str, more: &[&str]) -> String {
        let output = self.run(line, more);
        assert_eq!(output.status.code(), Some(1), "vedette {line} {more:?}\n{}", said(&output));
        // The report folds long lines; undo that, so that a test can look for a sentence.
        let report = String::from_utf8(output.stderr).unwrap();
        report.split_whitespace().filter(|word| !["│", "×", "╰─▶", "├─▶"].contains(word)).collect::<Vec<_>>().join(" ")
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// Lines of a file, in bytewise order.
    pub fn sorted(&self, name: &str) -> Vec<String> {
        let mut lines: Vec<String> = String::from_utf8(self.read(name)).unwrap().lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    }
}

/// All that a command said.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Writes `lines` as `folder/name.jsonl.gz`.
pub fn gzip(folder: &Path, name: &str, lines: impl IntoIterator<Item = String>) {
    use std::io::Write as _;
    let file = std::fs::File::create(folder.join(format!("{name}.jsonl.gz"))).unwrap();
    let mut out = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    for line in lines {
        writeln!(out, "{line}").unwrap();
    }
    out.finish().unwrap();
}
