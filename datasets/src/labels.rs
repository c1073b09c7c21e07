//! The truth about sessions, apart from the calls: for measuring and for the table of `vedette up`, never for a detector.

use crate::lines::GzipLines;
use crate::load::{check_name, file};
use crate::{DatasetError, Split};
use schema::Session;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What a session was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// No attack in it.
    Benign,
    /// The agent did what a text it read told it to.
    Injection,
    /// A model or data was copied.
    Extraction,
    /// The user or client attacked.
    Attack,
    /// A log sequence that ended badly.
    Anomaly,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Outcome {
    /// No attacker present.
    Clean,
    /// Injected text was returned by a tool; no call served it.
    Resisted,
    /// Injected text was planted and never read.
    NotReached,
    /// The attacker's goal was met.
    Succeeded,
    /// A call served the attacker; the goal was not met.
    Attempted,
    /// The attacker's goal was the user's prompt.
    DirectGoal,
    /// Any other word of a set: kinds of clients, of extraction, of log anomalies.
    Other(String),
}

const OUTCOMES: [(&str, Outcome); 6] = [
    ("clean", Outcome::Clean),
    ("resisted", Outcome::Resisted),
    ("not_reached", Outcome::NotReached),
    ("succeeded", Outcome::Succeeded),
    ("attempted", Outcome::Attempted),
    ("direct_goal", Outcome::DirectGoal),
];

impl Outcome {
    /// The word in the files.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(word) => word,
            known => OUTCOMES.iter().find(|(_, outcome)| outcome == known).map_or("", |(word, _)| word),
        }
    }
}

impl From<String> for Outcome {
    fn from(word: String) -> Self {
        OUTCOMES.iter().find(|(known, _)| *known == word).map_or(Self::Other(word), |(_, outcome)| outcome.clone())
    }
}

impl From<Outcome> for String {
    fn from(outcome: Outcome) -> Self {
        outcome.as_str().to_owned()
    }
}

/// The truth about one session. Numbers of calls count from 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionLabel {
    /// The session.
    pub session: Session,
    /// Calls it has.
    pub n_calls: u64,
    /// What it was.
    pub label: Label,
    /// How it ended.
    pub outcome: Outcome,
    /// First call that serves the attacker.
    #[serde(default)]
    pub attack_from_seq: Option<u64>,
    /// First call that carries the attacker's goal.
    #[serde(default)]
    pub attack_goal_seq: Option<u64>,
    /// First call whose result held the injected text.
    #[serde(default)]
    pub exposed_at_seq: Option<u64>,
    /// Train or test.
    pub split: Split,
    /// Group of user tasks.
    #[serde(default)]
    pub fold: Option<u8>,
    /// Calibration group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The agent or client.
    #[serde(default)]
    pub agent: Option<String>,
    /// Suite or domain.
    #[serde(default)]
    pub app: Option<String>,
    /// What the user wanted; sessions of one task are not independent.
    #[serde(default)]
    pub user_task: Option<String>,
    /// What the attacker wanted.
    #[serde(default)]
    pub injection_task: Option<String>,
    /// How the attacker asked.
    #[serde(default)]
    pub attack_type: Option<String>,
    /// Clients that are one attacker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_group: Option<String>,
    /// How many clients they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n_identities: Option<u64>,
    /// How the attacker paced its calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pacing: Option<String>,
    /// Where an extraction's queries came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_source: Option<String>,
}

/// The truth about a set, in the order of its sessions file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    /// One a session.
    pub sessions: Vec<SessionLabel>,
}

impl Labels {
    /// Labels by session.
    pub fn by_session(&self) -> HashMap<&Session, &SessionLabel> {
        self.sessions.iter().map(|label| (&label.session, label)).collect()
    }
}

/// Loads the labels of set `name`: NAME.sessions, or the sequence file itself.
pub fn load(dir: &Path, name: &str) -> Result<Labels, DatasetError> {
    check_name(name)?;
    let path = file(dir, name, ".sessions");
    let numbered = file(dir, name, "");
    if !path.exists() && numbered.exists() {
        return read(&numbered, name, |line: SequenceLabel| Ok(line.into()));
    }
    read(&path, name, Ok)
}

fn read<T: serde::de::DeserializeOwned>(
    path: &Path,
    name: &str,
    label: impl Fn(T) -> Result<SessionLabel, DatasetError>,
) -> Result<Labels, DatasetError> {
    let mut lines = GzipLines::open(path, &format!("measuring on set `{name}`"))?;
    let (mut seen, mut sessions) = (HashSet::new(), Vec::new());
    while let Some(line) = lines.parse_next::<T>()? {
        let label = label(line)?;
        if !seen.insert(label.session.clone()) {
            return Err(DatasetError::Duplicate { place: lines.place(), what: "session", key: label.session.into() });
        }
        sessions.push(label);
    }
    if sessions.is_empty() {
        return Err(DatasetError::Empty { file: path.to_path_buf() });
    }
    Ok(Labels { sessions })
}

/// A line of a sequence file, with its label.
#[derive(Deserialize)]
struct SequenceLabel {
    id: Session,
    split: Split,
    label: Label,
    #[serde(default, rename = "type")]
    kind: Option<String>,
    seq: Vec<u32>,
}

impl From<SequenceLabel> for SessionLabel {
    fn from(line: SequenceLabel) -> Self {
        // Of a log sequence only the whole is known to be bad: from its first event to its last.
        let bad = line.label != Label::Benign;
        let n_calls = line.seq.len() as u64;
        Self {
            session: line.id,
            n_calls,
            label: line.label,
            outcome: line
                .kind
                .map_or_else(|| Outcome::from(if bad { "anomaly" } else { "clean" }.to_owned()), Outcome::from),
            attack_from_seq: None,
            attack_goal_seq: None,
            exposed_at_seq: None,
            split: line.split,
            fold: None,
            pool: None,
            agent: None,
            app: None,
            user_task: None,
            injection_task: None,
            attack_type: None,
            identity_group: None,
            n_identities: None,
            pacing: None,
            query_source: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_reads_back_what_it_writes() {
        for word in
            ["clean", "resisted", "not_reached", "succeeded", "attempted", "direct_goal", "probe", "papernot_jbda"]
        {
            assert_eq!(Outcome::from(word.to_owned()).as_str(), word);
        }
    }
}
