//! One line a call: `{"session","seq","risk","p_value","flagged","pattern","evidence":[…]}`. `score` writes it from a
//! file, `up` from what it read back from Kafka: equal calls give equal bytes.

use schema::{Evidence, PValue, Pattern, Risk, Verdict};
use serde::{Deserialize, Serialize};

/// The score of one call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreLine {
    /// Session as the data set names it.
    pub session: String,
    /// Place in the session, from 0.
    pub seq: u64,
    /// Higher is more anomalous.
    pub risk: Risk,
    /// Share of clean sessions that ever look so anomalous.
    pub p_value: PValue,
    /// Flagged with the shipped promise.
    pub flagged: bool,
    /// What it looks like.
    pub pattern: Pattern,
    /// Why, strongest first.
    pub evidence: Vec<Evidence>,
    /// What the order of tools alone says; for sequence sets only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence_risk: Option<Risk>,
}

impl ScoreLine {
    /// The line of a data set's call, whose id is `session/seq`. None where the id is no such thing.
    pub fn of(verdict: &Verdict, alpha: f64) -> Option<Self> {
        let (session, seq) = verdict.id.as_str().rsplit_once('/')?;
        Some(Self {
            session: session.to_owned(),
            seq: seq.parse().ok()?,
            risk: verdict.risk,
            p_value: verdict.p_value,
            flagged: verdict.flagged(alpha),
            pattern: verdict.pattern,
            evidence: verdict.evidence.clone(),
            sequence_risk: None,
        })
    }

    /// As written, without the line's end.
    pub fn to_json(&self) -> String {
        // INVARIANT: every field is a string, a number in range or a list of such; JSON can hold them all.
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::{CallId, Digest, How, Session};

    fn verdict(id: &str) -> Verdict {
        Verdict {
            v: 1,
            id: CallId::new(id).unwrap(),
            session: Session::new("s-1").unwrap(),
            how: How::Explicit,
            sure: 1.0,
            risk: Risk::new(0.97).unwrap(),
            p_value: PValue::new(0.0004).unwrap(),
            pattern: Pattern::Injection,
            model: Digest::of(b"model"),
            exposed: true,
            learning: false,
            evidence: Vec::new(),
        }
    }

    #[test]
    fn a_line_is_the_contract() {
        assert_eq!(
            ScoreLine::of(&verdict("s-1/12"), 0.01).unwrap().to_json(),
            r#"{"session":"s-1","seq":12,"risk":0.97,"p_value":0.0004,"flagged":true,"pattern":"injection","evidence":[]}"#
        );
        assert_eq!(ScoreLine::of(&verdict("a/b/3"), 0.01).unwrap().session, "a/b");
        assert_eq!(ScoreLine::of(&verdict("01JD"), 0.01), None);
    }

    #[test]
    fn the_sequence_set_adds_one_field() {
        let line =
            ScoreLine { sequence_risk: Some(Risk::new(0.5).unwrap()), ..ScoreLine::of(&verdict("s/0"), 0.01).unwrap() };
        assert!(line.to_json().ends_with(r#""evidence":[],"sequence_risk":0.5}"#));
    }
}
