//! Any bytes as the files of a data set: refused with file and line, or a set whose calls count upwards. The first byte
//! says whether the bytes are the packed file itself, or the lines of one, which the fuzzer could not pack.
#![no_main]

use datasets::{Results, View};
use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use std::io::Write as _;
use std::path::Path;
use std::sync::LazyLock;

/// In memory where the system has such a folder: a disk is a hundred times slower.
static FOLDER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
});

/// What each part of the input is, in order; parts are separated by a byte that is in no UTF-8 text.
const FILES: [&str; 5] = [".calls", ".sessions", ".results", ".missions", ".longargs"];

fn write(folder: &Path, part: &str, bytes: &[u8], packed: bool) {
    let file = folder.join(format!("s{part}.jsonl.gz"));
    let bytes = if packed {
        bytes.to_vec()
    } else {
        let mut out = GzEncoder::new(Vec::new(), Compression::none());
        out.write_all(bytes).expect("memory");
        out.finish().expect("memory")
    };
    std::fs::write(file, bytes).expect("a file");
}

fuzz_target!(|bytes: &[u8]| {
    let Some((mode, bytes)) = bytes.split_first() else { return };
    let folder = FOLDER.path();
    for part in FILES.iter().chain(&[""]) {
        drop(std::fs::remove_file(folder.join(format!("s{part}.jsonl.gz"))));
    }
    if mode & 2 == 2 {
        write(folder, "", bytes, mode & 1 == 1);
    } else {
        for (part, bytes) in FILES.iter().zip(bytes.split(|byte| *byte == 0xff)) {
            write(folder, part, bytes, mode & 1 == 1);
        }
    }
    for results in [Results::Original, Results::None] {
        if let Ok(set) = datasets::load(folder, "s", &View { results, missions: true }) {
            assert_eq!(set.calls_by_session().iter().map(|(_, calls)| calls.len()).sum::<usize>(), set.calls.len());
        }
    }
    let _ = datasets::labels::load(folder, "s");
});
