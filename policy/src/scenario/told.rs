//! The file, as it is written. Unknown keys are refused: a misspelt expectation would pass for ever.

use crate::{Circumstances, Scored};
use schema::decode::{DecodeError, Received, native};
use schema::{
    Budgets, Digest, Ladder, Millis, PValue, Pattern, RECORD_VERSION, Risk, Standing, TenantKey, Verdict, seal,
};
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) calls: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// A call record (DESIGN, "The call record"); only `tool` is needed.
    call: Map<String, Value>,
    #[serde(default)]
    verdict: Said,
    standing: Option<Known>,
    #[serde(default)]
    degraded: bool,
    #[serde(default)]
    pub(super) circumstances: Circumstances,
    pub(super) expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Said {
    risk: Option<Risk>,
    p_value: PValue,
    pattern: Pattern,
    exposed: bool,
    learning: bool,
}

impl Default for Said {
    fn default() -> Self {
        Self { risk: None, p_value: PValue::clamped(1.0), pattern: Pattern::None, exposed: false, learning: false }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Known {
    risk: Risk,
    exposed: bool,
    budgets: Budgets,
    /// Since the session's last call.
    quiet_ms: u64,
}

impl Default for Known {
    fn default() -> Self {
        Self { risk: Risk::clamped(0.0), exposed: false, budgets: Budgets::default(), quiet_ms: 0 }
    }
}

/// What is expected; what is left out may be anything.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) decision: Ladder,
    /// The policy that decided.
    pub(super) because: Option<String>,
    pub(super) retry_after_ms: Option<u64>,
}

impl Step {
    pub(super) fn scored(&self, at: usize) -> Result<Scored, DecodeError> {
        let mut record = Map::from_iter([
            ("at".to_owned(), Value::from(NOON.0 + 1_000 * at as u64)),
            ("session".to_owned(), Value::from("scenario")),
            ("phase".to_owned(), Value::from("request")),
        ]);
        record.extend(self.call.clone());
        let bytes = serde_json::to_vec(&record).unwrap_or_default();
        let raw = native::decode(&bytes, &Received { at: NOON, id: format!("scenario/{at}") })?;
        // Any key will do: a decision compares no fingerprints.
        let call = seal(&raw, &TenantKey::new([0; 32]));
        let said = &self.verdict;
        let verdict = Verdict {
            v: RECORD_VERSION,
            id: call.id.clone(),
            session: call.session.clone(),
            how: call.how,
            sure: call.how.sure(),
            risk: said.risk.unwrap_or_else(|| Risk::clamped(1.0 - said.p_value.get())),
            p_value: said.p_value,
            pattern: said.pattern,
            model: Digest([0; 32]),
            exposed: said.exposed,
            learning: said.learning,
            evidence: vec![],
        };
        let standing = self.standing.as_ref().map(|known| Standing {
            v: RECORD_VERSION,
            session: call.session.clone(),
            risk: known.risk,
            exposed: known.exposed,
            last: vec![],
            budgets: known.budgets,
            at: Millis(call.at.0.saturating_sub(known.quiet_ms)),
        });
        Ok(Scored { degraded: self.degraded, ..Scored::new(call, verdict, standing) })
    }
}

/// A noon of 2026, in ms: scenarios run at a time of their own.
const NOON: Millis = Millis(1_795_348_800_000);
