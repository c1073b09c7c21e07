//! The owner of a session, one hop away. Any replica takes a question; where another one owns its session
//! (`members.rs`), the call goes there, sealed, and the answer comes back. There is no second hop: who is asked answers
//! or refuses.

pub mod answer; // what an owner says
mod door; // where other replicas ask this one
mod link; // a connection to another replica

pub use door::{LIMITS, router};

use crate::members::{Membership, owned_by, owned_by_mission};
use crate::webhook::Owner;
use answer::Answer;
use async_trait::async_trait;
use axum::http::StatusCode;
use link::Link;
use lru::LruCache;
use metrics::counter;
use policy::server::Tls;
use policy::{Mission, Scored, Scorer, ScorerError};
use schema::RawCall;
use serde::Serialize;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;

/// Asks whoever owns a call's session: this process, or another replica.
pub struct Hop {
    owner: Arc<Owner>,
    membership: Arc<Membership>,
    /// To other replicas; without it they are on this machine.
    tls: Option<Tls>,
    /// Connections outlive the question that opened them: they belong to the runtime that made this.
    runtime: Handle,
    links: Mutex<LruCache<Arc<str>, Arc<Link>>>,
}

impl Hop {
    /// What `membership` knows says who is asked; `owner` is this process's own. Needs a tokio runtime.
    pub fn new(owner: Arc<Owner>, membership: Arc<Membership>, tls: Option<Tls>) -> Self {
        Self { owner, membership, tls, runtime: Handle::current(), links: Mutex::new(LruCache::new(LINKS_MAX)) }
    }

    fn link(&self, address: Arc<str>) -> Arc<Link> {
        // Links are replaced as a whole, so those left by a thread that panicked are still whole.
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Link::new(Arc::clone(&address), self.tls.clone(), self.runtime.clone()));
        Arc::clone(links.get_or_insert(Arc::clone(&address), new))
    }

    /// What `read` makes of the answer; or why there is none.
    async fn ask<T>(
        &self,
        address: Arc<str>,
        path: &'static str,
        body: Vec<u8>,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, ScorerError> {
        let link = self.link(Arc::clone(&address));
        let gone = |why: String| Err(ScorerError::Unreachable(format!("{address}: {why}")));
        // Who waits for it has a deadline of its own; this one is for those that nobody waits for any more.
        let (outcome, said) = match tokio::time::timeout(HOP_MAX, link.post(path, body.into())).await {
            Ok(Ok((status, body))) if status.is_success() => match read(&body) {
                Some(answer) => ("answered", Ok(answer)),
                // By another build, perhaps: the call is answered for from what is last known of its session.
                None => ("unreadable", gone("the answer cannot be read".to_owned())),
            },
            Ok(Ok((StatusCode::TOO_MANY_REQUESTS, _))) => ("full", Err(ScorerError::Full)),
            // Who came or went a moment ago is not known to both yet.
            Ok(Ok((StatusCode::MISDIRECTED_REQUEST, _))) => ("misdirected", gone("it is not the owner".to_owned())),
            Ok(Ok((status, _))) => ("refused", gone(format!("it answered {status}"))),
            Ok(Err(why)) => ("unreachable", gone(why)),
            Err(_) => ("late", gone("no answer in time".to_owned())),
        };
        counter!("vedette_policy_forwarded_total", "outcome" => outcome).increment(1);
        said
    }
}

#[async_trait]
impl Scorer for Hop {
    async fn score(&self, raw: Arc<RawCall>) -> Result<Arc<Scored>, ScorerError> {
        let call = schema::seal(&raw, self.owner.key());
        let Some(address) = self.membership.owner(owned_by(self.owner.key(), &call)) else {
            return self.owner.judge(call);
        };
        let answer = self.ask(address, door::SCORE, written(&call), |body| Answer::read(body, &call)).await?;
        Ok(Arc::new(answer.take(call, self.owner.standings())))
    }

    async fn result(&self, raw: RawCall) -> Result<(), ScorerError> {
        let call = schema::seal(&raw, self.owner.key());
        match self.membership.owner(owned_by(self.owner.key(), &call)) {
            None => self.owner.note(call),
            Some(address) => self.ask(address, door::RESULT, written(&call), |_| Some(())).await,
        }
    }

    async fn mission(&self, mission: Mission) -> Result<Option<Mission>, ScorerError> {
        match self.membership.owner(owned_by_mission(self.owner.key(), &mission)) {
            None => Ok(Some(mission)),
            Some(address) => self.ask(address, door::MISSION, written(&mission), |_| Some(None)).await,
        }
    }
}

/// INVARIANT: strings, integers and finite numbers only, so it is always representable.
fn written(message: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(message).unwrap_or_default()
}

/// The two parts of `host:port`; none where it is not of that form. An IPv6 address stands in brackets.
pub fn host_and_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host.strip_prefix('[').map_or(Some(host), |host| host.strip_suffix(']'))?;
    let fits =
        |host: &str| !host.is_empty() && host.len() <= HOST_BYTES_MAX && host.bytes().all(|b| b.is_ascii_graphic());
    let port = port.parse().ok().filter(|port| *port > 0)?;
    fits(bare).then_some((bare, port))
}

/// A name in the DNS has no more (RFC 1035, section 2.3.4).
const HOST_BYTES_MAX: usize = 253;
/// Longest time for a hop, whoever still waits for it.
const HOP_MAX: Duration = Duration::from_secs(2);
/// Replicas with a connection.
const LINKS_MAX: NonZeroUsize = NonZeroUsize::new(crate::members::MEMBERS_MAX).unwrap();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(host_and_port("vedette-0.vedette:8184"), Some(("vedette-0.vedette", 8_184)));
        assert_eq!(host_and_port("[::1]:8184"), Some(("::1", 8_184)));
        for none in ["", "host", "host:", ":1", "host:0", "host:65536", "[::1:1", "a b:1", "h\u{7f}:1", "hôte:1"] {
            assert_eq!(host_and_port(none), None, "{none:?}");
        }
    }
}
