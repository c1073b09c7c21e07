//! What `vedette ca` does: one function a subcommand, over one folder.
//!
//! ```text
//! DIR/authority-N.pem  authority-N.key   issuing certificate and key (0600); the highest N signs
//!     above.pem                          certificates above the first authority, where it has any
//!     cross.pem                          at rollovers: NewWithOld, oldest first
//!     backward.pem                       at rollovers: OldWithNew
//!     operators.pem operators.key        the authority of those who may read the fleet, and of nobody else
//!     operators/NAME.operator/*.pem      their certificates; one that is removed is no longer good
//!     receipt.key time.key status.key bundle.key
//!     root/N.json                        root documents of the trust chain
//!     bundles/KIND/N.json  N.bin         published bundles: signed manifest, content
//!     offline/root-N-M.key               keys that sign root documents: move these away
//!     ledger.redb
//! ```
//!
//! The ledger may be open in several processes: every command works beside a running server.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::authority::{Authority, AuthorityError};
use crate::desk::peer::{Factory, Issuer};
use crate::desk::{Desk, Known, Lists, Shelf};
use crate::device::DeviceId;
use crate::digest::Digest;
use crate::est::server::{Limits, serve as serve_tls, wall_clock};
use crate::fleet;
use crate::keys::KeyStore;
use crate::ledger::credential::TokenText;
use crate::ledger::{ClassPolicy, Ledger, LedgerError, Office, Standing, Token};
use crate::meters::Meters;
use crate::pem;
use crate::risk::RiskSource;
use crate::sign::{KeyError, Role};
use crate::time::Span;
use crate::tls::own::OwnPair;
use crate::tls::{TlsError, server_config};
use crate::trust::TrustError;

mod files; // the folder's files, read and written
mod make; // a new authority, its keys and the first root document; a new generation of them
mod operators; // who may read the fleet
mod publish; // bundles

use files::Files;
pub use make::{Above, Init, Rollover, init, rotate_root};
pub use operators::{Operator, operator_add, operator_remove};
pub use publish::{SHELF, bundle_publish, bundle_rollback};

/// What the owner may configure.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Classes by name; `default` applies to a class that is not here.
    pub classes: BTreeMap<String, ClassPolicy>,
    /// Makers whose factory certificates may enrol.
    pub factories: Vec<FactoryConfig>,
    /// Written into each certificate as its CRL distribution point.
    pub crl_url: Option<String>,
}

/// A maker whose factory certificates may enrol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactoryConfig {
    /// PEM file of the maker's authority.
    pub certificate: PathBuf,
    /// Class its devices get.
    pub class: String,
}

/// Why a command could not be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// A file.
    #[error("cannot read or write `{path}`")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file that holds something else.
    #[error("`{path}` is not {what}")]
    Content {
        /// Which.
        path: String,
        /// What it should be.
        what: &'static str,
    },
    /// The folder holds an authority already.
    #[error("`{0}` holds an authority already")]
    Exists(String),
    /// Fewer root keys than signatures asked for.
    #[error("{threshold} of {keys} root keys cannot sign")]
    Threshold {
        /// Keys there are.
        keys: usize,
        /// Signatures asked for.
        threshold: usize,
    },
    /// A forked line: the operator must say which key to believe.
    #[error("the line of `{device}` is forked: say which key to believe, {known} or {other}")]
    WhichKey {
        /// Whose.
        device: DeviceId,
        /// The key the ledger has.
        known: Digest,
        /// The key of the second party.
        other: Digest,
    },
    /// No certificate of an operator of that name.
    #[error("no operator `{0}`")]
    NoOperator(DeviceId),
    /// Signing.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The trust chain.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// An opened authority.
#[derive(Debug)]
pub struct Ca {
    /// Its counter.
    pub desk: Desk,
    /// NewWithOld certificates, newest first: sent after the server's own, for devices that only know
    /// an older generation.
    cross: Vec<Vec<u8>>,
    /// Authorities of every generation: device certificates of all of them are read.
    generations: Vec<Vec<u8>>,
}

/// Opens the authority in `folder`.
///
/// # Errors
/// [`CaError`].
pub fn open(folder: &Path, config: &Config, risk: Box<dyn RiskSource>) -> Result<Ca, CaError> {
    let mut files = Files::open(folder)?;
    let generations = files.generations()?;
    let number = generations.len();
    let newest = generations.last().cloned().ok_or_else(|| content(folder, "an authority: run `vedette ca init`"))?;
    let authority =
        Authority::new(newest, files.key_pair(&format!("authority-{number}.key"))?, config.crl_url.clone())?;
    let roots = files.roots()?;
    let version = roots.len();
    let office = Office {
        authority,
        receipts: files.signing_key("receipt.key")?,
        classes: config.classes.clone(),
        trust_version: u32::try_from(version).unwrap_or(u32::MAX),
        bundle_version: 0.into(), // looked up with the first batch
    };
    let (above, mut cross, backward) =
        (files.certificates("above.pem")?, files.certificates("cross.pem")?, files.certificates("backward.pem")?);
    cross.reverse();
    let cacerts = generations.iter().rev().chain(&above).chain(&cross).chain(&backward).cloned().collect();
    let issuers: Result<Vec<_>, _> = generations.iter().map(|der| Issuer::new(der)).collect();
    let known = Known {
        issuers: issuers.map_err(AuthorityError::Certificate)?,
        factories: factories(&config.factories)?,
        operators: operators::read(&mut files)?,
    };
    let desk = Desk {
        ledger: Ledger::open(&folder.join("ledger.redb"))?,
        office,
        time: files.signing_key("time.key")?,
        status: files.signing_key("status.key")?,
        retired: files.retired(number, config)?,
        lists: Lists::default(),
        issued: Arc::default(),
        shelf: Shelf::new(&folder.join(SHELF)),
        known,
        cacerts,
        roots,
        risk,
        hint: None,
        meters: Meters::default(),
    };
    Ok(Ca { desk, cross, generations })
}

/// Serves EST and the device routes on `listener` until the future is dropped. `names`: what devices
/// call the server, DNS names or addresses.
///
/// # Errors
/// [`CaError`].
pub async fn serve(ca: Ca, listener: tokio::net::TcpListener, names: &[String], limits: Limits) -> Result<(), CaError> {
    let desk = Arc::new(ca.desk);
    let (signer, cross, names) = (desk.clone(), ca.cross, names.to_vec());
    // Made anew at each start and in time, as long as a public one: nothing to renew by hand, nothing to
    // steal.
    let make = move |now| {
        let (authority, key) = (&signer.office.authority, KeyStore::default().generate().ok()?);
        let validity = authority.validity(SERVER_LIFE, now);
        let leaf = authority.issue_server(&names, &key, validity).ok()?;
        Some((std::iter::once(leaf).chain(cross.iter().cloned()).collect(), key, validity))
    };
    let own = OwnPair::new(make, wall_clock)?;
    let factories = desk.known.factories.iter().map(|f| f.certificate.clone());
    let operators = desk.known.operators.authority().map(|authority| authority.certificate().to_vec());
    let anchors: Vec<_> = ca.generations.iter().cloned().chain(factories).chain(operators).collect();
    let tls = server_config(own, &anchors, desk.issued.clone())?;
    let address = listener.local_addr().map(|a| a.to_string()).unwrap_or_default();
    let served = serve_tls(desk, listener, tls, limits).await;
    served.map_err(|source| CaError::File { path: address, source })
}

/// Life of the server's own certificate.
pub const SERVER_LIFE: Span = Span::days(397);

/// Makes a one-time token for a new device, or for any new one.
///
/// # Errors
/// [`CaError`].
pub fn token(folder: &Path, device: Option<DeviceId>, class: &str, life: Span) -> Result<TokenText, CaError> {
    let until = wall_clock() + life;
    let token = Token { device, class: class.to_owned(), until, voucher: false, spent_by: None };
    Ok(ledger(folder)?.token(&token)?)
}

/// Makes a one-time voucher: it brings a device back that is revoked, forked, lost its key, or was
/// away too long.
///
/// # Errors
/// [`CaError`]; a device that is not there needs a token.
pub fn voucher(folder: &Path, device: DeviceId, life: Span) -> Result<TokenText, CaError> {
    let ledger = ledger(folder)?;
    let line = ledger.line(&device)?.ok_or_else(|| LedgerError::UnknownDevice(device.clone()))?;
    let until = wall_clock() + life;
    Ok(ledger.token(&Token { device: Some(device), class: line.class, until, voucher: true, spent_by: None })?)
}

/// Every device, and those that wait for a first certificate: what `GET /v1/fleet` says, page after page.
///
/// # Errors
/// [`CaError`].
pub fn list(folder: &Path) -> Result<Vec<fleet::Row>, CaError> {
    let (ledger, shelf) = (ledger(folder)?, Shelf::new(&folder.join(SHELF)));
    let root = u32::try_from(Files::open(folder)?.roots()?.len()).unwrap_or(u32::MAX);
    let mut query = fleet::Query { after: None, limit: fleet::PAGE_MAX };
    let mut rows = Vec::new();
    loop {
        let page = fleet::page(&ledger, &shelf, root, &query, wall_clock())?;
        rows.extend(page.devices);
        // A name in the ledger is a device's name.
        match page.next.and_then(|name| name.parse().ok()) {
            Some(last) => query.after = Some(last),
            None => return Ok(rows),
        }
    }
}

/// Revokes a device; takes effect with the next request anyone makes.
///
/// # Errors
/// [`CaError`].
pub fn revoke(folder: &Path, device: &DeviceId, reason: &str) -> Result<(), CaError> {
    Ok(ledger(folder)?.revoke(device, reason, wall_clock())?)
}

/// Lets a device pass once: a first enrolment that waits, a return that came too late or too often,
/// or, in a fork, the party that holds `key`.
///
/// # Errors
/// [`CaError::WhichKey`] when the line is forked and no key was named.
pub fn approve(folder: &Path, device: &DeviceId, key: Option<Digest>) -> Result<(), CaError> {
    let ledger = ledger(folder)?;
    let Some(line) = ledger.line(device)? else { return Ok(ledger.approve_enrolment(device)?) };
    let key = match (key, &line.standing) {
        (Some(key), _) => key,
        (None, Standing::Forked { other, .. }) => {
            return Err(CaError::WhichKey { device: device.clone(), known: line.key, other: *other });
        }
        (None, _) => line.key,
    };
    Ok(ledger.approve(device, key)?)
}

fn ledger(folder: &Path) -> Result<Ledger, CaError> {
    if !folder.join("ledger.redb").exists() {
        return Err(content(folder, "an authority: run `vedette ca init`"));
    }
    Ok(Ledger::open(&folder.join("ledger.redb"))?)
}

fn factories(configured: &[FactoryConfig]) -> Result<Vec<Factory>, CaError> {
    let mut all = Vec::new();
    for one in configured {
        let path = one.certificate.display().to_string();
        let bytes = std::fs::read(&one.certificate).map_err(|source| CaError::File { path: path.clone(), source })?;
        let certificates =
            pem::certificates(&bytes).map_err(|_| CaError::Content { path, what: "certificates in PEM" })?;
        all.extend(certificates.into_iter().map(|certificate| Factory { certificate, class: one.class.clone() }));
    }
    Ok(all)
}

fn content(path: &Path, what: &'static str) -> CaError {
    CaError::Content { path: path.display().to_string(), what }
}

/// Roles whose keys the server itself holds.
const ONLINE: [(Role, &str); 4] = [
    (Role::Receipt, "receipt.key"),
    (Role::Time, "time.key"),
    (Role::Status, "status.key"),
    (Role::Bundle, "bundle.key"),
];
