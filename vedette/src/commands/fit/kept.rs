//! What a reading of a topic has brought so far, in a file beside the model to be: an interrupted one goes on from there.
//!
//! Lines of JSON: first what is read, then the calls of each record, sealed, and the offset after it. A last line that was
//! cut off is forgotten. The file is for this user alone, and goes when the model is written.

use crate::cli::When;
use crate::failure::{Failure, FitFailure};
use ingest::stretch::Stretch;
use schema::Call;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The topic.
    pub topic: String,
    /// Since when, as asked for.
    pub since: Option<When>,
    /// Name of the decoder.
    pub format: String,
    /// Name of the key that its calls are sealed with.
    pub key: u64,
    /// By partition: from where to where.
    pub stretches: BTreeMap<i32, Stretch>,
}

impl Begun {
    /// Whether a reading that began so is the one that is asked for now.
    fn answers(&self, asked: &Self) -> bool {
        let Self { topic, since, format, key, .. } = self;
        (topic, since, format, key) == (&asked.topic, &asked.since, &asked.format, &asked.key)
    }

    /// Whether its offsets are such as a log has.
    fn is_sound(&self) -> bool {
        self.stretches.values().all(|Stretch { from, to, log_start }| [from, to, log_start].iter().all(|at| **at >= 0))
    }
}

/// The calls of one record.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    partition: i32,
    /// The offset after it.
    next: i64,
    /// Records, and parts of them, that could not be read so far.
    dead: u64,
    calls: Vec<Call>,
}

/// What has been read so far.
#[derive(Debug, Default, PartialEq)]
pub struct Held {
    /// What is read, where the file says so.
    pub begun: Option<Begun>,
    /// By partition: the offset after its last record that is there.
    pub next: BTreeMap<i32, i64>,
    /// The calls, by partition, in order.
    pub by_partition: BTreeMap<i32, Vec<Call>>,
    /// How many.
    pub calls: u64,
    /// Records, and parts of them, that could not be read.
    pub dead: u64,
}

/// The file, and what is in it.
#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    held: Held,
}

impl Kept {
    /// The file beside `model`; with what is in it, if `go_on` and that is what is asked for.
    pub fn open(model: &Path, go_on: bool, asked: &Begun) -> Result<Self, Failure> {
        let mut path = model.as_os_str().to_owned();
        path.push(".reading");
        let mut kept = Self { path: path.into(), file: None, held: Held::default() };
        if go_on && kept.path.exists() {
            kept.load(asked)?;
        }
        Ok(kept)
    }

    /// Begins the file anew.
    pub fn begin(&mut self, begun: &Begun) -> Result<(), Failure> {
        let failed = |source| Failure::Write { path: self.path.clone(), source };
        // Away first: the mode of a file is that of its making.
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path).map_err(failed)?;
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
        write(&mut file, begun).and_then(|()| file.flush()).map_err(failed)?;
        self.file = Some(file);
        Ok(())
    }

    /// What an interrupted reading was reading.
    pub fn begun(&self) -> Option<&Begun> {
        self.held.begun.as_ref()
    }

    /// Calls that are there.
    pub fn calls(&self) -> u64 {
        self.held.calls
    }

    /// Records, and parts of them, that could not be read.
    pub fn dead(&self) -> u64 {
        self.held.dead
    }

    /// The offset after the last record of `partition` that is there.
    pub fn next(&self, partition: i32) -> Option<i64> {
        self.held.next.get(&partition).copied()
    }

    /// So many more could not be read.
    pub fn count_dead(&mut self, dead: u64) {
        self.held.dead = self.held.dead.saturating_add(dead);
    }

    /// Adds the calls of the record before `next`.
    pub fn keep(&mut self, partition: i32, next: i64, calls: Vec<Call>) -> Result<(), Failure> {
        let line = Line { partition, next, dead: self.held.dead, calls };
        if let Some(file) = &mut self.file {
            write(file, &line).map_err(|source| Failure::Write { path: self.path.clone(), source })?;
        }
        self.held.take(line)
    }

    /// What is kept is in the file.
    pub fn flush(&mut self) -> Result<(), Failure> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.flush().map_err(|source| Failure::Write { path: self.path.clone(), source })
    }

    /// The calls, by partition, in order.
    pub fn take_calls(&mut self) -> BTreeMap<i32, Vec<Call>> {
        std::mem::take(&mut self.held.by_partition)
    }

    /// The model is written: the file goes.
    pub fn done(self) -> Result<(), Failure> {
        match self.file {
            Some(_) => std::fs::remove_file(&self.path).map_err(|source| Failure::Write { path: self.path, source }),
            None => Ok(()), // it is another's, if there is one
        }
    }

    fn load(&mut self, asked: &Begun) -> Result<(), Failure> {
        let unreadable = |source| Failure::Read { path: self.path.clone(), source };
        let mut file = OpenOptions::new().read(true).write(true).open(&self.path).map_err(unreadable)?;
        let (held, whole) = Held::read(BufReader::new(&file), &self.path, asked)?;
        if held.begun.is_some() {
            file.set_len(whole).and_then(|()| file.seek(SeekFrom::End(0))).map_err(unreadable)?;
            self.file = Some(BufWriter::with_capacity(BUFFER_BYTES, file));
        }
        self.held = held;
        Ok(())
    }
}

impl Held {
    /// What is in a file at `path`, where it is of the reading that is asked for, and how many bytes of it are whole lines.
    pub fn read(mut lines: impl BufRead, path: &Path, asked: &Begun) -> Result<(Self, u64), Failure> {
        let unreadable = |source| Failure::Read { path: path.into(), source };
        let (mut held, mut line, mut whole) = (Self::default(), Vec::new(), 0u64);
        loop {
            line.clear();
            let read = (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).map_err(unreadable)?;
            if !line.ends_with(b"\n") {
                break; // the end, or where it was cut off
            }
            match &held.begun {
                None => match serde_json::from_slice::<Begun>(&line) {
                    Ok(begun) if begun.answers(asked) && begun.is_sound() => held.begun = Some(begun),
                    _ => break, // of another reading
                },
                Some(begun) => match serde_json::from_slice::<Line>(&line) {
                    Ok(line) if held.goes_on(begun, &line) => held.take(line)?,
                    _ => break, // damaged: from here on it is read again
                },
            }
            whole += read as u64;
        }
        Ok((held, whole))
    }

    /// Whether `line` may come next: after what is there of its partition, and within what is read of it.
    fn goes_on(&self, begun: &Begun, line: &Line) -> bool {
        let Some(stretch) = begun.stretches.get(&line.partition) else { return false };
        let before = self.next.get(&line.partition).copied().unwrap_or(stretch.from);
        before < line.next && line.next <= stretch.to
    }

    fn take(&mut self, line: Line) -> Result<(), Failure> {
        self.calls += line.calls.len() as u64;
        if self.calls > CALLS_MAX {
            return Err(FitFailure::TooMuch { calls_max: CALLS_MAX }.into());
        }
        self.next.insert(line.partition, line.next);
        self.dead = line.dead;
        self.by_partition.entry(line.partition).or_default().extend(line.calls);
        Ok(())
    }
}

fn write(file: &mut impl std::io::Write, line: &impl Serialize) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(line)?;
    bytes.push(b'\n');
    file.write_all(&bytes)
}

/// More are not learned from at once: they are all in memory, some kilobytes each with long results.
const CALLS_MAX: u64 = 5_000_000;
/// A line holds the sealed calls of one record.
const LINE_BYTES_MAX: u64 = 64 << 20;
const BUFFER_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use schema::decode::{Received, native};
    use schema::{Millis, TenantKey};

    fn asked(topic: &str) -> Begun {
        let stretches = [(0, Stretch { from: 3, to: 90, log_start: 0 })].into();
        let key = TenantKey::new([7; 32]).name();
        Begun { topic: topic.into(), since: Some(When::Ago(5)), format: "native".into(), key, stretches }
    }

    fn call(n: u64) -> Call {
        let record = format!(r#"{{"at":{n},"session":"s","tool":"t","args":{{"to":"Ada"}}}}"#);
        let received = Received { at: Millis(n), id: format!("t/0/{n}") };
        schema::seal_for_fit(&native::decode(record.as_bytes(), &received).unwrap(), &TenantKey::new([7; 32]))
    }

    #[test]
    fn what_was_kept_is_there_again_up_to_where_it_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model");
        let mut kept = Kept::open(&model, true, &asked("t")).unwrap();
        kept.begin(&asked("t")).unwrap();
        kept.keep(0, 4, vec![call(1), call(2)]).unwrap();
        kept.count_dead(1);
        kept.keep(0, 5, vec![]).unwrap();
        kept.keep(0, 6, vec![call(3)]).unwrap();
        kept.flush().unwrap();
        drop(kept);
        let file = folder.path().join("model.reading");
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let bytes = std::fs::read(&file).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("Ada"));
        std::fs::write(&file, &bytes[..bytes.len() - 9]).unwrap();

        let mut again = Kept::open(&model, true, &asked("t")).unwrap();
        assert_eq!((again.begun(), again.calls(), again.dead(), again.next(0)), (Some(&asked("t")), 2, 1, Some(5)));
        again.keep(0, 6, vec![call(3)]).unwrap();
        again.flush().unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "as if it had not been cut off");
        assert_eq!(again.take_calls()[&0], [call(1), call(2), call(3)]);
        again.done().unwrap();
        assert!(!file.exists());
    }

    #[test]
    fn a_file_is_gone_on_with_up_to_where_it_is_damaged() {
        let head = serde_json::to_string(&asked("t")).unwrap();
        let line = |partition: i32, next: i64| {
            format!("{{\"partition\":{partition},\"next\":{next},\"dead\":0,\"calls\":[]}}")
        };
        let read = |lines: &[String]| {
            let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            Held::read(text.as_bytes(), Path::new("f"), &asked("t")).unwrap().0
        };
        for damaged in [
            line(0, 4),  // once more
            line(0, 3),  // back
            line(0, 91), // beyond the end
            line(0, i64::MIN),
            line(1, 4), // of a partition that is not read
            line(0, 5).replace("[]", "[1]"),
        ] {
            let held = read(&[head.clone(), line(0, 4), damaged.clone(), line(0, 6)]);
            assert_eq!(held.next, [(0, 4)].into(), "{damaged}");
        }
        assert_eq!(read(&[head.clone(), line(0, 4), line(0, 90)]).next, [(0, 90)].into());
        // Offsets that no log has: their distance is no number.
        let far =
            Begun { stretches: [(0, Stretch { from: i64::MIN, to: i64::MAX, log_start: 0 })].into(), ..asked("t") };
        assert_eq!(read(&[serde_json::to_string(&far).unwrap(), line(0, 4)]), Held::default());
        assert!(far.stretches[&0].is_empty());
    }

    #[test]
    fn what_another_reading_left_is_not_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("model");
        let mut kept = Kept::open(&model, true, &asked("t")).unwrap();
        kept.begin(&asked("t")).unwrap();
        kept.keep(0, 4, vec![call(1)]).unwrap();
        kept.flush().unwrap();
        for other in [
            asked("u"),
            Begun { since: None, ..asked("t") },
            Begun { format: "mcp".into(), ..asked("t") },
            Begun { key: TenantKey::new([8; 32]).name(), ..asked("t") },
        ] {
            assert_eq!(Kept::open(&model, true, &other).unwrap().begun(), None);
        }
        assert_eq!(Kept::open(&model, false, &asked("t")).unwrap().begun(), None);
        std::fs::write(folder.path().join("model.reading"), b"\xff\n").unwrap();
        assert_eq!(Kept::open(&model, true, &asked("t")).unwrap().begun(), None);
    }
}
