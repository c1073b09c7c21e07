//! Files → [`Dataset`]: NAME.calls joined with NAME.results, NAME.missions and NAME.longargs, or NAME as sequences.
//! Of NAME.sessions it reads session, split, fold and pool; the labels in that file are [`crate::labels`]' alone.

mod calls; // one line of NAME.calls → one `RawCall`
pub(crate) mod records; // the lines of each file, as types
mod sequences; // files of numbered events
mod texts; // results, missions and long arguments by key

use crate::limits::SESSIONS_MAX;
use crate::lines::GzipLines;
use crate::{Dataset, DatasetError, SessionMeta};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What of a set to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Which results.
    pub results: Results,
    /// Whether missions are read.
    pub missions: bool,
}

impl Default for View {
    /// All there is.
    fn default() -> Self {
        Self { results: Results::Original, missions: true }
    }
}

/// Which results to join.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Results {
    /// `NAME.results`, as recorded.
    #[default]
    Original,
    /// `NAME.results_VIEW`: the same keys, other texts. The file must be there.
    Named(String),
    /// None, as a log without response bodies has none; status and size remain.
    None,
}

/// Loads set `name` of folder `dir`.
///
/// Ids are `session/seq`. A call without a time comes one second after the one before it, the first at 0. Where the sessions
/// file knows pools, the agent is the principal (each client is an identity of its own), unless a call names one.
pub fn load(dir: &Path, name: &str, view: &View) -> Result<Dataset, DatasetError> {
    check_name(name)?;
    if let Results::Named(view) = &view.results {
        check_name(view)?;
    }
    let calls = file(dir, name, ".calls");
    if !calls.exists() {
        let numbered = file(dir, name, "");
        if numbered.exists() {
            return sequences::load(&numbered, name);
        }
    }
    let sessions = sessions(&file(dir, name, ".sessions"), name)?;
    let texts = texts::Texts::load(dir, name, view)?;
    calls::load(&calls, name, sessions, texts)
}

/// `DIR/NAME{part}.jsonl.gz`.
pub(crate) fn file(dir: &Path, name: &str, part: &str) -> PathBuf {
    dir.join(format!("{name}{part}.jsonl.gz"))
}

/// A set's name is part of file names: it must not lead out of the folder.
pub(crate) fn check_name(name: &str) -> Result<(), DatasetError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if name.is_empty() || name.starts_with('.') || name.len() > 128 || !name.chars().all(plain) {
        return Err(DatasetError::BadSetName { name: name.chars().take(128).collect() });
    }
    Ok(())
}

fn sessions(path: &Path, name: &str) -> Result<Vec<SessionMeta>, DatasetError> {
    let mut lines = GzipLines::open(path, &format!("set `{name}`"))?;
    let mut seen = HashMap::new();
    let mut sessions = Vec::new();
    while let Some(line) = lines.parse_next::<records::SessionLine>()? {
        let session = schema::Session::new(&line.session)
            .map_err(|source| DatasetError::BadName { place: lines.place(), source })?;
        if seen.insert(line.session, ()).is_some() {
            return Err(DatasetError::Duplicate { place: lines.place(), what: "session", key: session.into() });
        }
        if sessions.len() >= SESSIONS_MAX {
            return Err(DatasetError::TooMuch { place: lines.place(), what: "sessions", limit: SESSIONS_MAX as u64 });
        }
        sessions.push(SessionMeta { session, split: line.split, fold: line.fold, pool: line.pool });
    }
    if sessions.is_empty() {
        return Err(DatasetError::Empty { file: path.to_path_buf() });
    }
    Ok(sessions)
}
