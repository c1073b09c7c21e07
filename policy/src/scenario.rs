//! Scenario files: calls with what the detector says of them, and the decisions a policy set is to take. Pure; the
//! engine of `vedette policy test FILE`.
//!
//! ```yaml
//! cases:
//!   - name: a hijacked agent is stopped before it pays
//!     calls:
//!       - call: { tool: send_money, agent: planner@3, app: bank }
//!         verdict: { p_value: 0.004, pattern: injection, exposed: true }
//!         expect: { decision: deny, because: injection }
//! ```
//!
//! What is left out is ordinary: a p-value of 1, no pattern, no standing, not degraded, not learning.

mod report; // what came out, as a diff
mod told; // the file

pub use report::{Failure, Report};

use crate::{PolicySet, Request, decide};
use schema::decode::DecodeError;
use schema::{Millis, Mode};
use told::File;

/// Longest scenario file, in bytes.
pub const SCENARIO_BYTES_MAX: usize = 1024 * 1024;
/// Calls in one scenario file.
pub const SCENARIO_CALLS_MAX: usize = 10_000;

/// Why a scenario file cannot be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// No scenario file; the message has line and column.
    #[error("{0}")]
    Yaml(String),
    /// Too long.
    #[error("{0} bytes, over the limit of {SCENARIO_BYTES_MAX}")]
    TooLong(usize),
    /// Too many calls.
    #[error("{0} calls, over the limit of {SCENARIO_CALLS_MAX}")]
    TooMany(usize),
    /// It would pass whatever the policies say.
    #[error("there is no call in it that expects something")]
    Empty,
    /// A call that no gateway could have sent.
    #[error("case `{case}`, call {call}: {source}")]
    Call {
        /// Name of the case.
        case: String,
        /// Which call of it, from 1.
        call: usize,
        /// What is wrong.
        source: DecodeError,
    },
}

/// Runs every case of `text` against `policies`, as if they were enforced.
pub fn run(text: &str, policies: &PolicySet) -> Result<Report, ScenarioError> {
    if text.len() > SCENARIO_BYTES_MAX {
        return Err(ScenarioError::TooLong(text.len()));
    }
    let file: File = serde_saphyr::from_str(text).map_err(|error| ScenarioError::Yaml(error.to_string()))?;
    match file.cases.iter().map(|case| case.calls.len()).sum() {
        0 => return Err(ScenarioError::Empty),
        calls if calls > SCENARIO_CALLS_MAX => return Err(ScenarioError::TooMany(calls)),
        _ => {}
    }
    let mut report = Report::default();
    for case in file.cases {
        for (at, step) in case.calls.iter().enumerate() {
            let call = at + 1;
            let scored =
                step.scored(at).map_err(|source| ScenarioError::Call { case: case.name.clone(), call, source })?;
            let request = Request::new(&scored.call, &scored.verdict, scored.standing.as_ref())
                .degraded(scored.degraded)
                .under(step.circumstances);
            let decision = decide(&request, policies, Mode::Enforce, Millis(scored.call.at.0));
            report.take(&case.name, call, scored.call.tool.as_str(), &step.expect, &decision);
        }
    }
    Ok(report)
}
