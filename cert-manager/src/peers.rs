//! Whether a device lets another one in, also when both are cut off: facts in, answer out.
//!
//! Devices that are cut off together outlive their certificates together. The rule for them, which is off until an
//! owner names classes: a peer whose certificate has expired is let in
//!
//! 1. if its class, as the certificate names it, is listed;
//! 2. if this device has heard nothing from the authority since the certificate expired: no status list, no signed
//!    time, no certificate of its own. Whoever has could have been told that the peer is no longer wanted, and a
//!    peer that is not cut off would have renewed;
//! 3. if this device keeps a status list at all, and the peer is not on it;
//! 4. for a while, 30 days unless the owner says otherwise, never more than 90.
//!
//! A peer that is on the list is refused however old the list is, expired or not, and one that is in quarantine may
//! only come back to the authority. The first match wins, in the order of [`admit`].

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::authority::POLICY_QUARANTINE;
use crate::facts::CertFacts;
use crate::revocation::{Said, StatusList};
use crate::time::{Millis, Span};

/// Longest grace there is: the life of a full certificate.
pub const GRACE_MAX: Span = Span::days(90);
/// Most classes that are listed.
pub const CLASSES_MAX: usize = 64;

/// Which peers are let in after their certificates have expired. Nobody, until somebody is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GraceConfig {
    /// Classes of devices. Default: none.
    pub classes: BTreeSet<String>,
    /// How long after expiry. Default: 30 days.
    pub longest_ms: Span,
}

impl Default for GraceConfig {
    fn default() -> Self {
        Self { classes: BTreeSet::new(), longest_ms: Span::days(30) }
    }
}

/// A grace that nobody should give.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("grace is for up to {CLASSES_MAX} classes and {GRACE_MAX}, not for {classes} and {longest}")]
pub struct GraceError {
    classes: usize,
    longest: Span,
}

/// [`GraceConfig`], within its limits. The default lets nobody in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grace {
    classes: BTreeSet<String>,
    longest: Span,
}

impl GraceConfig {
    /// Checks the limits.
    ///
    /// # Errors
    /// [`GraceError`].
    pub fn check(self) -> Result<Grace, GraceError> {
        let Self { classes, longest_ms: longest } = self;
        match classes.len() > CLASSES_MAX || longest > GRACE_MAX {
            true => Err(GraceError { classes: classes.len(), longest }),
            false => Ok(Grace { classes, longest }),
        }
    }
}

/// What this device knows from the authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The newest status list; `None`: it keeps none.
    pub status: Option<StatusList>,
    /// The newest moment the authority has signed for that is known here.
    pub heard: Millis,
}

/// On what ground a peer is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Its certificate is good.
    Good,
    /// It has expired, and everyone here is cut off.
    Grace,
}

/// Why a peer is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerRefusal {
    /// Its certificate is good for coming back to the authority only.
    #[error("the peer is in quarantine")]
    Quarantine,
    /// It is on the status list.
    #[error("the peer is revoked")]
    Revoked,
    /// Its certificate has expired, and its class gets no grace.
    #[error("the peer's certificate has expired")]
    Expired,
    /// It has expired, and this device keeps no status list to look it up in.
    #[error("the peer's certificate has expired, and no status list is kept here")]
    NoStatus,
    /// It has expired, and the authority was heard from since.
    #[error("the peer's certificate has expired, and the authority was heard from since")]
    NewerStatus,
    /// It has expired longer ago than the grace.
    #[error("the peer's certificate expired longer ago than the grace lasts")]
    TooLate,
}

/// Whether the device with the certificate `peer`, whose chain and key are proved, is let in at `now`, which is not
/// before [`Word::heard`]. A certificate that only begins later is no reason against it: `now` may be behind.
///
/// # Errors
/// [`PeerRefusal`].
pub fn admit(peer: &CertFacts, word: &Word, grace: &Grace, now: Millis) -> Result<Admission, PeerRefusal> {
    if peer.policies.iter().any(|policy| policy == POLICY_QUARANTINE) {
        return Err(PeerRefusal::Quarantine);
    }
    let said = word.status.as_ref().map(|list| list.says(peer.serial.bytes(), now));
    if said == Some(Said::Revoked) {
        return Err(PeerRefusal::Revoked);
    }
    if !peer.validity.expired(now) {
        return Ok(Admission::Good);
    }
    if !peer.class().is_some_and(|class| grace.classes.contains(class)) {
        return Err(PeerRefusal::Expired);
    }
    let Some(list) = &word.status else { return Err(PeerRefusal::NoStatus) };
    if word.heard.max(list.made()) > peer.validity.until {
        return Err(PeerRefusal::NewerStatus);
    }
    if now.since(peer.validity.until) > grace.longest { Err(PeerRefusal::TooLate) } else { Ok(Admission::Grace) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_grace_unless_named_and_nobody_for_ever() {
        assert_eq!(GraceConfig::default().check().unwrap().classes, BTreeSet::new());
        assert_eq!(serde_json::from_str::<GraceConfig>("{}").unwrap(), GraceConfig::default());
        assert!(serde_json::from_str::<GraceConfig>("{\"class\":[]}").is_err());
        let long = GraceConfig { longest_ms: Span(GRACE_MAX.0 + 1), ..GraceConfig::default() };
        assert_eq!(
            long.check().unwrap_err().to_string(),
            "grace is for up to 64 classes and 90 days, not for 0 and 90 days"
        );
        let many = GraceConfig { classes: (0..65).map(|n| n.to_string()).collect(), ..GraceConfig::default() };
        assert!(many.check().is_err());
    }
}
