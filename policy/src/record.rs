//! The decision log: one line of JSON a decision, with all it rests on, chained by digests so that a line that was
//! changed, dropped or moved shows. Sealed: identifiers, fingerprints and numbers, never a value.

use crate::{Circumstances, PolicySet, Request, Scored, decide};
use schema::{Call, Decision, Digest, Millis, RECORD_VERSION, Standing, Verdict};
use serde::{Deserialize, Serialize};

/// One decision and what it rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Record version.
    pub v: u8,
    /// Place in the log, from 0.
    pub n: u64,
    /// Digest of the line before; zeros for the first.
    pub prev: Digest,
    /// When it was decided.
    pub at: Millis,
    /// The door it came through.
    pub door: String,
    /// The gateway's route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The decision.
    pub decision: Decision,
    /// What it rests on; none where nothing was known in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rests_on: Option<RestsOn>,
}

/// Everything that [`decide`] and the detector's fusion look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RestsOn {
    /// Names, shapes and whole fingerprints; words and results are left out.
    pub call: Call,
    /// What the detector said; it names its model.
    pub verdict: Verdict,
    /// What was known of the session before.
    pub standing: Option<Standing>,
    /// Less than the whole session.
    pub degraded: bool,
    /// Facts of the door.
    pub circumstances: Circumstances,
    /// Features, as the detector names them.
    pub row: Vec<f64>,
}

/// Why a log does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// A line is no record.
    #[error("line {line} is no record: {message}")]
    Malformed {
        /// From 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// A line's digest is not that of its text.
    #[error("line {line} was changed after it was written")]
    Changed {
        /// From 1.
        line: usize,
    },
    /// A line does not follow the one before.
    #[error("line {line} does not follow the line before it: lines are missing or were moved")]
    Broken {
        /// From 1.
        line: usize,
    },
}

impl RestsOn {
    /// What of `scored` decides; the rest is left out.
    pub fn of(scored: &Scored, circumstances: Circumstances) -> Self {
        let mut call = scored.call.clone();
        call.args.iter_mut().for_each(|leaf| leaf.tokens = vec![]);
        (call.tool_stems, call.tool_description) = (vec![], vec![]);
        (call.mission, call.result, call.query) = (None, None, None);
        let (verdict, standing) = (scored.verdict.clone(), scored.standing.clone());
        Self { call, verdict, standing, degraded: scored.degraded, circumstances, row: scored.row.clone() }
    }

    /// The decision derived again, as of `at`.
    pub fn decide(&self, policies: &PolicySet, decision: &Decision, at: Millis) -> Decision {
        let request = Request::new(&self.call, &self.verdict, self.standing.as_ref())
            .degraded(self.degraded)
            .under(self.circumstances);
        decide(&request, policies, decision.mode, at)
    }
}

/// Where a log stands: what its next line follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chain {
    n: u64,
    prev: Digest,
}

impl Default for Chain {
    fn default() -> Self {
        Self { n: 0, prev: Digest([0; 32]) }
    }
}

impl Chain {
    /// The next line, without its line feed. `record` gets its place.
    pub fn append(&mut self, mut record: Record) -> String {
        (record.v, record.n, record.prev) = (RECORD_VERSION, self.n, self.prev);
        // INVARIANT: strings, integers and finite numbers only, so a record is always representable.
        let body = serde_json::to_string(&record).unwrap_or_default();
        self.prev = Digest::of(body.as_bytes());
        self.n += 1;
        let open = body.strip_suffix('}').unwrap_or(&body);
        format!("{open}{HASH}{}\"}}", self.prev)
    }

    /// Reads line number `line` (from 1) and moves past it. The first line read may stand anywhere.
    pub fn read(&mut self, text: &str, line: usize) -> Result<Record, ChainError> {
        let malformed = |message: &str| ChainError::Malformed { line, message: message.to_owned() };
        let (open, hash) = text.rsplit_once(HASH).ok_or_else(|| malformed("it has no digest"))?;
        let hash: Digest =
            hash.strip_suffix("\"}").and_then(|hex| hex.parse().ok()).ok_or_else(|| malformed("it has no digest"))?;
        let body = format!("{open}}}");
        if Digest::of(body.as_bytes()) != hash {
            return Err(ChainError::Changed { line });
        }
        let record: Record = serde_json::from_str(&body).map_err(|error| malformed(&error.to_string()))?;
        if *self != Self::default() && (record.n, record.prev) != (self.n, self.prev) {
            return Err(ChainError::Broken { line });
        }
        *self = Self { n: record.n + 1, prev: hash };
        Ok(record)
    }
}

const HASH: &str = ",\"hash\":\"";

#[cfg(test)]
mod tests {
    use super::*;
    use schema::{CallId, Mode};

    fn record(id: &str) -> Record {
        let policies = PolicySet::default();
        let why = schema::PolicyId::new("fallback:deadline").unwrap();
        let id = CallId::new(id).unwrap();
        let decision = crate::fall_back(id, crate::Fallback::Deny, why, &policies, Mode::Enforce);
        Record {
            v: 1,
            n: 9,
            prev: Digest([1; 32]),
            at: Millis(5),
            door: "native".to_owned(),
            route: None,
            decision,
            rests_on: None,
        }
    }

    fn log() -> Vec<String> {
        let mut chain = Chain::default();
        ["a", "b", "c"].map(|id| chain.append(record(id))).to_vec()
    }

    fn read(lines: &[String]) -> Result<Vec<String>, ChainError> {
        let mut chain = Chain::default();
        lines.iter().enumerate().map(|(at, text)| chain.read(text, at + 1).map(|r| r.decision.id.to_string())).collect()
    }

    #[test]
    fn a_log_reads_back_and_the_next_line_follows_it() {
        let mut lines = log();
        assert_eq!(read(&lines).unwrap(), ["a", "b", "c"]);
        let mut chain = Chain::default();
        lines.iter().enumerate().for_each(|(at, text)| drop(chain.read(text, at + 1).unwrap()));
        lines.push(chain.append(record("d")));
        assert_eq!(read(&lines).unwrap().len(), 4);
        // A log whose beginning was put away still holds from there.
        assert_eq!(read(&lines[2..]).unwrap(), ["c", "d"]);
    }

    #[test]
    fn a_line_that_was_changed_dropped_or_moved_shows() {
        let mut changed = log();
        changed[1] = changed[1].replace("\"deny\"", "\"allow\"");
        assert_eq!(read(&changed), Err(ChainError::Changed { line: 2 }));
        let mut dropped = log();
        dropped.remove(1);
        assert_eq!(read(&dropped), Err(ChainError::Broken { line: 2 }));
        let mut moved = log();
        moved.swap(1, 2);
        assert_eq!(read(&moved), Err(ChainError::Broken { line: 2 }));
        assert!(matches!(read(&["{}".to_owned()]), Err(ChainError::Malformed { line: 1, .. })));
    }
}
