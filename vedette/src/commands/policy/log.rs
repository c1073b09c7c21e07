//! Decisions onto disk, into Kafka and to whoever is told, in the order they were taken. A disk that is full drops decisions, loudly, and
//! never answers.

use super::publish::ToKafka;
use crate::failure::Failure;
use ::policy::server::Logged;
use ::policy::{Chain, Record, RestsOn};
use metrics::counter;
use schema::Digest;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// Told of every decision.
pub type Tell = Box<dyn Fn(&Logged) + Send>;

/// Where decisions go; what is in the queue when the last sender goes is still written.
pub struct Log {
    /// To the doors.
    pub decisions: mpsc::Sender<Logged>,
    writer: std::thread::JoinHandle<()>,
}

impl Log {
    /// Goes on with the log in the file at `path`, or begins it; in Kafka a chain of this process's own. `tell` must not wait.
    ///
    /// Errors: a file that cannot be opened, or whose last line is none of ours.
    pub fn open(path: Option<&Path>, mut kafka: Option<ToKafka>, tell: Option<Tell>) -> Result<Self, Failure> {
        let mut file = path.map(Appended::open).transpose()?;
        let (decisions, mut queue) = mpsc::channel::<Logged>(QUEUE_MAX);
        let writer = std::thread::spawn(move || {
            let mut batch = Vec::with_capacity(BATCH_MAX);
            while queue.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
                if let Some(tell) = &tell {
                    batch.iter().for_each(tell);
                }
                let records: Vec<Record> = batch.drain(..).map(record).collect();
                if let Some(kafka) = &mut kafka {
                    kafka.append(&records);
                }
                if let Some(file) = &mut file {
                    file.append(records);
                }
            }
        });
        Ok(Self { decisions, writer })
    }

    /// Waits until everything is written. The doors are closed by then.
    pub fn close(self) {
        drop(self.decisions);
        if self.writer.join().is_err() {
            tracing::error!("the decision log broke off");
        }
    }
}

struct Appended {
    path: PathBuf,
    file: File,
    chain: Chain,
    bytes: u64,
}

impl Appended {
    fn open(path: &Path) -> Result<Self, Failure> {
        let failed = |source| Failure::Write { path: path.into(), source };
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        file.seek(SeekFrom::Start(bytes.saturating_sub(TAIL_BYTES))).map_err(failed)?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail).map_err(failed)?;
        // What a crash left of a line is cut off: it was never whole.
        let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let torn = tail.len() - whole;
        if torn > 0 {
            tracing::warn!(torn, "the decision log ended amid a line, which is cut off");
        }
        let bytes = bytes - torn as u64;
        file.set_len(bytes).and_then(|()| file.seek(SeekFrom::End(0))).map_err(failed)?;
        let mut chain = Chain::default();
        let text = String::from_utf8_lossy(tail.get(..whole).unwrap_or_default());
        if let Some(last) = text.lines().last() {
            chain.read(last, text.lines().count()).map_err(|source| Failure::Log { path: path.into(), source })?;
        }
        Ok(Self { path: path.into(), file, chain, bytes })
    }

    fn append(&mut self, batch: Vec<Record>) {
        let (mut chain, mut text, mut count) = (self.chain, String::new(), 0u64);
        for record in batch {
            text += &chain.append(record);
            text.push('\n');
            count += 1;
        }
        match self.file.write_all(text.as_bytes()) {
            Ok(()) => (self.chain, self.bytes) = (chain, self.bytes + text.len() as u64),
            Err(error) => {
                counter!("vedette_policy_log_dropped_total").increment(count);
                tracing::error!(path = %self.path.display(), %error, count, "decisions could not be logged");
                // Half a line must not stand before the next whole one.
                let _ = self.file.set_len(self.bytes).and_then(|()| self.file.seek(SeekFrom::End(0)));
            }
        }
    }
}

fn record(logged: Logged) -> Record {
    let Logged { decision, scored, circumstances, at, door, route } = logged;
    let rests_on = scored.map(|scored| RestsOn::of(&scored, circumstances));
    // Place and digest are the chain's to say.
    Record { v: 0, n: 0, prev: Digest([0; 32]), at, door: door.to_owned(), route, decision, rests_on }
}

const QUEUE_MAX: usize = 65_536;
const BATCH_MAX: usize = 256;
/// Read from the end to find the last line; no record is longer.
const TAIL_BYTES: u64 = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use ::policy::{Fallback, PolicySet, fall_back};
    use schema::{CallId, Millis, Mode, PolicyId};

    fn logged(n: usize) -> Logged {
        let id = CallId::new(&format!("c-{n}")).unwrap();
        let why = PolicyId::new("fallback:deadline").unwrap();
        let decision = fall_back(id, Fallback::Deny, why, &PolicySet::default(), Mode::Enforce);
        Logged {
            decision,
            scored: None,
            circumstances: Default::default(),
            at: Millis(n as u64),
            door: "native",
            route: None,
        }
    }

    fn write(path: &Path, numbers: std::ops::Range<usize>) {
        let log = Log::open(Some(path), None, None).unwrap();
        numbers.for_each(|n| log.decisions.blocking_send(logged(n)).unwrap());
        log.close();
    }

    fn ids(path: &Path) -> Vec<String> {
        let mut ids = vec![];
        crate::commands::decisions::each(path, |_, record| ids.push(record.decision.id.to_string())).unwrap();
        ids
    }

    #[test]
    fn a_log_goes_on_where_it_ended_even_after_a_line_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("decisions.jsonl");
        write(&path, 0..3);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 7]).unwrap();
        write(&path, 3..5);
        assert_eq!(ids(&path), ["c-0", "c-1", "c-3", "c-4"]);
    }

    #[test]
    fn a_file_that_is_no_log_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "shopping\n").unwrap();
        assert!(matches!(Log::open(Some(&path), None, None), Err(Failure::Log { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "shopping\n");
    }
}
