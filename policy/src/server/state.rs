//! What the doors share.

use super::judge::Logged;
use super::{Certificates, Keys};
use crate::{
    Allowlist, Burst, Bursts, Delegated, Delegation, Forms, Missions, Modes, Policies, PolicySet, Routes, Scorer,
    Wallets,
};
use arc_swap::ArcSwap;
use metrics::counter;
use schema::{Millis, Mode, RawCall};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, mpsc};

/// Bounds of the webhook. The defaults hold for one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes of one request body. Default: 1 MiB.
    pub body_bytes_max: usize,
    /// A body that takes longer to arrive is given up. Default: 5 s.
    pub body_ms_max: u64,
    /// Headers that take longer to arrive are given up (slow loris). Default: 5 s.
    pub header_ms_max: u64,
    /// Bytes of all headers of a request. Default: 32 KiB.
    pub header_bytes_max: u32,
    /// Connections at a time; more wait to be accepted. Default: 1,024.
    pub connections_max: u32,
    /// HTTP/2 streams of one connection at a time. Default: 512.
    pub streams_max: u32,
    /// HTTP/2 streams a peer may reset before we looked at them, before it is cut off (rapid reset). Default: 64.
    pub resets_max: u32,
    /// Questions in hand at a time; further ones are answered 429. Default: 1,024.
    pub in_flight_max: u32,
    /// After a shutdown, questions in hand get this long. Default: 10 s.
    pub drain_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 1024 * 1024,
            body_ms_max: 5_000,
            header_ms_max: 5_000,
            header_bytes_max: 32 * 1024,
            connections_max: 1_024,
            streams_max: 512,
            resets_max: 64,
            in_flight_max: 1_024,
            drain_ms_max: 10_000,
        }
    }
}

/// What the doors share.
pub struct AppState {
    /// Scores calls.
    pub scorer: Arc<dyn Scorer>,
    /// Answers from what is last known of a session, at once and marked degraded; asked when the scorer is late.
    pub standings: Option<Arc<dyn Scorer>>,
    /// Policies in force.
    pub policies: Arc<Policies>,
    /// Modes in force.
    pub modes: ArcSwap<Modes>,
    /// Deadlines and fallbacks.
    pub routes: Routes,
    /// What goes through whatever the policies say.
    pub allowlist: ArcSwap<Allowlist>,
    /// Pace of sessions and tools.
    pub bursts: Bursts,
    /// What sessions were started for.
    pub missions: Missions,
    /// The form that tools' arguments usually have.
    pub forms: Forms,
    /// What principals and tenants have cost.
    pub wallets: Wallets,
    /// Checks who stands behind a call; without it tokens are not looked at.
    pub delegation: Option<Delegation>,
    /// Reads the certificates of devices; without it none is known.
    pub certificates: Option<Certificates>,
    /// Bounds.
    pub limits: Limits,
    /// Where decisions are logged; one that does not fit is dropped and counted.
    pub log: Option<mpsc::Sender<Logged>>,
    /// Where calls go as they are seen, for those that a gateway gave an id to; one that does not fit is dropped and
    /// counted.
    pub seen: Option<mpsc::Sender<Arc<RawCall>>>,
    /// Keys of callers; without them anybody who reaches a door may ask.
    pub keys: Option<Keys>,
    pub(super) in_flight: Arc<Semaphore>,
    questions: AtomicU64,
}

impl AppState {
    /// With shipped routes and limits, no log, and no standings to fall back on.
    pub fn new(scorer: Arc<dyn Scorer>, policies: PolicySet, mode: Mode) -> Self {
        let limits = Limits::default();
        Self {
            scorer,
            standings: None,
            policies: Arc::new(Policies::new(policies)),
            modes: ArcSwap::from_pointee(Modes::only(mode)),
            routes: Routes::default(),
            allowlist: ArcSwap::default(),
            bursts: Bursts::new(Burst::default()),
            missions: Missions::default(),
            forms: Forms::default(),
            wallets: Wallets::default(),
            delegation: None,
            certificates: None,
            limits,
            log: None,
            seen: None,
            keys: None,
            in_flight: Arc::new(Semaphore::new(limits.in_flight_max as usize)),
            questions: AtomicU64::new(0),
        }
    }

    /// The same with other bounds.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.in_flight = Arc::new(Semaphore::new(limits.in_flight_max as usize));
        self.limits = limits;
        self
    }

    /// Who stands behind `raw`, by its tokens (`Vedette-Delegation`, outermost first, blanks or commas between): once
    /// they hold, they name principal and actors.
    pub(super) fn delegated(&self, raw: &mut RawCall, tokens: Option<&str>) -> Delegated {
        let (Some(delegation), Some(tokens)) = (&self.delegation, tokens) else { return Delegated::Unchecked };
        let tokens: Vec<&str> = tokens.split([' ', ',']).filter(|token| !token.is_empty()).collect();
        match delegation.verify(&tokens, now()) {
            Ok(chain) => {
                (raw.principal, raw.actor) = (Some(chain.principal), chain.actors);
                Delegated::Verified
            }
            Err(error) => {
                tracing::debug!(%error, "a delegation was refused");
                Delegated::Refused
            }
        }
    }

    /// Publishes a call that others will know by the same id.
    pub(super) fn publish(&self, raw: &Arc<RawCall>, door: &str) {
        let Some(seen) = &self.seen else { return };
        let is_own = raw.id.as_str().strip_prefix(door).is_some_and(|rest| rest.starts_with('/'));
        if !is_own && seen.try_send(Arc::clone(raw)).is_err() {
            counter!("vedette_policy_sightings_dropped_total").increment(1);
        }
    }

    /// Id of a question whose record names none; counts from 0 since the start.
    pub(super) fn fallback_id(&self, door: &str) -> String {
        format!("{door}/{}", self.questions.fetch_add(1, Ordering::Relaxed))
    }
}

/// The wall clock, at the rim.
pub(super) fn now() -> Millis {
    Millis(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64))
}
