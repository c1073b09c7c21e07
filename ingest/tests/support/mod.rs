//! An operator whose every answer depends on all that its session did before, so that a record lost, doubled or
//! reordered anywhere shows in the answers.

pub mod process;

use ingest::checkpoint::{Entries, Scope};
use ingest::engine::{self, EngineConfig, Summary};
use ingest::read_back::Reader;
use ingest::topics::TopicSpec;
use ingest::{IngestError, Operator, Output, Outputs, Partition, Record, RestoreError, dead_letter};
use schema::decode::{Received, native};
use schema::{TenantKey, topics};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// Counts the calls of each session of its partition; answers `session count id`.
pub struct Tally {
    calls: BTreeMap<String, u64>,
    /// Sessions whose count is not in a checkpoint yet.
    changed: BTreeSet<String>,
    key: TenantKey,
    verdicts: String,
}

impl Tally {
    /// A factory of operators that answer on topic `verdicts`.
    pub fn factory(verdicts: &str) -> impl Fn(Partition) -> Box<dyn Operator> + Send + Sync + 'static {
        let verdicts = verdicts.to_owned();
        move |_| {
            let (calls, changed) = (BTreeMap::new(), BTreeSet::new());
            Box::new(Self { calls, changed, key: TenantKey::new([7; 32]), verdicts: verdicts.clone() })
        }
    }
}

impl Operator for Tally {
    fn apply(&mut self, record: &Record, out: &mut Outputs) {
        let received = Received { at: record.at, id: record.id() };
        let call = match native::decode(&record.payload, &received) {
            Ok(call) => call,
            Err(error) => return out.extend([dead_letter(&self.key, record, &error)]),
        };
        let session = call.session.to_string();
        let count = self.calls.entry(session.clone()).or_default();
        *count += 1;
        self.changed.insert(session.clone());
        let payload = format!("{session} {count} {}", record.id()).into_bytes();
        out.push(&self.verdicts, session.as_bytes(), &payload);
    }

    fn entries(&mut self, scope: Scope) -> Entries {
        let changed = std::mem::take(&mut self.changed);
        let mut entries = Entries::default();
        for (session, count) in self.calls.iter().filter(|(s, _)| scope == Scope::All || changed.contains(*s)) {
            entries.push(session.as_bytes(), Some(&count.to_le_bytes()));
        }
        entries
    }

    fn restore(&mut self, entries: &Entries) -> Result<(), RestoreError> {
        for (session, count) in entries.iter() {
            let count = count.and_then(|count| count.try_into().ok()).ok_or_else(|| RestoreError::new("no count"))?;
            self.calls.insert(String::from_utf8(session.to_vec()).unwrap(), u64::from_le_bytes(count));
        }
        Ok(())
    }
}

/// Call `seq` of `session`, as a native record for `topic`.
pub fn call(topic: &str, session: &str, seq: usize) -> Output {
    let payload = format!(
        r#"{{"v":1,"id":"{session}/{seq}","at":{},"session":"{session}","tool":"search","args":{{"q":"{seq}"}}}}"#,
        1_000 * seq
    );
    Output { topic: topic.to_owned(), key: session.as_bytes().to_vec(), payload: payload.into_bytes() }
}

/// `sessions` sessions of `calls` calls each, interleaved.
pub fn calls(topic: &str, sessions: usize, calls: usize) -> Vec<Output> {
    let one = |seq| (0..sessions).map(move |session| call(topic, &format!("s-{session}"), seq));
    (0..calls).flat_map(one).collect()
}

/// An engine in a task of its own.
pub struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Summary, IngestError>>,
}

impl Running {
    pub fn start(config: EngineConfig, verdicts: &str) -> Self {
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let task = tokio::spawn(engine::run(config, Tally::factory(verdicts), shutdown));
        Self { stop, task }
    }

    /// Asks it to end and waits until it has.
    pub async fn stop(self) -> Summary {
        drop(self.stop);
        self.task.await.unwrap().unwrap()
    }

    /// Waits for it to end by itself.
    pub async fn failed(self) -> IngestError {
        self.task.await.unwrap().unwrap_err()
    }
}

/// Reads `count` answers and holds them against the law: in each session every call is answered once, in order.
pub async fn assert_each_answered_once(brokers: &str, verdicts: &str, sessions: usize, calls: usize) {
    let mut reader = Reader::start(brokers, verdicts).await.unwrap();
    let answers = reader.take((sessions * calls) as u64).await.unwrap();
    let mut found: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for answer in &answers {
        let text = std::str::from_utf8(&answer.payload).unwrap();
        let [session, count, id] = text.split(' ').collect::<Vec<_>>()[..] else { panic!("`{text}`") };
        assert!(ids.insert(id.to_owned()), "`{id}` is answered twice");
        found.entry(session.to_owned()).or_default().push(count.parse().unwrap());
    }
    assert_eq!(found.len(), sessions);
    for (session, counts) in found {
        assert_eq!(counts, (1..=calls as u64).collect::<Vec<_>>(), "session {session}");
    }
}

/// The three topics of these tests.
pub fn topics(partitions: u16) -> [TopicSpec; 3] {
    [
        TopicSpec::new(topics::CALLS, partitions),
        TopicSpec::new(topics::VERDICTS, partitions),
        TopicSpec::new(topics::DEAD, 1),
    ]
}
