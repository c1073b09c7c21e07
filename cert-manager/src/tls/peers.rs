//! One device's check of another: mTLS between devices of one authority, by the rule of [`crate::peers`].
//!
//! What is known is in the device's folder, where `vedette-agent run --peers` keeps it: `root.json`, `state.json`,
//! `status.bin`. Each handshake looks whether one of them is another file than before, which is three `stat`s.
//! Nothing is resumed, so that nobody is let in by an earlier yes.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::client::Resumption;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{CertificateError, ClientConfig, DistinguishedName, Error, OtherError, ServerConfig};

use super::live::{FileId, LivePair, file_id};
use super::{TlsError, anchors, provider, signatures_as_ever};
use crate::agent::drive::{Memory, ROOT_FILE, STATUS_FILE};
use crate::agent::storage::FILE_BYTES_MAX;
use crate::device::DeviceId;
use crate::facts::{CertFacts, parse_certificate};
use crate::peers::{Admission, Grace, PeerRefusal, Word, admit};
use crate::revocation::{STATUS_BYTES_MAX, StatusList};
use crate::sign::Role;
use crate::time::{Millis, Span};
use crate::trust::Trust;

/// Checks peers, whichever of the two dials.
pub struct PeerVerifier {
    folder: PathBuf,
    grace: Grace,
    expects: Option<DeviceId>,
    held: Mutex<Held>,
}

/// What was read last.
struct Held {
    files: [Option<FileId>; 3],
    known: Known,
}

#[derive(Clone)]
struct Known {
    chain: Arc<dyn ClientCertVerifier>,
    word: Arc<Word>,
}

/// A folder that says nothing of whom to believe.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` holds no root document with an anchor: is the device enrolled?")]
pub struct PeersError(String);

impl PeerVerifier {
    /// Follows `folder`, usually `/var/lib/vedette-agent`. [`Grace::default`] is none.
    ///
    /// # Errors
    /// [`PeersError`] when the folder holds no usable root document.
    pub fn follow(folder: &Path, grace: Grace) -> Result<Self, PeersError> {
        let files = files(folder);
        let known = read(folder).ok_or_else(|| PeersError(folder.display().to_string()))?;
        Ok(Self { folder: folder.to_owned(), grace, expects: None, held: Mutex::new(Held { files, known }) })
    }

    /// For the one that dials: the device it wants to reach, and no other.
    #[must_use]
    pub fn expecting(mut self, device: DeviceId) -> Self {
        self.expects = Some(device);
        self
    }

    /// A server that shows `pair` and lets peers in.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn server_config(self, pair: &Arc<LivePair>) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let mut config = builder.with_client_cert_verifier(Arc::new(self)).with_cert_resolver(pair.clone());
        config.send_tls13_tickets = 0;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(config)
    }

    /// A client that shows `pair` and believes peers, whatever the name it dials.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn client_config(self, pair: &Arc<LivePair>) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(self));
        let mut config = builder.with_client_cert_resolver(pair.clone());
        config.resumption = Resumption::disabled();
        config.enable_sni = false;
        Ok(config)
    }

    /// Whether the holder of this chain is let in when the local clock says `local`.
    ///
    /// # Errors
    /// What rustls tells the other end.
    pub fn check(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        local: UnixTime,
    ) -> Result<Admission, Error> {
        let Known { chain, word } = self.known();
        let unreadable = |_| Error::InvalidCertificate(CertificateError::BadEncoding);
        let facts = parse_certificate(end_entity).map_err(unreadable)?;
        let above: Result<Vec<CertFacts>, _> = intermediates.iter().map(|der| parse_certificate(der)).collect();
        let above = above.map_err(unreadable)?;
        let now = Millis(local.as_secs().saturating_mul(1_000)).max(word.heard);
        // Grace is for the device itself, not for those above it.
        if above.iter().any(|facts| facts.validity.expired(now)) {
            return Err(Error::InvalidCertificate(CertificateError::Expired));
        }
        let begins = above.iter().map(|facts| facts.validity.from).fold(facts.validity.from, Millis::max);
        let until = facts.validity.until;
        let at = if facts.validity.expired(now) { until - Span::seconds(1) } else { now.max(begins) };
        let at = UnixTime::since_unix_epoch(Duration::from_millis(at.0));
        chain.verify_client_cert(end_entity, intermediates, at)?;
        if self.expects.as_ref().is_some_and(|name| facts.common_name.as_deref() != Some(name.as_str())) {
            return Err(Error::InvalidCertificate(CertificateError::NotValidForName));
        }
        admit(&facts, &word, &self.grace, now).map_err(|refusal| {
            Error::InvalidCertificate(match refusal {
                PeerRefusal::Revoked => CertificateError::Revoked,
                PeerRefusal::Expired => CertificateError::Expired,
                other => CertificateError::Other(OtherError(Arc::new(other))),
            })
        })
    }

    fn known(&self) -> Known {
        // It is replaced as a whole, so what a thread left that panicked is still whole.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let files = files(&self.folder);
        if files != held.files
            && let Some(known) = read(&self.folder)
        {
            // What was heard is heard, even where a file was lost or an older one put in its place.
            let heard = known.word.heard.max(held.known.word.heard);
            let older = |list: &StatusList| known.word.status.as_ref().is_none_or(|new| new.made() < list.made());
            let status = held.known.word.status.clone().filter(older).or_else(|| known.word.status.clone());
            *held = Held { files, known: Known { chain: known.chain, word: Arc::new(Word { status, heard }) } };
        }
        held.known.clone()
    }
}

fn files(folder: &Path) -> [Option<FileId>; 3] {
    [ROOT_FILE, STATUS_FILE, "state.json"].map(|name| file_id(&folder.join(name)))
}

/// Reads what is known; `None` when there is no root document to believe anything by.
fn read(folder: &Path) -> Option<Known> {
    let file = |name: &str, most: u64| {
        let mut bytes = Vec::new();
        std::fs::File::open(folder.join(name)).ok()?.take(most).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    };
    let trust = Trust::start(&file(ROOT_FILE, FILE_BYTES_MAX)?).ok()?;
    let memory: Memory =
        file("state.json", FILE_BYTES_MAX).and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    let status = file(STATUS_FILE, STATUS_BYTES_MAX as u64)
        .and_then(|bytes| StatusList::read(&bytes, trust.keys(Role::Status), None).ok());
    let heard = status.as_ref().map_or(memory.floor.at(), |list| memory.floor.at().max(list.made()));
    let roots = anchors(&trust.anchors(heard)).ok()?;
    let chain = WebPkiClientVerifier::builder_with_provider(roots, provider()).build().ok()?;
    Some(Known { chain, word: Arc::new(Word { status, heard }) })
}

impl ClientCertVerifier for PeerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[] // a device has one certificate: a hint would only cost bytes
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates, now).map(|_| ClientCertVerified::assertion())
    }

    signatures_as_ever!();
}

/// The one that is dialled shows its device certificate, too, so it is checked as one: by who it is, not by the
/// address it answers at.
impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates, now).map(|_| ServerCertVerified::assertion())
    }

    signatures_as_ever!();
}

impl fmt::Debug for PeerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerVerifier({})", self.folder.display())
    }
}
