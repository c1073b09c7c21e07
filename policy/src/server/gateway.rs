//! What every door that sees a gateway's HTTP requests does: sight, judge, take the strictest answer.

use super::judge::{Judged, Question, Refusal};
use super::state::{AppState, now};
use crate::Certificate;
use crate::sighting::{Seen, sight};
use schema::decode::DecodeError;
use schema::{Mode, RawCall};
use std::time::Duration;

/// Why a gateway's question has no decision.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The request cannot be read as a call.
    Unreadable(DecodeError),
    /// Too many questions are in hand.
    Full,
}

/// Where a question comes from.
#[derive(Clone, Copy)]
pub(super) struct From<'a> {
    pub(super) door: &'static str,
    pub(super) route: Option<&'a str>,
    pub(super) within: Option<Duration>,
    /// Tokens of who stands behind the request, outermost first.
    pub(super) delegation: Option<&'a str>,
    /// The device's certificate.
    pub(super) certificate: Certificate,
}

impl<'a> From<'a> {
    /// A gateway that says neither how long it waits nor which certificate it saw.
    pub(super) fn door(door: &'static str, route: Option<&'a str>, delegation: Option<&'a str>) -> Self {
        Self { door, route, within: None, delegation, certificate: Certificate::default() }
    }
}

impl AppState {
    /// The strictest answer to the calls of a request; none when it holds no call, and may pass.
    pub(super) async fn ask(&self, seen: &Seen<'_>, from: From<'_>) -> Result<Option<Judged>, Unanswered> {
        let calls = sight(seen, &self.fallback_id(from.door)).map_err(Unanswered::Unreadable)?;
        self.ask_about(calls, from).await
    }

    /// The same for calls that were sighted already.
    pub(super) async fn ask_about(&self, calls: Vec<RawCall>, from: From<'_>) -> Result<Option<Judged>, Unanswered> {
        let mut strictest: Option<Judged> = None;
        for raw in calls {
            let From { door, route, within, delegation, certificate } = from;
            let judged = self
                .judge(Question { raw, door, route, within, delegation, certificate })
                .await
                .map_err(|Refusal::Full| Unanswered::Full)?;
            if strictest.as_ref().is_none_or(|so_far| judged.decision.decision > so_far.decision.decision) {
                strictest = Some(judged);
            }
        }
        Ok(strictest)
    }

    /// Whether a question without a decision may hold its call up: only where a mode enforces.
    pub(super) fn binds(&self, route: Option<&str>) -> bool {
        self.modes.load().at(route, None, now()) == Mode::Enforce
    }
}
