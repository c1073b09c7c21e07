//! A million sessions that wait: what they take of memory, and how long a new owner of their partition takes to have
//! them. One partition, checkpoints as an engine writes them, no Kafka; in a process of its own, whose memory holds nothing
//! else.

use super::load;
use ingest::checkpoint::{Bucket, Checkpoint, CheckpointStore as _, Scope};
use ingest::{Operator as _, Outputs, Partition, Record};
use schema::{Millis, topics};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use vedette::operator::Judge;
use vedette::pipeline::Parts;
use vedette::sinks::Decisions;

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Idle {
    /// Resident memory of the process when the sessions have fallen silent.
    pub rss_bytes: u64,
    /// From an empty process's first read of the store to the first call it can answer.
    pub recovery_s: f64,
}

const SESSIONS: u64 = 1_000_000;
/// Calls of each.
const CALLS: u64 = 2;
/// Calls between checkpoints.
const CHECKPOINT_CALLS: u64 = 200_000;

/// Runs this bench once more, for this measurement alone.
pub fn in_another_process() -> Idle {
    let this = std::env::current_exe().expect("this program");
    let output = Command::new(this).args(["--bench", "--only", "idle"]).output().expect("a process");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| line.starts_with("idle")).for_each(|line| println!("{line}"));
    let figures = text.lines().last().and_then(|line| line.split_once(' ')).expect("figures");
    Idle { rss_bytes: figures.0.parse().expect("bytes"), recovery_s: figures.1.parse().expect("seconds") }
}

/// Measures; the last line it prints is for [`in_another_process`].
pub fn measure(parts: &Arc<Parts>) {
    let partition = Partition::new(topics::CALLS, 0);
    let folder = tempfile::TempDir::new().expect("a folder");
    let store = Bucket::open(folder.path().to_str().expect("a path of text")).expect("a store");
    let new = || Judge::new(Arc::clone(parts)).decisions(Decisions::None).kept();
    let topic: Arc<str> = topics::CALLS.into();
    let record = |n: u64| Record {
        topic: Arc::clone(&topic),
        partition: 0,
        offset: n as i64,
        at: Millis(1_795_343_040_000 + n / 100),
        key: None,
        payload: load::call_of("", n, SESSIONS).payload,
    };
    let before = rss_bytes();
    let (mut judge, mut out) = (new(), Outputs::default());
    let (mut since, mut stored) = (None, 0);
    for n in 0..SESSIONS * CALLS {
        judge.apply(&record(n), &mut out);
        if (n + 1) % CHECKPOINT_CALLS == 0 {
            judge.complete(&mut out);
            out.clear();
            let scope = if since.is_none() { Scope::All } else { Scope::Changed };
            let offset = n as i64 + 1;
            let checkpoint = Checkpoint { offset, since, model: judge.model(), entries: judge.entries(scope) };
            stored += checkpoint.entries.bytes();
            store.save(&partition, &checkpoint).expect("a checkpoint");
            since = Some(offset);
        }
    }
    // A call now and then, long after the others: the sessions are idle, and the allocator gives back what it holds.
    for second in 0..10 {
        let last = record(SESSIONS * CALLS);
        judge.apply(&Record { at: Millis(last.at.0 + 3_600_000 + second * 1_000), ..last }, &mut out);
        judge.complete(&mut out);
        std::thread::sleep(Duration::from_secs(1));
    }
    let rss = rss_bytes();
    println!(
        "idle      {SESSIONS} sessions of {CALLS} calls: {:.0} MB resident ({:.0} MB before them), {:.0} MB of checkpoints",
        rss as f64 / 1e6,
        before as f64 / 1e6,
        stored as f64 / 1e6
    );
    drop(judge);

    let started = Instant::now();
    let mut judge = new();
    let stored = store.newest(&partition, i64::MAX).expect("a store").expect("a checkpoint");
    for segment in stored.segments {
        judge.restore(&segment).expect("a state");
    }
    judge.apply(&record(SESSIONS * CALLS), &mut out);
    let seconds = started.elapsed().as_secs_f64();
    println!("idle      taken over from the checkpoints in {seconds:.1} s");
    println!("{rss} {seconds:.3}");
}

fn rss_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    kilobytes.unwrap_or(0) * 1024
}
