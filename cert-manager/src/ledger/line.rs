//! One device's history, as far as the rules need it.

use serde::{Deserialize, Serialize};

use crate::device::{DeviceId, RequestId};
use crate::digest::Digest;
use crate::receipt::Receipt;
use crate::time::{Millis, Span};

/// Where a device's chain of receipts ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the newest receipt.
    pub n: u64,
    /// Its hash.
    pub hash: Digest,
}

/// Whether a device may have certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Standing {
    /// Yes.
    Good,
    /// Two parties went on from one link; both wait for an operator.
    Forked {
        /// When the second one showed itself.
        at: Millis,
        /// The key it authenticated with.
        other: Digest,
    },
    /// Never again, unless an operator gives a voucher.
    Revoked {
        /// When.
        at: Millis,
        /// The operator's reason.
        reason: String,
    },
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Its name.
    pub device: DeviceId,
    /// Name of its class, which sets lifetimes and windows.
    pub class: String,
    /// Newest receipt.
    pub head: Head,
    /// Key of the newest certificate.
    pub key: Digest,
    /// Serial number of the newest certificate, in hex.
    pub serial: String,
    /// Last valid moment of the newest certificate.
    pub not_after: Millis,
    /// Returns after expiry that still count, oldest first.
    pub recoveries: Vec<Millis>,
    /// Whether it may have certificates.
    pub standing: Standing,
    /// An operator's leave for the holder of this key to come back once, whatever the rules say.
    pub approved: Option<Digest>,
}

/// How far back returns after expiry count against the budget: one year.
pub const BUDGET_PERIOD: Span = Span::days(365);

impl Line {
    /// A line that has issued nothing yet.
    pub fn new(device: DeviceId, class: &str) -> Self {
        Self {
            device,
            class: class.to_owned(),
            head: Head { n: 0, hash: Digest::ZERO },
            key: Digest::ZERO,
            serial: String::new(),
            not_after: Millis(0),
            recoveries: Vec::new(),
            standing: Standing::Good,
            approved: None,
        }
    }

    /// Returns after expiry within the last [`BUDGET_PERIOD`].
    pub fn recoveries_since(&self, now: Millis) -> usize {
        self.recoveries.iter().filter(|at| now.since(**at) < BUDGET_PERIOD).count()
    }

    /// Moves the line past an issued certificate. `late`: it was a return after expiry.
    pub fn advance(&mut self, receipt: &Receipt, hash: Digest, late: bool) {
        self.head = Head { n: receipt.n, hash };
        self.key = receipt.key;
        self.serial = receipt.serial.to_string();
        self.not_after = receipt.not_after;
        self.approved = None;
        if late {
            let now = receipt.server_time;
            self.recoveries.retain(|at| now.since(*at) < BUDGET_PERIOD);
            self.recoveries.push(now);
        }
        if matches!(self.standing, Standing::Forked { .. }) {
            // Only an approval or a voucher issues on a forked line, and either ends the fork.
            self.standing = Standing::Good;
        }
    }

    /// Takes over a newer receipt of our own signing: this ledger is an old backup and the device
    /// has been served since. The caller has checked the signature.
    pub fn adopt(&mut self, receipt: &Receipt, hash: Digest) {
        if receipt.n > self.head.n {
            self.head = Head { n: receipt.n, hash };
            self.key = receipt.key;
            self.serial = receipt.serial.to_string();
            self.not_after = receipt.not_after;
        }
    }
}

/// What was answered to a request id, kept so that the same question gets the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The request.
    pub request: RequestId,
    /// Who asked.
    pub device: DeviceId,
    /// The key or credential it authenticated with.
    pub by: Digest,
    /// The key the certificate is for.
    pub new_key: Digest,
    /// Number of the receipt it led to.
    pub n: u64,
}
