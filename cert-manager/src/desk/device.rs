//! What the desk makes of a device that asks: how risky it looks, and what it says of itself.

use super::peer::{DevicePeer, DeviceStanding};
use super::{Desk, HOLDS_HEADER, Peer, later};
use crate::bundle::Kind;
use crate::holds::Holds;
use crate::http::{Request, Response};
use crate::ledger::{Job, Told};
use crate::risk::{Release, Risk};
use crate::time::{Millis, Span};

impl Desk {
    /// The risk of a device that asks for its next certificate. One in quarantine waits until what it did while it was
    /// away has been looked at.
    pub(super) fn risk_of(&self, device: &DevicePeer, now: Millis) -> Result<Risk, Response> {
        let risk = match self.risk.risk(&device.name) {
            Risk::Green if self.runs_a_stale_model(device, now) => Risk::Amber,
            risk => risk,
        };
        if device.standing != DeviceStanding::Quarantine {
            return Ok(risk);
        }
        match (self.risk.release(&device.name, now), risk) {
            (Release::Later(span), _) => Err(later(span)),
            (Release::Unscored, Risk::Green | Risk::Amber) => Ok(Risk::Away),
            (Release::Now | Release::Unscored, risk) => Ok(risk),
        }
    }

    /// Whether a device said last that it runs a model whose time is over.
    fn runs_a_stale_model(&self, device: &DevicePeer, now: Millis) -> bool {
        let told = self.ledger.told(&device.name).ok().flatten();
        let model = told.map(|told| told.holds.model).filter(|model| *model > 0);
        model.and_then(|model| self.shelf.published(Kind::Model, model)).is_some_and(|manifest| manifest.stale(now))
    }

    /// What a device says it holds, where that is news: something else than last time, or said long ago. What
    /// cannot be read is passed over; it is for people, and no reason to refuse a device anything.
    pub(super) fn told(&self, peer: &Peer, request: &Request, now: Millis) -> Option<Job> {
        let Peer::Device(device) = peer else { return None };
        let holds: Holds = request.header(HOLDS_HEADER)?.parse().ok()?;
        let before = self.ledger.told(&device.name).ok()?;
        let known = before.is_some_and(|told| told.holds == holds && now.since(told.at_ms) < TOLD_AGAIN);
        (!known).then(|| Job::Note { device: device.name.clone(), told: Told { at_ms: now, holds } })
    }
}

/// What a device says again unchanged is noted once in this time: a page shows when it was last heard.
const TOLD_AGAIN: Span = Span::hours(12);
