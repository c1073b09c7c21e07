//! What came out, as a diff a person reads.

use super::told::Expect;
use crate::answer::word;
use schema::{Decision, PolicyId};
use std::fmt;

/// What came of a scenario file. Displays as one line for all that passed and a diff for each call that did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Calls decided as expected.
    pub passed: usize,
    /// Calls decided otherwise.
    pub failures: Vec<Failure>,
}

/// A call that was decided otherwise than expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Name of the case.
    pub case: String,
    /// Which call of it, from 1.
    pub call: usize,
    /// Its tool.
    pub tool: String,
    /// Field, expected, found.
    pub differences: Vec<(&'static str, String, String)>,
    /// All policies that applied, the one that decided first.
    pub applied: Vec<PolicyId>,
}

impl Report {
    pub(super) fn take(&mut self, case: &str, call: usize, tool: &str, expect: &Expect, found: &Decision) {
        let decided = found.reasons.first().map_or("no policy permits it", PolicyId::as_str);
        let wait = |ms: Option<u64>| ms.map_or("none".to_owned(), |ms| ms.to_string());
        let mut differences = vec![];
        if expect.decision != found.decision {
            differences.push(("decision", word(expect.decision).to_owned(), word(found.decision).to_owned()));
        }
        if let Some(because) = expect.because.as_deref().filter(|because| *because != decided) {
            differences.push(("because", because.to_owned(), decided.to_owned()));
        }
        if expect.retry_after_ms.is_some() && expect.retry_after_ms != found.retry_after_ms {
            differences.push(("retry_after_ms", wait(expect.retry_after_ms), wait(found.retry_after_ms)));
        }
        if differences.is_empty() {
            self.passed += 1;
            return;
        }
        let (case, tool, applied) = (case.to_owned(), tool.to_owned(), found.reasons.clone());
        self.failures.push(Failure { case, call, tool, differences, applied });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.failures.iter().try_for_each(|failure| writeln!(f, "{failure}"))?;
        write!(f, "{} passed, {} failed", self.passed, self.failures.len())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: call {}, {}", self.case, self.call, self.tool)?;
        for (field, want, found) in &self.differences {
            writeln!(f, "  - {field}: {want}\n  + {field}: {found}")?;
        }
        let applied: Vec<&str> = self.applied.iter().map(PolicyId::as_str).collect();
        writeln!(f, "  applied: {}", applied.join(", "))
    }
}
