//! Every device as an operator sees it, a page at a time: `GET /v1/fleet`, and `vedette ca list`.
//!
//! ```text
//! GET /v1/fleet?limit=100&after=dev-9
//! {"v":1,"at_ms":…,"newest":{"root":2,"model":{"version":5,"expires_ms":…,"api":{"from":1,"until":2}},"policy":null,"trust":null},
//!  "devices":[{…}],"next":"dev-99"}
//! ```
//!
//! `next` is the name to ask `after` for the page that follows, `null` on the last. What a device holds is its
//! own word, of the last time it looked for bundles; everything else is the ledger's.

use serde::Serialize;

use crate::authority::POLICY_QUARANTINE;
use crate::bundle::{ApiRange, Kind, Manifest, Skew};
use crate::desk::Shelf;
use crate::device::DeviceId;
use crate::digest::Digest;
use crate::facts::parse_certificate;
use crate::ledger::{Entry, Ledger, LedgerError, Line, Standing, Told};
use crate::receipt::Receipt;
use crate::risk::Risk;
use crate::time::Millis;

/// Most devices on one page.
pub const PAGE_MAX: usize = 500;
/// Devices on a page where nobody says how many.
pub const PAGE_DEFAULT: usize = 100;

/// Which page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Names after this one; `None` from the first.
    pub after: Option<DeviceId>,
    /// How many at most, 1 to [`PAGE_MAX`].
    pub limit: usize,
}

/// A query that cannot be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write `limit=N`, 1 to {PAGE_MAX}, and `after=DEVICE`, joined by `&`")]
pub struct QueryError;

/// Reads what follows the `?`.
///
/// # Errors
/// [`QueryError`]: a name that is not known or comes twice, a number out of range, a device that cannot be one.
pub fn parse_query(text: &str) -> Result<Query, QueryError> {
    let (mut after, mut limit) = (None, None);
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("after", name)) if after.is_none() => {
                // Of a device's name only the colon is ever written as %3A.
                let name = name.replace("%3A", ":").replace("%3a", ":");
                after = Some(name.parse().map_err(|_| QueryError)?);
            }
            Some(("limit", number)) if limit.is_none() => limit = Some(number.parse().map_err(|_| QueryError)?),
            _ => return Err(QueryError),
        }
    }
    let limit = limit.unwrap_or(PAGE_DEFAULT);
    if (1..=PAGE_MAX).contains(&limit) { Ok(Query { after, limit }) } else { Err(QueryError) }
}

/// One page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Format, 1.
    pub v: u32,
    /// When it was made.
    pub at_ms: Millis,
    /// What devices should hold.
    pub newest: Newest,
    /// Devices by name.
    pub devices: Vec<Row>,
    /// The name to go on after; `None` on the last page.
    pub next: Option<String>,
}

/// What is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Newest {
    /// The newest root document.
    pub root: u32,
    /// The newest model.
    pub model: Option<Published>,
    /// The newest policy set.
    pub policy: Option<Published>,
    /// The newest trust files.
    pub trust: Option<Published>,
}

/// A published bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Its number.
    pub version: u64,
    /// How long devices may take it.
    pub expires_ms: Millis,
    /// Versions of the device API that can run it.
    pub api: ApiRange,
}

/// Where a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its newest certificate is good in full.
    Good,
    /// It came back with a certificate that opens nothing but the way back.
    Quarantined,
    /// Its newest certificate has expired.
    Expired,
    /// Two parties went on from one receipt.
    Forked,
    /// Revoked.
    Revoked,
    /// It waits for its first certificate.
    Waiting,
}

impl State {
    /// Its name, as in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Quarantined => "quarantined",
            Self::Expired => "expired",
            Self::Forked => "forked",
            Self::Revoked => "revoked",
            Self::Waiting => "waiting",
        }
    }
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub device: String,
    /// Its class; empty while it waits.
    pub class: String,
    /// Where it is.
    pub state: State,
    /// Number of its newest receipt: certificates so far.
    pub certificates: u64,
    /// Serial number of its newest certificate, in hex.
    pub serial: Option<String>,
    /// Last valid moment of its newest certificate.
    pub not_after_ms: Option<Millis>,
    /// Id of its newest key.
    pub key: Option<Digest>,
    /// Returns after expiry within a year.
    pub returns: usize,
    /// For one that waits: since when.
    pub waiting_since_ms: Option<Millis>,
    /// What its newest receipt says of the moment it was issued.
    pub issued: Option<Issued>,
    /// What it says it holds; `None` where it never looked for bundles.
    pub holds: Option<Told>,
    /// How the newest model stands to its API: what it runs and what is published may not fit.
    pub skew: Option<Skew>,
}

/// A receipt, as far as an operator asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Issued {
    /// When.
    pub at_ms: Millis,
    /// The device's risk then.
    pub risk: Risk,
    /// Newest root document then.
    pub trust_version: u32,
    /// Newest model bundle then; 0: none.
    pub bundle_version: u32,
}

/// Makes a page. `root`: number of the newest root document.
///
/// # Errors
/// [`LedgerError`].
pub fn page(ledger: &Ledger, shelf: &Shelf, root: u32, query: &Query, now: Millis) -> Result<Page, LedgerError> {
    let (entries, more) = ledger.page(query.after.as_ref(), query.limit)?;
    let published =
        |kind| newest(shelf, kind).map(|m| Published { version: m.version, expires_ms: m.expires_ms, api: m.api });
    let newest =
        Newest { root, model: published(Kind::Model), policy: published(Kind::Policy), trust: published(Kind::Trust) };
    let next = entries.last().filter(|_| more).map(|entry| entry.device().to_owned());
    let api = newest.model.map(|model| model.api);
    Ok(Page {
        v: 1,
        at_ms: now,
        newest,
        devices: entries.into_iter().map(|entry| row(entry, api, now)).collect(),
        next,
    })
}

/// The newest manifest on the shelf. One that cannot be read counts as none: a page about every device is worth
/// more than its header.
fn newest(shelf: &Shelf, kind: Kind) -> Option<Manifest> {
    shelf.published(kind, shelf.newest(kind).ok()?)
}

fn row(entry: Entry, model: Option<ApiRange>, now: Millis) -> Row {
    let (line, receipt, certificate, told) = match entry {
        Entry::Waiting { device, since } => return waiting(device, since),
        Entry::Enrolled { line, receipt, certificate, told } => (line, receipt, certificate, told),
    };
    let issued = receipt.as_ref().map(|receipt| issued(receipt.receipt()));
    Row {
        device: line.device.to_string(),
        class: line.class.clone(),
        state: state(&line, certificate.as_deref(), now),
        certificates: line.head.n,
        serial: Some(line.serial.clone()).filter(|serial| !serial.is_empty()),
        not_after_ms: Some(line.not_after),
        key: Some(line.key),
        returns: line.recoveries_since(now),
        waiting_since_ms: None,
        issued,
        holds: told,
        skew: told.zip(model).map(|(told, api)| api.skew(told.holds.api)),
    }
}

fn waiting(device: String, since: Millis) -> Row {
    Row {
        device,
        class: String::new(),
        state: State::Waiting,
        certificates: 0,
        serial: None,
        not_after_ms: None,
        key: None,
        returns: 0,
        waiting_since_ms: Some(since),
        issued: None,
        holds: None,
        skew: None,
    }
}

fn issued(receipt: &Receipt) -> Issued {
    let Receipt { server_time, risk, trust_version, bundle_version, .. } = *receipt;
    Issued { at_ms: server_time, risk, trust_version, bundle_version }
}

fn state(line: &Line, certificate: Option<&[u8]>, now: Millis) -> State {
    let quarantine = || {
        let facts = certificate.and_then(|der| parse_certificate(der).ok());
        facts.is_some_and(|facts| facts.policies.iter().any(|policy| policy == POLICY_QUARANTINE))
    };
    match &line.standing {
        Standing::Revoked { .. } => State::Revoked,
        Standing::Forked { .. } => State::Forked,
        Standing::Good if now > line.not_after => State::Expired,
        Standing::Good if quarantine() => State::Quarantined,
        Standing::Good => State::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_read_or_refused() {
        let query = |after: Option<&str>, limit| Ok(Query { after: after.map(|name| name.parse().unwrap()), limit });
        assert_eq!(parse_query(""), query(None, PAGE_DEFAULT));
        assert_eq!(parse_query("after=plant:7&limit=500"), query(Some("plant:7"), 500));
        assert_eq!(parse_query("limit=1&after=plant%3A7"), query(Some("plant:7"), 1));
        for bad in ["limit=0", "limit=501", "limit=x", "limit=1&limit=2", "after=", "after=a%20b", "page=2", "after"] {
            assert_eq!(parse_query(bad), Err(QueryError), "{bad}");
        }
    }
}
