//! How risky a device looks now. This crate only asks; the detector answers through `vedette`.

use serde::{Deserialize, Serialize};

use crate::device::DeviceId;
use crate::time::{Millis, Span};

/// What is known of a device's behaviour.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Risk {
    /// Nothing unusual: full life.
    Green,
    /// Unusual: a short certificate.
    Amber,
    /// Looks like an attack: wait for a person.
    Red,
    /// The scorer cannot be asked: a short certificate, marked degraded. The default, since a source
    /// that says nothing must not count as good.
    #[default]
    Away,
}

impl Risk {
    /// One byte, for receipts.
    pub fn code(self) -> u8 {
        match self {
            Self::Green => 0,
            Self::Amber => 1,
            Self::Red => 2,
            Self::Away => 3,
        }
    }

    /// Reads [`Risk::code`].
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Green, Self::Amber, Self::Red, Self::Away].into_iter().find(|risk| risk.code() == code)
    }
}

/// Who is asked for a device's risk: the detector's standing in production, a fixed answer in tests
/// and where no detector runs.
pub trait RiskSource: Send + Sync {
    /// The risk of `device` now. Must not block: answer [`Risk::Away`] instead.
    fn risk(&self, device: &DeviceId) -> Risk;

    /// Whether a device in quarantine, which asks at `now` for its next full certificate, may be released: what it
    /// did while it was away should have been looked at. Must not block. Where nobody looks: now.
    fn release(&self, device: &DeviceId, now: Millis) -> Release {
        let _ = (device, now);
        Release::Now
    }
}

/// When a device in quarantine may be released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Now, as its risk allows.
    Now,
    /// Not yet; it should ask again after this long.
    Later(Span),
    /// What it did has not been looked at, and that was waited for long enough: as when nobody can say.
    Unscored,
}

/// The same answer for every device.
#[derive(Debug, Clone, Copy, Default)]
pub struct FixedRisk(pub Risk);

impl RiskSource for FixedRisk {
    fn risk(&self, _: &DeviceId) -> Risk {
        self.0
    }
}
