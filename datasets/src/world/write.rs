//! A set → files in the format of the published sets, so that a generated one can be used by name like any other.

use crate::load::records::{CallLine, MissionLine, ResultLine};
use crate::load::{check_name, file};
use crate::{Dataset, DatasetError, Labels};
use flate2::{Compression, write::GzEncoder};
use schema::{Digest, RawCall};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// Digits of a result's key.
const KEY_DIGITS: usize = 12;

/// Writes NAME.calls, .results, .missions and .sessions into `dir`, which must exist; files of that name are replaced.
///
/// Beside the published format a call has its `principal`, where it has one; long arguments are not cut.
pub fn write(dir: &Path, name: &str, set: &Dataset, labels: &Labels) -> Result<(), DatasetError> {
    check_name(name)?;
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let mut calls = Lines::create(file(dir, name, ".calls"))?;
    for call in &set.calls {
        calls.line(&call_line(call, set.timed, &mut texts))?;
    }
    calls.finish()?;
    let mut results = Lines::create(file(dir, name, ".results"))?;
    for (result, text) in texts {
        results.line(&ResultLine { result, text })?;
    }
    results.finish()?;
    let mut missions = Lines::create(file(dir, name, ".missions"))?;
    for line in mission_lines(set) {
        missions.line(&line)?;
    }
    missions.finish()?;
    let mut sessions = Lines::create(file(dir, name, ".sessions"))?;
    for label in &labels.sessions {
        sessions.line(label)?;
    }
    sessions.finish()
}

/// A text goes to `texts` and its key into the line; any other answer stands in the line.
fn call_line(call: &RawCall, timed: bool, texts: &mut BTreeMap<String, String>) -> CallLine {
    let result = match &call.result {
        Some(Value::String(text)) => {
            let key: String =
                Digest::of(text.as_bytes()).to_string().chars().skip("sha256:".len()).take(KEY_DIGITS).collect();
            texts.insert(key.clone(), text.clone());
            Some(Value::String(key))
        }
        other => other.clone(),
    };
    CallLine {
        session: call.session.to_string(),
        seq: call.seq.unwrap_or_default(),
        ts_ms: timed.then(|| i64::try_from(call.at.0).unwrap_or(i64::MAX)),
        agent: Some(call.agent.to_string()),
        principal: call.principal.as_ref().map(ToString::to_string),
        app: call.app.as_ref().map(ToString::to_string),
        tool: call.tool.to_string(),
        args: call.args.clone(),
        status: call.status,
        result_bytes: call.result_bytes,
        result,
    }
}

/// What was said in each session, in the order of the sessions.
fn mission_lines(set: &Dataset) -> Vec<MissionLine> {
    let mut said: HashMap<&str, MissionLine> = HashMap::new();
    for call in &set.calls {
        let Some(text) = call.mission.clone() else { continue };
        let session = call.session.as_str();
        let line = said.entry(session).or_insert_with(|| MissionLine {
            session: session.to_owned(),
            mission: None,
            turns: Vec::new(),
        });
        match call.seq.unwrap_or_default() {
            0 => line.mission = Some(text),
            seq => line.turns.push((seq, text)),
        }
    }
    set.sessions.iter().filter_map(|meta| said.remove(meta.session.as_str())).collect()
}

/// Gzip JSON lines being written.
struct Lines {
    out: GzEncoder<BufWriter<File>>,
    path: PathBuf,
}

impl Lines {
    fn create(path: PathBuf) -> Result<Self, DatasetError> {
        match File::create(&path) {
            Ok(file) => Ok(Self { out: GzEncoder::new(BufWriter::new(file), Compression::default()), path }),
            Err(source) => Err(DatasetError::Write { file: path, source }),
        }
    }

    fn line(&mut self, record: &impl Serialize) -> Result<(), DatasetError> {
        let written = serde_json::to_writer(&mut self.out, record).map_err(std::io::Error::from);
        written
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(|source| DatasetError::Write { file: self.path.clone(), source })
    }

    fn finish(self) -> Result<(), DatasetError> {
        let Self { out, path } = self;
        let flushed = out.finish().and_then(|mut file| file.flush());
        flushed.map_err(|source| DatasetError::Write { file: path, source })
    }
}
