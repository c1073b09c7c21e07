//! What a decision rests on: the call, what the detector says of it, what is known of its session.

use crate::Circumstances;
use schema::{Call, Standing, Verdict};

/// One question. All of it is recorded with the decision, so that the answer can be derived again.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The call, sealed.
    pub call: &'a Call,
    /// What the detector says of it.
    pub verdict: &'a Verdict,
    /// What was known of the session before.
    pub standing: Option<&'a Standing>,
    /// The verdict rests on less than the whole session; its p-value is then not used.
    pub degraded: bool,
    /// What the door knows beside these.
    pub circumstances: Circumstances,
}

impl<'a> Request<'a> {
    /// A question with the whole session behind it.
    pub fn new(call: &'a Call, verdict: &'a Verdict, standing: Option<&'a Standing>) -> Self {
        Self { call, verdict, standing, degraded: false, circumstances: Circumstances::default() }
    }

    /// The same question, answered from less than the whole session.
    #[must_use]
    pub fn degraded(self, degraded: bool) -> Self {
        Self { degraded, ..self }
    }

    /// The same question, under `circumstances`.
    #[must_use]
    pub fn under(self, circumstances: Circumstances) -> Self {
        Self { circumstances, ..self }
    }
}
