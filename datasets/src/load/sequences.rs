//! Files of numbered events (`{"id","split","label","type","seq":[…]}`): number n is tool `e<n>`, `id` is the session.
//! The label is not read.

use super::calls::STEP_MS;
use super::records::SequenceLine;
use crate::dataset::bare_call;
use crate::limits::{CALLS_MAX, SESSIONS_MAX};
use crate::lines::GzipLines;
use crate::{Dataset, DatasetError, SessionMeta};
use schema::{App, IdError, Millis, Session};
use std::collections::HashSet;
use std::path::Path;

pub(super) fn load(path: &Path, name: &str) -> Result<Dataset, DatasetError> {
    let mut lines = GzipLines::open(path, &format!("set `{name}`"))?;
    let app = App::new(name).map_err(|source| DatasetError::BadName { place: lines.place(), source })?;
    let (mut seen, mut sessions, mut calls) = (HashSet::new(), Vec::new(), Vec::new());
    while let Some(line) = lines.parse_next::<SequenceLine>()? {
        let bad = |source: IdError| DatasetError::BadName { place: lines.place(), source };
        let session = Session::new(&line.id).map_err(bad)?;
        if !seen.insert(session.clone()) {
            return Err(DatasetError::Duplicate { place: lines.place(), what: "session", key: line.id });
        }
        for (what, found, more, limit) in
            [("calls", calls.len(), line.seq.len(), CALLS_MAX), ("sessions", sessions.len(), 1, SESSIONS_MAX)]
        {
            if found.saturating_add(more) > limit {
                return Err(DatasetError::TooMuch { place: lines.place(), what, limit: limit as u64 });
            }
        }
        for (seq, event) in (0u64..).zip(&line.seq) {
            let at = Millis(seq.saturating_mul(STEP_MS));
            let mut call = bare_call(&session, seq, at, "unknown", &format!("e{event}")).map_err(bad)?;
            call.app = Some(app.clone());
            calls.push(call);
        }
        sessions.push(SessionMeta { session, split: line.split, fold: None, pool: None });
    }
    if sessions.is_empty() {
        return Err(DatasetError::Empty { file: path.to_path_buf() });
    }
    Ok(Dataset { name: name.to_owned(), sessions, calls, timed: false })
}
