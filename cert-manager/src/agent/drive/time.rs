//! What time it is: the clock from all that is known of it, the authority asked, and the root documents it speaks of.

use super::{Agent, AgentError, Moment, ROOT_FILE, good, random, unacceptable};
use crate::agent::channel::{Channel, Identity};
use crate::agent::storage::Storage;
use crate::floor::{Clock, Nonce, read_time_answer};
use crate::http::Request;
use crate::sign::Role;
use crate::time::Span;
use crate::trust::STEPS_MAX;

impl<S: Storage, C: Channel> Agent<S, C> {
    pub(super) fn clock(&self, moment: Moment) -> Clock {
        let signed = self.signed.map(|(at, then)| (at, Span(moment.elapsed.0.saturating_sub(then.0))));
        let floor = self.memory.floor.raised(self.woke_at.at() + moment.elapsed);
        Clock { floor, local: moment.local, signed }
    }

    pub(super) fn ask_time(&mut self, moment: Moment) -> Result<(), AgentError> {
        self.asked = Some(moment.elapsed);
        let nonce = Nonce(random()?);
        let body = format!("{{\"nonce\":\"{}\"}}", String::from(nonce));
        let identity = self.identity(&self.store.look()?)?;
        let request = Request::post("/v1/time", "application/json", body.into_bytes());
        let response = good(self.channel.exchange(identity.as_ref(), &request)?, 200)?;
        let answer = read_time_answer(&response.body, self.trust.keys(Role::Time), nonce).map_err(unacceptable)?;
        self.signed = Some((answer.time_ms, moment.elapsed));
        self.memory.floor = self.memory.floor.raised(answer.time_ms);
        self.remember()?;
        if answer.trust_version > self.trust.version() { self.walk(identity.as_ref()) } else { Ok(()) }
    }

    /// Walks to the newest root document, one request a step.
    fn walk(&mut self, identity: Option<&Identity>) -> Result<(), AgentError> {
        for _ in 0..STEPS_MAX {
            let next = Request::get(format!("/v1/trust/{}", self.trust.version().saturating_add(1)));
            let response = self.channel.exchange(identity, &next)?;
            if response.status == 404 {
                break;
            }
            self.trust = self.trust.step(&good(response, 200)?.body).map_err(unacceptable)?;
        }
        self.store.keep(ROOT_FILE, self.trust.bytes())?;
        Ok(())
    }
}
