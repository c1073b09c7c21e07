//! What is known of a call beside its verdict and its session's standing. Recorded with the decision, so that it can be
//! derived again.

use schema::Ladder;
use serde::{Deserialize, Serialize};

/// Facts of the door: pace, mission, delegation, form. The default is a call about which nothing of this is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Circumstances {
    /// Until the session's burst is over, in ms; 0: it is within its pace.
    pub burst_wait_ms: u64,
    /// How the call fits what was declared for its session.
    pub mission: Fit,
    /// Who stands behind the call, by its tokens.
    pub delegation: Delegated,
    /// How far the arguments have the form this tool usually gets, in thousandths; none where nothing is known of it.
    pub conformity_permille: Option<u16>,
    /// What the principal has used, in thousandths of the operator's currency unit.
    pub principal_milliunits: u64,
    /// What the tenant has used, likewise.
    pub tenant_milliunits: u64,
    /// The device's certificate.
    pub certificate: Certificate,
}

/// What is known of the certificate that the call's device showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Certificate {
    /// On what terms it was issued.
    pub class: CertificateClass,
    /// Since it was issued, in ms.
    pub age_ms: u64,
}

/// On what terms a device has its certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateClass {
    /// It showed none, or none that a door could check.
    #[default]
    None,
    /// Nothing was held against it.
    Full,
    /// Its authority could not ask how the device behaves.
    Degraded,
    /// The device behaved unusually.
    Amber,
    /// It came back after a long absence, or under suspicion, and is to do little.
    Quarantine,
}

/// How a call fits its session's mission.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// No mission was declared.
    #[default]
    Undeclared,
    /// The call keeps to it.
    Inside,
    /// Another tool than declared.
    Tool,
    /// More calls or cost than declared.
    Budget,
    /// Later than declared.
    Deadline,
}

/// What a call's tokens say of who stands behind it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delegated {
    /// There are none, or nobody checks them.
    #[default]
    Unchecked,
    /// They are genuine, and each narrows the one before.
    Verified,
    /// They are not, or one of them widens the one before.
    Refused,
}

impl Fit {
    /// As policies and records spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Undeclared => "undeclared",
            Self::Inside => "inside",
            Self::Tool => "tool",
            Self::Budget => "budget",
            Self::Deadline => "deadline",
        }
    }
}

impl CertificateClass {
    /// As policies and records spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Full => "full",
            Self::Degraded => "degraded",
            Self::Amber => "amber",
            Self::Quarantine => "quarantine",
        }
    }
}

impl Delegated {
    /// As policies and records spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unchecked => "unchecked",
            Self::Verified => "verified",
            Self::Refused => "refused",
        }
    }
}

impl Circumstances {
    /// How long a call that is throttled has to wait, beside what the policy says.
    pub(crate) fn wait_ms(&self, would: Ladder) -> Option<u64> {
        (would == Ladder::Throttle && self.burst_wait_ms > 0).then_some(self.burst_wait_ms)
    }
}
