//! What a request for a certificate gets: line and ask in, ruling out. No clock, no store.
//!
//! In this order, first match wins:
//!
//! 1. revoked → refused, for ever, expired or not;
//! 2. an operator's approval of this very key → a quarantine certificate, whatever follows below;
//! 3. forked → refused until an operator decides;
//! 4. a key this device never had → refused;
//! 5. the certificate shown expired longer ago than the class's window → refused, nothing changes
//!    (an old disk found in a drawer must not be able to disturb the live device);
//! 6. a request id already answered, same keys, and nothing issued since → the same bytes again;
//! 7. not the latest key, or not the latest receipt → fork: both parties stop, evidence is kept;
//! 8. expired, and the year's returns are spent → refused;
//! 9. risk red → wait (202);
//! 10. expired → a quarantine certificate; else green → full life, amber or scorer away → short.

use serde::{Deserialize, Serialize};

use super::line::{Head, Line, Seen, Standing};
use crate::device::RequestId;
use crate::digest::Digest;
use crate::risk::Risk;
use crate::time::{Millis, Span};

/// Lifetimes and windows of one class of devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClassPolicy {
    /// Life of a full certificate. Default 90 days: renewal starts at 60, so an outage of a month
    /// is not even noticed, and a stolen key is worth a quarter.
    pub full_life_ms: Span,
    /// Life when risk is amber or unknown. Default 7 days: long enough for a weekend without a
    /// scorer, short enough to be asked again soon.
    pub short_life_ms: Span,
    /// Life of a quarantine certificate, at most 24 hours.
    pub quarantine_life_ms: Span,
    /// How long after expiry a device may come back by itself. Default 400 days: a yearly visit
    /// that slips by a month.
    pub window_ms: Span,
    /// Returns after expiry a year. Default 3.
    pub returns_a_year: usize,
    /// How long to wait when told to. Default 1 hour.
    pub retry_after_ms: Span,
    /// Whether a renewal must show its newest receipt and bring a new key. Plain EST clients can do
    /// neither; their clones are found by key alone.
    pub receipts: Receipts,
    /// Whether a first enrolment waits for an operator.
    pub enrolment: Enrolment,
}

/// Whether renewals must show their newest receipt.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Receipts {
    /// Yes: `vedette-agent` does.
    #[default]
    Required,
    /// Checked when shown: for plain EST clients.
    Optional,
}

/// Whether a first enrolment with a good credential is answered at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Enrolment {
    /// Yes.
    #[default]
    Automatic,
    /// 202 until `vedette ca approve`.
    Approved,
}

impl Default for ClassPolicy {
    fn default() -> Self {
        Self {
            full_life_ms: Span::days(90),
            short_life_ms: Span::days(7),
            quarantine_life_ms: Span::hours(24),
            window_ms: Span::days(400),
            returns_a_year: 3,
            retry_after_ms: Span::hours(1),
            receipts: Receipts::Required,
            enrolment: Enrolment::Automatic,
        }
    }
}

/// A renewal as the server sees it, after TLS has proved possession of `by`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// The try, the same across retries.
    pub request: RequestId,
    /// Id of the key it authenticated with.
    pub by: Digest,
    /// Last valid moment of the certificate it authenticated with.
    pub by_until: Millis,
    /// Id of the key it wants a certificate for; possession is proved by the request's signature.
    pub new_key: Digest,
    /// The newest receipt it showed; the ledger has seen that it is ours.
    pub head: Option<Head>,
}

/// What the ledger remembers that bears on one ask.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// The answer given to this request id before.
    pub seen: Option<Seen>,
    /// Whether the key it authenticated with was ever this device's.
    pub knows_by: bool,
    /// Whether the key it wants was ever any device's.
    pub knows_new_key: bool,
}

/// What a request for a certificate gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// The bytes already answered to this request id.
    Replay,
    /// A new certificate.
    Issue(Grant),
    /// Nothing yet; ask again.
    Later(Span),
    /// Two parties hold this line: quarantine it, keep the evidence.
    Fork,
    /// No.
    Refuse(Refusal),
}

/// What kind of certificate is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Full life.
    Full,
    /// Short, because the device looks unusual.
    Amber,
    /// Short, because nobody could say how it looks.
    Degraded,
    /// At most 24 hours, for renewal, time, trust and telemetry only; counts against the budget.
    Quarantine,
}

/// Why there is no certificate; each names the operator's way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Refusal {
    /// The device was revoked. Way out: `vedette ca voucher`.
    #[error("the device is revoked")]
    Revoked,
    /// Two parties held the line. Way out: `vedette ca approve`, naming the key to believe.
    #[error("two parties hold this device's line")]
    Forked,
    /// No such device. Way out: `vedette ca token`.
    #[error("no such device")]
    UnknownDevice,
    /// A key this device never had. Way out: `vedette ca voucher`.
    #[error("this key never was the device's")]
    UnknownKey,
    /// Expired longer ago than the window. Way out: `vedette ca approve` or `voucher`.
    #[error("expired longer ago than the window allows")]
    OutsideWindow,
    /// The year's returns are spent. Way out: `vedette ca approve`.
    #[error("the year's returns after expiry are spent")]
    BudgetSpent,
    /// The class wants the newest receipt and none was shown.
    #[error("the newest receipt is missing")]
    ReceiptMissing,
    /// A receipt that is another device's, or that we never signed.
    #[error("the receipt is not this device's")]
    Receipt,
    /// The class wants a new key with each certificate.
    #[error("the key was used before")]
    KeyReused,
    /// A request id that was used with other keys.
    #[error("the request id was used for another request")]
    RequestReused,
    /// No, or a spent, one-time credential. Way out: `vedette ca token`.
    #[error("the enrolment credential is not valid")]
    Credential,
    /// The device is enrolled already. Way out: `vedette ca voucher`.
    #[error("the device is enrolled already")]
    AlreadyEnrolled,
}

/// Rules on a renewal.
pub fn rule(line: &Line, ask: &Ask, memory: &Memory, class: &ClassPolicy, risk: Risk, now: Millis) -> Ruling {
    if matches!(line.standing, Standing::Revoked { .. }) {
        return Ruling::Refuse(Refusal::Revoked);
    }
    if line.approved == Some(ask.by) {
        return by_risk(risk, Grant::Quarantine, class);
    }
    if matches!(line.standing, Standing::Forked { .. }) {
        return Ruling::Refuse(Refusal::Forked);
    }
    if !memory.knows_by {
        return Ruling::Refuse(Refusal::UnknownKey);
    }
    let late = now.since(ask.by_until);
    if late > class.window_ms {
        return Ruling::Refuse(Refusal::OutsideWindow);
    }
    if let Some(seen) = &memory.seen {
        return again(line, ask, seen);
    }
    if let Some(ruling) = continues(line, ask, memory, class) {
        return ruling;
    }
    if late == Span::ZERO {
        return by_risk(risk, Grant::Full, class);
    }
    if line.recoveries_since(now) >= class.returns_a_year {
        return Ruling::Refuse(Refusal::BudgetSpent);
    }
    by_risk(risk, Grant::Quarantine, class)
}

/// A request id that was answered before.
fn again(line: &Line, ask: &Ask, seen: &Seen) -> Ruling {
    let same = seen.device == line.device && seen.by == ask.by && seen.new_key == ask.new_key;
    match same {
        false => Ruling::Refuse(Refusal::RequestReused),
        // An honest device never repeats a request once it has gone on from its answer.
        true if seen.n != line.head.n => Ruling::Fork,
        true => Ruling::Replay,
    }
}

/// Whether the ask goes on from the end of the line; `None` when it does.
fn continues(line: &Line, ask: &Ask, memory: &Memory, class: &ClassPolicy) -> Option<Ruling> {
    if ask.by != line.key || ask.head.is_some_and(|head| head != line.head) {
        return Some(Ruling::Fork);
    }
    if class.receipts == Receipts::Optional {
        return None;
    }
    match ask.head {
        None => Some(Ruling::Refuse(Refusal::ReceiptMissing)),
        Some(_) if memory.knows_new_key => Some(Ruling::Refuse(Refusal::KeyReused)),
        Some(_) => None,
    }
}

fn by_risk(risk: Risk, best: Grant, class: &ClassPolicy) -> Ruling {
    match (risk, best) {
        (Risk::Red, _) => Ruling::Later(class.retry_after_ms),
        (_, Grant::Quarantine) => Ruling::Issue(Grant::Quarantine),
        (Risk::Amber, _) => Ruling::Issue(Grant::Amber),
        (Risk::Away, _) => Ruling::Issue(Grant::Degraded),
        (Risk::Green, best) => Ruling::Issue(best),
    }
}

impl ClassPolicy {
    /// How long a certificate of kind `grant` lives. Quarantine never exceeds 24 hours, whatever
    /// the configuration says.
    pub fn life(&self, grant: Grant) -> Span {
        match grant {
            Grant::Full => self.full_life_ms,
            Grant::Amber | Grant::Degraded => self.short_life_ms.min(self.full_life_ms),
            Grant::Quarantine => self.quarantine_life_ms.min(Span::hours(24)),
        }
    }
}
