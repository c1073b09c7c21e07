//! What a device does next: facts in, step out. No clock, no disk, no network.
//!
//! ```text
//! HEALTHY -> DUE -> STAGED -> ISSUED -> PROBED -> COMMITTED -> HEALTHY
//! beside: STALE (due, authority away), GRACE (expired), QUARANTINED (24 h, to come back in),
//!         NEEDS_VOUCHER, FORKED, REVOKED (an operator must act; asked again once a day)
//! ```

use serde::{Deserialize, Serialize};

use crate::ledger::rules::Refusal;
use crate::time::{Millis, Span, Validity};

/// Shortest time between two issuances that a server's hint may cause.
pub const MIN_INTERVAL: Span = Span::hours(1);
/// Longest sleep of a healthy device.
pub const NAP_MAX: Span = Span::hours(24);
/// How often a refused device asks whether an operator has acted.
pub const REFUSED_RETRY: Span = Span::hours(24);
/// Longest wait between two attempts while the authority fails.
pub const BACKOFF_MAX: Span = Span::hours(6);
/// Longest wait between two knocks (a bare TCP connect: no TLS, no key, no request) while the
/// authority is out of reach. A knock that is answered lets the next attempt go at once, so a device
/// is back within this time though its attempts are hours apart.
pub const KNOCK_EVERY: Span = Span::minutes(45);

/// Chance, drawn by the caller: 0 is none, `u32::MAX` is most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chance(pub u32);

impl Trouble {
    /// An attempt failed.
    pub fn failed(&mut self, now: Millis, unreachable: bool) {
        self.failures = self.failures.saturating_add(1);
        self.last = now;
        self.unreachable = unreachable;
    }

    /// A knock was answered: the next attempt may go at once.
    pub fn answered(&mut self) {
        self.unreachable = false;
        self.last = Millis(0);
    }
}

impl Chance {
    fn of(self, span: Span) -> Span {
        span.fraction(u64::from(self.0), u64::from(u32::MAX))
    }
}

/// Everything the next step depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Best guess of now.
    pub now: Millis,
    /// Whether it rests on a signed time.
    pub sure: bool,
    /// How long ago the time was asked for in this boot, answered or not.
    pub asked: Option<Span>,
    /// The newest usable pair.
    pub held: Option<Held>,
    /// Whether a request is staged.
    pub staged: bool,
    /// Whether a first credential (token or factory certificate) is at hand.
    pub credential: bool,
    /// When the server would like a renewal.
    pub hint: Option<Window>,
    /// What happened to the attempts since the last success.
    pub trouble: Trouble,
    /// Drawn once per certificate, so that it stays the same across boots.
    pub chance: Chance,
}

/// The newest usable pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// When its certificate is valid.
    pub validity: Validity,
    /// Whether it is a quarantine certificate.
    pub quarantine: bool,
    /// Whether the authority has accepted it in a handshake since it was installed.
    pub probed: bool,
    /// Whether the pointer names it.
    pub current: bool,
}

/// A stretch of time in which a server would like a renewal (after RFC 9773).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its begin.
    pub from: Millis,
    /// Its end.
    pub until: Millis,
}

/// What happened to the attempts since the last success.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trouble {
    /// Failed attempts in a row.
    pub failures: u32,
    /// When the last one was.
    pub last: Millis,
    /// When the server said to come back.
    pub not_before: Millis,
    /// Whether nothing answered at all, as opposed to an answer that was no help.
    pub unreachable: bool,
    /// When somebody last knocked in vain.
    pub knocked: Millis,
    /// What the server refused.
    pub refused: Option<Refusal>,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Sleep until then.
    Wait {
        /// When to look again.
        until: Millis,
    },
    /// See whether the authority's port answers; nothing else.
    Knock,
    /// Ask for a signed time: what follows would rest on the local clock alone.
    AskTime,
    /// Make a key and a request id, durably.
    Stage,
    /// Send the staged request.
    Send,
    /// Show the new pair to the authority.
    Probe,
    /// Point `current` at the new pair.
    Commit,
    /// Nothing can be done without a token, a voucher or a factory certificate.
    Stop,
}

/// Where the device is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Nothing to do.
    Healthy,
    /// Time to renew.
    Due,
    /// A key waits for its certificate.
    Staged,
    /// A certificate waits for its probe.
    Issued,
    /// A probed pair waits for the pointer.
    Probed,
    /// Time to renew, and the authority is away.
    Stale,
    /// Expired; may come back by itself.
    Grace,
    /// Back, for 24 hours at most.
    Quarantined,
    /// An operator must give a token or a voucher, or approve.
    NeedsVoucher,
    /// Two parties hold this device's line.
    Forked,
    /// Revoked.
    Revoked,
}

/// When a certificate is due: at two thirds of its life, up to a twelfth later by chance, sooner where
/// the server hints so.
pub fn due(held: &Held, hint: Option<Window>, chance: Chance) -> Millis {
    let life = held.validity.life();
    // A quarantine certificate is there to be replaced: it is due at once.
    let own = match held.quarantine {
        true => held.validity.from,
        false => held.validity.from + life.fraction(2, 3) + chance.of(life.fraction(1, 12)),
    };
    let hinted = hint.map(|w| w.from + chance.of(w.until.since(w.from)));
    let not_before = held.validity.from + MIN_INTERVAL;
    hinted.map_or(own, |at| own.min(at.max(not_before)))
}

/// Wait after `failures` failed attempts: 1, 2, 4 … minutes up to [`BACKOFF_MAX`], half of it by chance.
pub fn backoff(failures: u32, chance: Chance) -> Span {
    if failures == 0 {
        return Span::ZERO;
    }
    let full = Span(Span::minutes(1).0.saturating_mul(1 << (failures - 1).min(20))).min(BACKOFF_MAX);
    let half = full.fraction(1, 2);
    Span(half.0 + chance.of(half).0)
}

/// Says what to do next.
pub fn next_step(facts: &Facts) -> Step {
    let wanted = wanted(facts);
    match wanted {
        Step::Wait { .. } | Step::Stop | Step::Stage | Step::Commit => wanted,
        Step::Knock | Step::AskTime | Step::Send | Step::Probe => gated(facts, wanted),
    }
}

/// Where the device is.
pub fn state(facts: &Facts) -> State {
    match facts.trouble.refused {
        Some(Refusal::Revoked) => return State::Revoked,
        Some(Refusal::Forked) => return State::Forked,
        Some(_) => return State::NeedsVoucher,
        None => {}
    }
    let Some(held) = &facts.held else {
        return match (facts.staged, facts.credential) {
            (true, _) => State::Staged,
            (false, true) => State::Due,
            (false, false) => State::NeedsVoucher,
        };
    };
    match () {
        () if !held.probed => State::Issued,
        () if !held.current => State::Probed,
        () if held.validity.expired(facts.now) => State::Grace,
        () if held.quarantine => State::Quarantined,
        () if facts.now < due(held, facts.hint, facts.chance) && !facts.staged => State::Healthy,
        () if facts.trouble.failures > 0 => State::Stale,
        () if facts.staged => State::Staged,
        () => State::Due,
    }
}

/// What should happen, were the network always there.
fn wanted(facts: &Facts) -> Step {
    match &facts.held {
        Some(held) if !held.probed => Step::Probe,
        Some(held) if !held.current => Step::Commit,
        _ if facts.staged => Step::Send,
        None if facts.credential => Step::Stage,
        None => Step::Stop,
        Some(held) => {
            let due = due(held, facts.hint, facts.chance);
            match facts.now < due {
                // A clock that stands still, or years behind, makes everything look far from due. So
                // each boot asks once, and once a day while nobody answers.
                true if !facts.sure && facts.asked.is_none_or(|ago| ago >= NAP_MAX) => Step::AskTime,
                true => Step::Wait { until: due.min(facts.now + NAP_MAX) },
                // The local clock may be years ahead: a question costs one round trip, a needless
                // certificate costs a link of the chain.
                false if !facts.sure => Step::AskTime,
                false => Step::Stage,
            }
        }
    }
}

/// Holds a step that needs the authority back until it may be tried.
fn gated(facts: &Facts, step: Step) -> Step {
    let trouble = &facts.trouble;
    if trouble.refused.is_some() {
        let until = trouble.last + REFUSED_RETRY;
        return if facts.now < until { Step::Wait { until } } else { step };
    }
    let until = (trouble.last + backoff(trouble.failures, facts.chance)).max(trouble.not_before);
    // A clock that was set back must not turn minutes into years.
    let sane = until.since(facts.now) <= BACKOFF_MAX.max(REFUSED_RETRY);
    if facts.now >= until || !sane {
        return step;
    }
    // Only where nothing answered at all: behind a port that answers, knocking would turn every
    // failed attempt into the next one.
    if !trouble.unreachable {
        return Step::Wait { until };
    }
    let knock = trouble.knocked.max(trouble.last) + knock_wait(trouble.failures, facts.chance);
    if facts.now >= knock { Step::Knock } else { Step::Wait { until: until.min(knock) } }
}

/// Knocks are spread like attempts, but never further apart than [`KNOCK_EVERY`].
fn knock_wait(failures: u32, chance: Chance) -> Span {
    backoff(failures, chance).min(KNOCK_EVERY)
}
