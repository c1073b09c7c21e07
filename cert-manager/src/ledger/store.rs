//! The ledger on disk (redb): rulings carried out, many in one transaction, one fsync for all.

use std::path::Path;

use redb::backends::InMemoryBackend;
use redb::{ConcurrencyMode, Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::{Deserialize, Serialize};

use super::line::{Line, Standing};
use crate::authority::AuthorityError;
use crate::device::DeviceId;
use crate::digest::Digest;
use crate::receipt::{SignedReceipt, parse_receipt};
use crate::time::Millis;

/// Device → [`Line`], JSON.
pub(super) const LINES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("lines");
/// Request id → [`super::line::Seen`], JSON.
pub(super) const SEEN: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("seen");
/// (device, n) → the certificate issued, DER.
pub(super) const CERTS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("certs");
/// (device, n) → the signed receipt. Never tidied: it is the evidence.
pub(super) const RECEIPTS: TableDefinition<'_, (&str, u64), &[u8]> = TableDefinition::new("receipts");
/// Key id → the device that had it. Never tidied.
pub(super) const KEYS: TableDefinition<'_, &[u8; 32], &str> = TableDefinition::new("keys");
/// Serial in hex → [`Revocation`], JSON. Never tidied.
pub(super) const REVOKED: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("revoked");
/// Running number → [`Evidence`], JSON. Never tidied.
pub(super) const EVIDENCE: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("evidence");
/// Hash of a one-time credential → [`super::credential::Token`], JSON.
pub(super) const TOKENS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("tokens");
/// Device that waits for an operator → since when, ms.
pub(super) const WAITING: TableDefinition<'_, &str, u64> = TableDefinition::new("waiting");
/// Device → what it said it holds, [`super::pages::Told`], JSON.
pub(super) const HELD: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("held");

/// The server's memory.
pub struct Ledger {
    pub(super) db: Database,
}

/// Why the ledger could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The database failed; nothing of the batch was written.
    #[error("the ledger cannot be read or written")]
    Database(#[source] Box<redb::Error>),
    /// A row that today's code cannot read.
    #[error("a row of the ledger's `{table}` cannot be read")]
    Row {
        /// The table.
        table: &'static str,
    },
    /// Signing failed.
    #[error("cannot issue")]
    Authority(#[from] AuthorityError),
    /// The system gave no random bytes for a serial number.
    #[error("no random bytes from the system")]
    NoRandomness,
    /// An operator named a device that is not there.
    #[error("no device `{0}` in the ledger")]
    UnknownDevice(DeviceId),
    /// The batch this request was part of failed for another reason.
    #[error("the transaction failed: {0}")]
    Batch(String),
}

/// Why and when a serial number was revoked or put on hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Whose.
    pub device: DeviceId,
    /// When.
    pub at: Millis,
    /// Why.
    pub why: RevocationKind,
    /// Last valid moment of the certificate.
    pub not_after: Millis,
}

/// Kind of revocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationKind {
    /// An operator revoked the device.
    Revoked,
    /// The line is forked: on hold until an operator decides.
    Hold,
}

/// What was seen when a line forked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// Whose line.
    pub device: DeviceId,
    /// When.
    pub at: Millis,
    /// End of the line as the ledger knew it.
    pub known: super::line::Head,
    /// Key of the end of the line.
    pub known_key: Digest,
    /// The key the second party authenticated with.
    pub other_key: Digest,
    /// The receipt the second party showed.
    pub shown: Option<super::line::Head>,
}

impl Ledger {
    /// Opens or creates the ledger at `path`.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        // Several processes write: the server, and each `vedette ca` command beside it.
        let mut builder = Database::builder();
        builder.set_concurrency_mode(ConcurrencyMode::MultiWriter);
        Self::with(builder.create(path).map_err(database)?)
    }

    /// A ledger that is gone when dropped: for tests and for `--once` demonstrations.
    ///
    /// # Errors
    /// [`LedgerError::Database`].
    pub fn in_memory() -> Result<Self, LedgerError> {
        Self::with(Database::builder().create_with_backend(InMemoryBackend::new()).map_err(database)?)
    }

    fn with(db: Database) -> Result<Self, LedgerError> {
        let write = db.begin_write().map_err(database)?;
        // Created once, so that readers never meet a missing table.
        write.open_table(LINES).map_err(database)?;
        write.open_table(SEEN).map_err(database)?;
        write.open_table(CERTS).map_err(database)?;
        write.open_table(RECEIPTS).map_err(database)?;
        write.open_table(KEYS).map_err(database)?;
        write.open_table(REVOKED).map_err(database)?;
        write.open_table(EVIDENCE).map_err(database)?;
        write.open_table(TOKENS).map_err(database)?;
        write.open_table(WAITING).map_err(database)?;
        write.open_table(HELD).map_err(database)?;
        write.commit().map_err(database)?;
        Ok(Self { db })
    }

    /// One device.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn line(&self, device: &DeviceId) -> Result<Option<Line>, LedgerError> {
        let read = self.db.begin_read().map_err(database)?;
        let lines = read.open_table(LINES).map_err(database)?;
        lines.get(device.as_str()).map_err(database)?.map(|row| unrow("lines", row.value())).transpose()
    }

    /// Every device, by name.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn lines(&self) -> Result<Vec<Line>, LedgerError> {
        let read = self.db.begin_read().map_err(database)?;
        let lines = read.open_table(LINES).map_err(database)?;
        let rows = lines.iter().map_err(database)?;
        rows.map(|row| unrow("lines", row.map_err(database)?.1.value())).collect()
    }

    /// The receipts of one device, oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn receipts(&self, device: &DeviceId) -> Result<Vec<SignedReceipt>, LedgerError> {
        let read = self.db.begin_read().map_err(database)?;
        let table = read.open_table(RECEIPTS).map_err(database)?;
        let rows = table.range((device.as_str(), 0)..=(device.as_str(), u64::MAX)).map_err(database)?;
        let receipt = |bytes: &[u8]| parse_receipt(bytes).map_err(|_| LedgerError::Row { table: "receipts" });
        rows.map(|row| receipt(row.map_err(database)?.1.value())).collect()
    }

    /// Every fork seen, oldest first.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn evidence(&self) -> Result<Vec<Evidence>, LedgerError> {
        let read = self.db.begin_read().map_err(database)?;
        let table = read.open_table(EVIDENCE).map_err(database)?;
        let rows = table.iter().map_err(database)?;
        rows.map(|row| unrow("evidence", row.map_err(database)?.1.value())).collect()
    }

    /// Every revoked or held serial number, expired ones too.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn revocations(&self) -> Result<Vec<(String, Revocation)>, LedgerError> {
        let read = self.db.begin_read().map_err(database)?;
        let table = read.open_table(REVOKED).map_err(database)?;
        let rows = table.iter().map_err(database)?;
        rows.map(|row| {
            let (serial, row) = row.map_err(database)?;
            Ok((serial.value().to_owned(), unrow("revoked", row.value())?))
        })
        .collect()
    }

    /// Whether this very certificate is revoked or on hold.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn is_revoked(&self, serial: &str) -> Result<bool, LedgerError> {
        let read = self.db.begin_read().map_err(database)?;
        let table = read.open_table(REVOKED).map_err(database)?;
        Ok(table.get(serial).map_err(database)?.is_some())
    }

    /// Drops what no rule reads any more: answers and certificates that expired before `before`.
    /// Lines, keys, receipts, revocations and evidence stay for ever.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn tidy(&self, before: Millis) -> Result<usize, LedgerError> {
        let stale: Vec<(DeviceId, u64)> = self.expired_receipts(before)?;
        let write = self.db.begin_write().map_err(database)?;
        let mut dropped = 0;
        {
            let mut certs = write.open_table(CERTS).map_err(database)?;
            let mut seen = write.open_table(SEEN).map_err(database)?;
            for (device, n) in &stale {
                dropped += usize::from(certs.remove((device.as_str(), *n)).map_err(database)?.is_some());
            }
            let gone = |row: &[u8]| {
                unrow::<super::line::Seen>("seen", row).is_ok_and(|s| stale.contains(&(s.device.clone(), s.n)))
            };
            seen.retain(|_, row| !gone(row)).map_err(database)?;
        }
        write.commit().map_err(database)?;
        Ok(dropped)
    }

    fn expired_receipts(&self, before: Millis) -> Result<Vec<(DeviceId, u64)>, LedgerError> {
        let mut stale = Vec::new();
        for line in self.lines()? {
            let old = self.receipts(&line.device)?.into_iter().filter(|r| r.receipt().not_after < before);
            stale.extend(old.map(|r| (line.device.clone(), r.receipt().n)));
        }
        Ok(stale)
    }

    /// Revokes a device: its line for ever, and every certificate it ever had.
    ///
    /// # Errors
    /// [`LedgerError::UnknownDevice`] or a database error.
    pub fn revoke(&self, device: &DeviceId, reason: &str, now: Millis) -> Result<(), LedgerError> {
        let receipts = self.receipts(device)?;
        let write = self.db.begin_write().map_err(database)?;
        {
            let mut lines = write.open_table(LINES).map_err(database)?;
            let mut line: Line = {
                let row = lines.get(device.as_str()).map_err(database)?;
                let row = row.ok_or_else(|| LedgerError::UnknownDevice(device.clone()))?;
                unrow("lines", row.value())?
            };
            line.standing = Standing::Revoked { at: now, reason: reason.to_owned() };
            line.approved = None;
            lines.insert(device.as_str(), row(&line)?.as_slice()).map_err(database)?;
            let mut revoked = write.open_table(REVOKED).map_err(database)?;
            for receipt in receipts.iter().map(SignedReceipt::receipt) {
                let entry = Revocation {
                    device: device.clone(),
                    at: now,
                    why: RevocationKind::Revoked,
                    not_after: receipt.not_after,
                };
                revoked.insert(receipt.serial.to_string().as_str(), row(&entry)?.as_slice()).map_err(database)?;
            }
        }
        write.commit().map_err(database)?;
        Ok(())
    }

    /// An operator's leave for the holder of `key` to come back once: after the window, with a spent
    /// budget, or as the party to believe in a fork. It yields a quarantine certificate.
    ///
    /// # Errors
    /// [`LedgerError::UnknownDevice`] or a database error.
    pub fn approve(&self, device: &DeviceId, key: Digest) -> Result<(), LedgerError> {
        let write = self.db.begin_write().map_err(database)?;
        {
            let mut lines = write.open_table(LINES).map_err(database)?;
            let mut line: Line = {
                let row = lines.get(device.as_str()).map_err(database)?;
                let row = row.ok_or_else(|| LedgerError::UnknownDevice(device.clone()))?;
                unrow("lines", row.value())?
            };
            line.approved = Some(key);
            lines.insert(device.as_str(), row(&line)?.as_slice()).map_err(database)?;
        }
        write.commit().map_err(database)?;
        Ok(())
    }
}

/// Enrolments that wait for an operator.
impl Ledger {
    /// Lets a waiting first enrolment pass when the device asks again.
    ///
    /// # Errors
    /// [`LedgerError::UnknownDevice`] when nobody of that name waits, or a database error.
    pub fn approve_enrolment(&self, device: &DeviceId) -> Result<(), LedgerError> {
        let write = self.db.begin_write().map_err(database)?;
        {
            let mut waiting = write.open_table(WAITING).map_err(database)?;
            if waiting.get(device.as_str()).map_err(database)?.is_none() {
                return Err(LedgerError::UnknownDevice(device.clone()));
            }
            waiting.insert(device.as_str(), super::apply::APPROVED).map_err(database)?;
        }
        write.commit().map_err(database)?;
        Ok(())
    }
}

/// A value as a row.
pub(super) fn row<T: Serialize>(value: &T) -> Result<Vec<u8>, LedgerError> {
    serde_json::to_vec(value).map_err(|_| LedgerError::Row { table: "(writing)" })
}

/// A row as a value.
pub(super) fn unrow<T: for<'a> Deserialize<'a>>(table: &'static str, bytes: &[u8]) -> Result<T, LedgerError> {
    serde_json::from_slice(bytes).map_err(|_| LedgerError::Row { table })
}

/// Any error of the database, in one box.
pub(super) fn database(error: impl Into<redb::Error>) -> LedgerError {
    LedgerError::Database(Box::new(error.into()))
}
