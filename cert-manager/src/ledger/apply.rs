//! Carries out rulings: a batch of requests in one transaction, so that one fsync serves many.

use std::sync::atomic::{AtomicU32, Ordering};

use redb::{ReadableTable, WriteTransaction};
use ring::rand::SecureRandom;

use super::credential::Token;
use super::line::{Line, Seen, Standing};
use super::pages::Told;
use super::rules::{Ask, ClassPolicy, Enrolment, Grant, Memory, Refusal, Ruling, rule};
use super::store::{
    CERTS, EVIDENCE, Evidence, HELD, KEYS, LINES, Ledger, LedgerError, RECEIPTS, REVOKED, Revocation, RevocationKind,
    SEEN, TOKENS, WAITING, database, row, unrow,
};
use crate::authority::Authority;
use crate::device::{DeviceId, RequestId};
use crate::digest::Digest;
use crate::facts::Serial;
use crate::receipt::{Receipt, SignedReceipt, parse_receipt};
use crate::risk::Risk;
use crate::sign::SigningKey;
use crate::time::{Millis, Span};

/// One request for a certificate, its proofs already checked.
#[derive(Debug, Clone)]
#[expect(
    clippy::large_enum_variant,
    reason = "lives in one queue of bounded length, and renewals are nearly all of it"
)]
pub enum Job {
    /// By a device that has a certificate.
    Renew {
        /// Who.
        device: DeviceId,
        /// What it asks, without the receipt.
        ask: Ask,
        /// The newest receipt it showed, as it came.
        shown: Option<SignedReceipt>,
        /// The new key's SubjectPublicKeyInfo, DER.
        spki: Vec<u8>,
        /// The device's risk now.
        risk: Risk,
    },
    /// By a device that has none.
    Enrol {
        /// The name it asks for.
        device: DeviceId,
        /// The try.
        request: RequestId,
        /// What it shows.
        credential: Credential,
        /// Id of the new key.
        new_key: Digest,
        /// The new key's SubjectPublicKeyInfo, DER.
        spki: Vec<u8>,
    },
    /// Word of what a device holds, for operators.
    Note {
        /// Who.
        device: DeviceId,
        /// What it said.
        told: Told,
    },
}

/// What a device that has no certificate shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credential {
    /// Hash of a one-time token.
    Token(Digest),
    /// A factory certificate (IDevID) under a root this server trusts for enrolment: the id of its
    /// key, and the class such devices get.
    Factory {
        /// Id of the factory key.
        key: Digest,
        /// Class of devices from this factory.
        class: String,
    },
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A certificate and its receipt.
    Issued {
        /// DER.
        certificate: Vec<u8>,
        /// The signed receipt's bytes.
        receipt: Vec<u8>,
    },
    /// Ask again after this long.
    Later(Span),
    /// No.
    Refused(Refusal),
    /// Noted.
    Noted,
}

/// What rulings need beside the ledger: who signs, which classes there are, which versions are newest.
#[derive(Debug)]
pub struct Office {
    /// Signs certificates.
    pub authority: Authority,
    /// Signs receipts.
    pub receipts: SigningKey,
    /// Classes by name; `default` is used for a name that is not there.
    pub classes: std::collections::BTreeMap<String, ClassPolicy>,
    /// Newest root document.
    pub trust_version: u32,
    /// Newest model bundle; looked up again while the server runs, since bundles are published beside it.
    pub bundle_version: AtomicU32,
}

impl Office {
    fn class(&self, name: &str) -> ClassPolicy {
        self.classes.get(name).or_else(|| self.classes.get("default")).cloned().unwrap_or_default()
    }
}

impl Ledger {
    /// Answers a batch in one transaction: all of it is durable when this returns, or none.
    ///
    /// # Errors
    /// [`LedgerError`]; then nothing was written and nothing may be answered.
    pub fn apply(&self, jobs: &[Job], office: &Office, now: Millis) -> Result<Vec<Answer>, LedgerError> {
        let write = self.db.begin_write().map_err(database)?;
        let answers: Result<Vec<_>, _> = jobs.iter().map(|job| apply_one(&write, job, office, now)).collect();
        let answers = answers?; // a dropped transaction writes nothing
        write.commit().map_err(database)?;
        Ok(answers)
    }
}

fn apply_one(write: &WriteTransaction, job: &Job, office: &Office, now: Millis) -> Result<Answer, LedgerError> {
    match job {
        Job::Renew { device, ask, shown, spki, risk } => {
            let stored = stored_line(write, device)?;
            if !ours(stored.as_ref(), shown.as_ref(), device, office) {
                return Ok(Answer::Refused(Refusal::Receipt));
            }
            let Some(line) = current_line(write, stored, device, shown.as_ref())? else {
                return Ok(Answer::Refused(Refusal::UnknownDevice));
            };
            let ask = Ask { head: shown.as_ref().map(head), ..ask.clone() };
            let memory = memory(write, &line, &ask)?;
            match rule(&line, &ask, &memory, &office.class(&line.class), *risk, now) {
                Ruling::Replay => replay(write, &line),
                Ruling::Later(span) => Ok(Answer::Later(span)),
                Ruling::Refuse(refusal) => Ok(Answer::Refused(refusal)),
                Ruling::Fork => fork(write, line, &ask, now),
                Ruling::Issue(grant) => {
                    let by = ask.by;
                    issue(
                        write,
                        line,
                        Order { request: ask.request, by, new_key: ask.new_key, spki, grant, risk: *risk },
                        office,
                        now,
                    )
                }
            }
        }
        Job::Note { device, told } => {
            let mut held = write.open_table(HELD).map_err(database)?;
            held.insert(device.as_str(), row(told)?.as_slice()).map_err(database)?;
            Ok(Answer::Noted)
        }
        Job::Enrol { device, request, credential, new_key, spki } => {
            enrol(write, device, *request, credential, (*new_key, spki), office, now)
        }
    }
}

fn head(receipt: &SignedReceipt) -> super::line::Head {
    super::line::Head { n: receipt.receipt().n, hash: receipt.hash() }
}

fn stored_line(write: &WriteTransaction, device: &DeviceId) -> Result<Option<Line>, LedgerError> {
    let lines = write.open_table(LINES).map_err(database)?;
    lines.get(device.as_str()).map_err(database)?.map(|r| unrow("lines", r.value())).transpose()
}

/// Whether a receipt that was shown is this device's and signed by us. The one the line ends with is
/// known by its hash.
fn ours(line: Option<&Line>, shown: Option<&SignedReceipt>, device: &DeviceId, office: &Office) -> bool {
    let Some(shown) = shown else { return true };
    let expected = line.is_some_and(|line| line.head.hash == shown.hash());
    expected || shown.receipt().device == *device && shown.verify(&[office.receipts.public()]).is_ok()
}

/// The line, moved on by a newer receipt of our own where this ledger is an old backup.
fn current_line(
    write: &WriteTransaction,
    stored: Option<Line>,
    device: &DeviceId,
    shown: Option<&SignedReceipt>,
) -> Result<Option<Line>, LedgerError> {
    let newer = shown.filter(|r| r.receipt().n > stored.as_ref().map_or(0, |l| l.head.n));
    let Some(shown) = newer else { return Ok(stored) };
    let mut line = stored.unwrap_or_else(|| Line::new(device.clone(), "default"));
    line.adopt(shown.receipt(), shown.hash());
    let mut lines = write.open_table(LINES).map_err(database)?;
    lines.insert(device.as_str(), row(&line)?.as_slice()).map_err(database)?;
    let mut keys = write.open_table(KEYS).map_err(database)?;
    keys.insert(&shown.receipt().key.0, device.as_str()).map_err(database)?;
    let mut receipts = write.open_table(RECEIPTS).map_err(database)?;
    receipts.insert((device.as_str(), shown.receipt().n), shown.bytes()).map_err(database)?;
    Ok(Some(line))
}

fn memory(write: &WriteTransaction, line: &Line, ask: &Ask) -> Result<Memory, LedgerError> {
    let keys = write.open_table(KEYS).map_err(database)?;
    let knows_by = keys.get(&ask.by.0).map_err(database)?.is_some_and(|d| d.value() == line.device.as_str());
    let knows_new_key = keys.get(&ask.new_key.0).map_err(database)?.is_some();
    Ok(Memory { seen: seen(write, ask.request)?, knows_by, knows_new_key })
}

fn seen(write: &WriteTransaction, request: RequestId) -> Result<Option<Seen>, LedgerError> {
    let seen = write.open_table(SEEN).map_err(database)?;
    seen.get(&request.0).map_err(database)?.map(|r| unrow("seen", r.value())).transpose()
}

fn replay(write: &WriteTransaction, line: &Line) -> Result<Answer, LedgerError> {
    let at = (line.device.as_str(), line.head.n);
    let certs = write.open_table(CERTS).map_err(database)?;
    let receipts = write.open_table(RECEIPTS).map_err(database)?;
    let certificate = certs.get(at).map_err(database)?.ok_or(LedgerError::Row { table: "certs" })?;
    let receipt = receipts.get(at).map_err(database)?.ok_or(LedgerError::Row { table: "receipts" })?;
    Ok(Answer::Issued { certificate: certificate.value().to_vec(), receipt: receipt.value().to_vec() })
}

/// Stops the line, keeps the evidence, and puts its certificates that are still valid on hold.
fn fork(write: &WriteTransaction, mut line: Line, ask: &Ask, now: Millis) -> Result<Answer, LedgerError> {
    let evidence = Evidence {
        device: line.device.clone(),
        at: now,
        known: line.head,
        known_key: line.key,
        other_key: ask.by,
        shown: ask.head,
    };
    line.standing = Standing::Forked { at: now, other: ask.by };
    let mut lines = write.open_table(LINES).map_err(database)?;
    lines.insert(line.device.as_str(), row(&line)?.as_slice()).map_err(database)?;
    let mut kept = write.open_table(EVIDENCE).map_err(database)?;
    let next = kept.last().map_err(database)?.map_or(0, |(n, _)| n.value() + 1);
    kept.insert(next, row(&evidence)?.as_slice()).map_err(database)?;
    let receipts = write.open_table(RECEIPTS).map_err(database)?;
    let mut revoked = write.open_table(REVOKED).map_err(database)?;
    let device = line.device.as_str();
    for entry in receipts.range((device, 0)..=(device, u64::MAX)).map_err(database)? {
        let (_, bytes) = entry.map_err(database)?;
        let receipt = parse_receipt(bytes.value()).map_err(|_| LedgerError::Row { table: "receipts" })?;
        let receipt = receipt.receipt();
        if receipt.not_after >= now {
            let hold = Revocation {
                device: line.device.clone(),
                at: now,
                why: RevocationKind::Hold,
                not_after: receipt.not_after,
            };
            revoked.insert(receipt.serial.to_string().as_str(), row(&hold)?.as_slice()).map_err(database)?;
        }
    }
    Ok(Answer::Refused(Refusal::Forked))
}

struct Order<'a> {
    request: RequestId,
    by: Digest,
    new_key: Digest,
    spki: &'a [u8],
    grant: Grant,
    risk: Risk,
}

fn issue(
    write: &WriteTransaction,
    mut line: Line,
    order: Order<'_>,
    office: &Office,
    now: Millis,
) -> Result<Answer, LedgerError> {
    let validity = office.authority.validity(office.class(&line.class).life(order.grant), now);
    let serial = fresh_serial()?;
    let certificate =
        office.authority.issue((&line.device, &line.class), order.spki, order.grant, &serial, validity)?;
    let receipt = Receipt {
        device: line.device.clone(),
        n: line.head.n + 1,
        prev: line.head.hash,
        key: order.new_key,
        serial,
        not_after: validity.until,
        server_time: now,
        trust_version: office.trust_version,
        bundle_version: office.bundle_version.load(Ordering::Relaxed),
        risk: order.risk,
    }
    .sign(&office.receipts);
    line.advance(receipt.receipt(), receipt.hash(), order.grant == Grant::Quarantine);
    let (device, n) = (line.device.as_str(), line.head.n);
    let seen = Seen { request: order.request, device: line.device.clone(), by: order.by, new_key: order.new_key, n };
    write.open_table(CERTS).map_err(database)?.insert((device, n), certificate.as_slice()).map_err(database)?;
    write.open_table(RECEIPTS).map_err(database)?.insert((device, n), receipt.bytes()).map_err(database)?;
    write.open_table(KEYS).map_err(database)?.insert(&order.new_key.0, device).map_err(database)?;
    write.open_table(SEEN).map_err(database)?.insert(&order.request.0, row(&seen)?.as_slice()).map_err(database)?;
    write.open_table(LINES).map_err(database)?.insert(device, row(&line)?.as_slice()).map_err(database)?;
    Ok(Answer::Issued { certificate, receipt: receipt.bytes().to_vec() })
}

fn enrol(
    write: &WriteTransaction,
    device: &DeviceId,
    request: RequestId,
    credential: &Credential,
    (new_key, spki): (Digest, &[u8]),
    office: &Office,
    now: Millis,
) -> Result<Answer, LedgerError> {
    let by = match credential {
        Credential::Token(hash) => *hash,
        Credential::Factory { key, .. } => *key,
    };
    let line = stored_line(write, device)?;
    if let (Some(line), Some(seen)) = (&line, seen(write, request)?) {
        let same = seen.device == *device && seen.by == by && seen.new_key == new_key && seen.n == line.head.n;
        let good = same && line.standing == Standing::Good;
        return if good { replay(write, line) } else { Ok(Answer::Refused(Refusal::RequestReused)) };
    }
    let mut token = match credential {
        Credential::Token(hash) => match token(write, *hash)? {
            Some(token) => token,
            None => return Ok(Answer::Refused(Refusal::Credential)),
        },
        Credential::Factory { class, .. } => {
            Token { device: None, class: class.clone(), until: now, voucher: false, spent_by: None }
        }
    };
    if token.spent_by.is_some() || now > token.until || token.device.as_ref().is_some_and(|d| d != device) {
        return Ok(Answer::Refused(Refusal::Credential));
    }
    if line.is_some() && !token.voucher {
        return Ok(Answer::Refused(Refusal::AlreadyEnrolled));
    }
    if write.open_table(KEYS).map_err(database)?.get(&new_key.0).map_err(database)?.is_some() {
        return Ok(Answer::Refused(Refusal::KeyReused));
    }
    let class = office.class(&token.class);
    if class.enrolment == Enrolment::Approved && !token.voucher && !approved(write, device, now)? {
        return Ok(Answer::Later(class.retry_after_ms));
    }
    if let Credential::Token(hash) = credential {
        token.spent_by = Some(request);
        let mut tokens = write.open_table(TOKENS).map_err(database)?;
        tokens.insert(&hash.0, row(&token)?.as_slice()).map_err(database)?;
    }
    // A voucher goes on from the old line's end: its receipts stay one chain, its old keys stay known.
    let mut line = line.unwrap_or_else(|| Line::new(device.clone(), &token.class));
    line.standing = Standing::Good;
    issue(write, line, Order { request, by, new_key, spki, grant: Grant::Full, risk: Risk::Green }, office, now)
}

fn token(write: &WriteTransaction, hash: Digest) -> Result<Option<Token>, LedgerError> {
    let tokens = write.open_table(TOKENS).map_err(database)?;
    tokens.get(&hash.0).map_err(database)?.map(|r| unrow("tokens", r.value())).transpose()
}

/// Whether an operator let this first enrolment pass; notes the wait when not.
fn approved(write: &WriteTransaction, device: &DeviceId, now: Millis) -> Result<bool, LedgerError> {
    let mut waiting = write.open_table(WAITING).map_err(database)?;
    let since = waiting.get(device.as_str()).map_err(database)?.map(|at| at.value());
    match since {
        Some(APPROVED) => waiting.remove(device.as_str()).map_err(database).map(|_| true),
        Some(_) => Ok(false),
        None => waiting.insert(device.as_str(), now.0).map_err(database).map(|_| false),
    }
}

/// In `waiting`: the operator said yes. No device has waited since the year 584 million.
pub(super) const APPROVED: u64 = u64::MAX;

fn fresh_serial() -> Result<Serial, LedgerError> {
    let mut bytes = [0; 16];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| LedgerError::NoRandomness)?;
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x7f | 0x40; // positive, and always 16 bytes long
    }
    Serial::new(&bytes).map_err(|_| LedgerError::NoRandomness)
}
