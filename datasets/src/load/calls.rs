//! One line of NAME.calls → one [`RawCall`].

use super::records::CallLine;
use super::texts::{Looked, Texts};
use crate::dataset::bare_call;
use crate::limits::CALLS_MAX;
use crate::lines::GzipLines;
use crate::{Dataset, DatasetError, Place, SessionMeta};
use schema::limits::{AT_MS_MAX, NAME_BYTES_MAX};
use schema::{App, IdError, Millis, Principal, RawCall, Session};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;

/// Time between two calls of a session that recorded none.
pub(super) const STEP_MS: u64 = 1_000;

/// How far a session has been read.
#[derive(Default)]
struct Progress {
    last: Option<(u64, Millis)>,
}

pub(super) fn load(path: &Path, name: &str, sessions: Vec<SessionMeta>, texts: Texts) -> Result<Dataset, DatasetError> {
    let mut lines = GzipLines::open(path, &format!("set `{name}`"))?;
    let identities = sessions.iter().any(|meta| meta.pool.is_some());
    let mut progress: HashMap<&str, Progress> =
        sessions.iter().map(|meta| (meta.session.as_str(), Progress::default())).collect();
    let mut calls = Vec::new();
    let mut timed = true;
    while let Some(line) = lines.parse_next::<CallLine>()? {
        if calls.len() >= CALLS_MAX {
            return Err(DatasetError::TooMuch { place: lines.place(), what: "calls", limit: CALLS_MAX as u64 });
        }
        timed &= line.ts_ms.is_some();
        let Some(before) = progress.get_mut(line.session.as_str()) else {
            return Err(DatasetError::UnknownSession { place: lines.place(), session: line.session });
        };
        calls.push(call(line, before, identities, &texts, || lines.place())?);
    }
    timed &= !calls.is_empty();
    drop(progress);
    Ok(Dataset { name: name.to_owned(), sessions, calls, timed })
}

fn call(
    mut line: CallLine,
    before: &mut Progress,
    identities: bool,
    texts: &Texts,
    place: impl Fn() -> Place,
) -> Result<RawCall, DatasetError> {
    let at = time(line.ts_ms, before.last, &place)?;
    if let Some((after, _)) = before.last
        && line.seq <= after
    {
        return Err(DatasetError::OutOfOrder { place: place(), session: line.session, seq: line.seq, after });
    }
    before.last = Some((line.seq, at));
    let bad = |source: IdError| DatasetError::BadName { place: place(), source };
    texts.restore(&mut line.args);
    let (result, result_bytes) = match texts.result(line.result.take()) {
        Looked::Found(value) => (Some(value), line.result_bytes),
        Looked::Replaced(text) => {
            let bytes = text.len() as u64;
            (Some(Value::String(text)), Some(bytes))
        }
        Looked::Nothing => (None, line.result_bytes),
        Looked::Unknown { key, results } => return Err(DatasetError::UnknownResult { place: place(), key, results }),
    };
    let agent = name(line.agent.as_deref().unwrap_or_default());
    let principal = line.principal.as_deref().map(name).or_else(|| identities.then(|| agent.clone()));
    let session = Session::new(&line.session).map_err(bad)?;
    let mut call = bare_call(&session, line.seq, at, &agent, &name(&line.tool)).map_err(bad)?;
    call.principal = principal.map(|principal| Principal::new(&principal)).transpose().map_err(bad)?;
    call.app = line.app.map(|app| App::new(&name(&app))).transpose().map_err(bad)?;
    call.args = line.args;
    call.mission = texts.mission(&line.session, line.seq);
    call.status = line.status;
    call.result = result;
    call.result_bytes = result_bytes;
    Ok(call)
}

/// The recorded time; without one, a second after the call before, the first at 0.
fn time(
    recorded: Option<i64>,
    before: Option<(u64, Millis)>,
    place: &impl Fn() -> Place,
) -> Result<Millis, DatasetError> {
    match recorded {
        Some(ms) => u64::try_from(ms)
            .ok()
            .filter(|ms| *ms <= AT_MS_MAX)
            .map(Millis)
            .ok_or_else(|| DatasetError::BadTime { place: place(), found: ms }),
        None => Ok(before.map_or(Millis(0), |(_, at)| Millis(at.0.saturating_add(STEP_MS)))),
    }
}

/// Models make names up, and the record has to show what they did: one that breaks the bounds of a name is cut and cleaned,
/// not refused. Empty reads `unknown`.
fn name(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }) {
        if name.len() + c.len_utf8() > NAME_BYTES_MAX {
            break;
        }
        name.push(c);
    }
    if name.is_empty() { "unknown".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use schema::Tool;

    proptest! {
        #[test]
        fn any_string_makes_a_name(text in "\\PC*|(?s).{0,400}") {
            prop_assert!(Tool::new(&name(&text)).is_ok());
        }
    }
}
