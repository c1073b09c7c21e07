//! Devices in the order of their names, a page at a time: what an operator looks at.

use std::collections::BTreeMap;
use std::ops::Bound;

use redb::ReadableDatabase;
use serde::{Deserialize, Serialize};

use super::line::Line;
use super::store::{CERTS, HELD, LINES, Ledger, LedgerError, RECEIPTS, WAITING, database, unrow};
use crate::device::DeviceId;
use crate::holds::Holds;
use crate::receipt::{SignedReceipt, parse_receipt};
use crate::time::Millis;

/// What a device said it holds, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When it said so.
    pub at_ms: Millis,
    /// What it said.
    #[serde(flatten)]
    pub holds: Holds,
}

/// One device on a page.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a page holds some hundred, nearly all of them enrolled")]
pub enum Entry {
    /// It has, or had, a certificate.
    Enrolled {
        /// Its history.
        line: Line,
        /// Its newest receipt.
        receipt: Option<SignedReceipt>,
        /// Its newest certificate, DER; `None` once it was tidied away.
        certificate: Option<Vec<u8>>,
        /// What it said it holds; `None` where it never did.
        told: Option<Told>,
    },
    /// It waits for an operator to let it have its first one.
    Waiting {
        /// Its name.
        device: String,
        /// Since when.
        since: Millis,
    },
}

impl Entry {
    /// Its name.
    pub fn device(&self) -> &str {
        match self {
            Self::Enrolled { line, .. } => line.device.as_str(),
            Self::Waiting { device, .. } => device,
        }
    }
}

impl Ledger {
    /// Up to `limit` devices whose names come after `after`, by name; and whether more follow.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn page(&self, after: Option<&DeviceId>, limit: usize) -> Result<(Vec<Entry>, bool), LedgerError> {
        let read = self.db.begin_read().map_err(database)?;
        let lines = read.open_table(LINES).map_err(database)?;
        let waiting = read.open_table(WAITING).map_err(database)?;
        let (receipts, certs, held) = (
            read.open_table(RECEIPTS).map_err(database)?,
            read.open_table(CERTS).map_err(database)?,
            read.open_table(HELD).map_err(database)?,
        );
        let from = after.map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
        // One more of each than is wanted: then the first `limit` of both together are surely among them.
        let mut page: BTreeMap<String, Entry> = BTreeMap::new();
        for row in waiting.range::<&str>((from, Bound::Unbounded)).map_err(database)? {
            let (device, since) = row.map_err(database)?;
            if since.value() != super::apply::APPROVED {
                let device = device.value().to_owned();
                page.insert(device.clone(), Entry::Waiting { device, since: Millis(since.value()) });
            }
            if page.len() > limit {
                break;
            }
        }
        for row in lines.range::<&str>((from, Bound::Unbounded)).map_err(database)?.take(limit + 1) {
            let (name, bytes) = row.map_err(database)?;
            let line: Line = unrow("lines", bytes.value())?;
            let at = (name.value(), line.head.n);
            let receipt = receipts.get(at).map_err(database)?.map(|bytes| parse_receipt(bytes.value()));
            let receipt = receipt.transpose().map_err(|_| LedgerError::Row { table: "receipts" })?;
            let certificate = certs.get(at).map_err(database)?.map(|der| der.value().to_vec());
            let told = held.get(name.value()).map_err(database)?.map(|r| unrow("held", r.value())).transpose()?;
            page.insert(name.value().to_owned(), Entry::Enrolled { line, receipt, certificate, told });
        }
        let more = page.len() > limit;
        Ok((page.into_values().take(limit).collect(), more))
    }

    /// What a device said last that it holds.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn told(&self, device: &DeviceId) -> Result<Option<Told>, LedgerError> {
        let read = self.db.begin_read().map_err(database)?;
        let held = read.open_table(HELD).map_err(database)?;
        held.get(device.as_str()).map_err(database)?.map(|row| unrow("held", row.value())).transpose()
    }
}
