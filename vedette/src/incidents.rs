//! One incident a session: its first flagged call opens it, later ones are told where they say more.

use schema::{Millis, Pattern, Verdict};
use serde::{Deserialize, Serialize};

/// What is known of a session's incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Time of the call that opened it.
    pub opened: Millis,
    /// Time of its latest flagged call.
    pub last: Millis,
    /// Flagged calls.
    pub calls: u32,
    /// The highest so far.
    pub severity: Severity,
    /// What its latest told call speaks of.
    pub pattern: Pattern,
}

/// How grave an incident is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// At the share of honest sessions that may be flagged.
    Medium,
    /// At a tenth of it.
    High,
}

/// What others are to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// There is an incident.
    Opened,
    /// It is graver than it was, or of another kind.
    Changed,
}

impl Incident {
    /// Takes a flagged call in; says what there is to tell, if anything.
    pub fn take(held: &mut Option<Self>, verdict: &Verdict, at: Millis, alpha: f64) -> Option<(News, Incident)> {
        let severity = if verdict.p_value.get() <= alpha / 10.0 { Severity::High } else { Severity::Medium };
        let Some(incident) = held else {
            let opened = Self { opened: at, last: at, calls: 1, severity, pattern: verdict.pattern };
            *held = Some(opened);
            return Some((News::Opened, opened));
        };
        incident.last = incident.last.max(at);
        incident.calls = incident.calls.saturating_add(1);
        let other_kind = verdict.pattern != Pattern::None && verdict.pattern != incident.pattern;
        let news = severity > incident.severity || other_kind;
        incident.severity = incident.severity.max(severity);
        if other_kind {
            incident.pattern = verdict.pattern;
        }
        news.then_some((News::Changed, *incident))
    }
}
