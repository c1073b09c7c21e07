//! A pair that follows the device's folder: programs that use rustls rotate without a restart.
//!
//! Each handshake looks whether `current/cert.pem` is another file than before, which is one `stat`;
//! what cannot be read is passed over, and the pair held so far goes on.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SignatureScheme};

use super::{TlsError, provider};
use crate::keys::KeyStore;
use crate::pem;

/// The device's current pair, as rustls wants it.
pub struct LivePair {
    folder: PathBuf,
    held: Mutex<(FileId, Arc<CertifiedKey>)>,
}

/// What tells one file from the next of the same name: device, inode, and when it was changed.
pub(super) type FileId = (u64, u64, i64, i64);

/// A folder without a usable pair.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` holds no usable key.pem and cert.pem")]
pub struct LiveError(String);

impl LivePair {
    /// Follows `folder`, usually `/var/lib/vedette-agent/current`.
    ///
    /// # Errors
    /// [`LiveError`] when there is no usable pair yet.
    pub fn follow(folder: &Path) -> Result<Arc<Self>, LiveError> {
        let missing = || LiveError(folder.display().to_string());
        let id = file_id(&folder.join("cert.pem")).ok_or_else(missing)?;
        let pair = read(folder).ok_or_else(missing)?;
        Ok(Arc::new(Self { folder: folder.to_owned(), held: Mutex::new((id, pair)) }))
    }

    /// The pair to use now.
    pub fn pair(&self) -> Arc<CertifiedKey> {
        // A pair is replaced as a whole, so one left by a thread that panicked is still whole.
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(id) = file_id(&self.folder.join("cert.pem")).filter(|id| *id != held.0)
            && let Some(pair) = read(&self.folder)
        {
            *held = (id, pair);
        }
        held.1.clone()
    }

    /// A server that shows the pair and asks nobody for a certificate. The pair names a device, not a host, and is a
    /// client's (RFC 5280 section 4.2.1.12): those who dial check it by [`super::peers::PeerVerifier`].
    ///
    /// # Errors
    /// [`TlsError::Rustls`].
    pub fn server_config(self: &Arc<Self>) -> Result<ServerConfig, TlsError> {
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        Ok(builder.with_no_client_auth().with_cert_resolver(self.clone()))
    }

    /// A client that shows the pair and believes servers under `roots`.
    ///
    /// # Errors
    /// [`TlsError::Rustls`].
    pub fn client_config(self: &Arc<Self>, roots: Arc<RootCertStore>) -> Result<ClientConfig, TlsError> {
        let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
        Ok(builder.with_root_certificates(roots).with_client_cert_resolver(self.clone()))
    }
}

impl ResolvesServerCert for LivePair {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair())
    }
}

impl ResolvesClientCert for LivePair {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.pair())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for LivePair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LivePair({})", self.folder.display())
    }
}

/// Which file lies at `path`; `None` when none does.
pub(super) fn file_id(path: &Path) -> Option<FileId> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.mtime(), meta.mtime_nsec()))
}

/// Reads the pair; `None` when a file is missing, broken, or key and certificate do not match.
fn read(folder: &Path) -> Option<Arc<CertifiedKey>> {
    // One slot for all three files, though the pointer may move meanwhile.
    let slot = std::fs::canonicalize(folder).ok()?;
    let mut chain = pem::certificates(&std::fs::read(slot.join("cert.pem")).ok()?).ok()?;
    chain.extend(pem::certificates(&std::fs::read(slot.join("chain.pem")).ok()?).unwrap_or_default());
    let text = zeroize::Zeroizing::new(std::fs::read(slot.join("key.pem")).ok()?);
    let key = KeyStore::default().find(&text)?.for_tls().ok()?;
    let chain = chain.into_iter().map(CertificateDer::from).collect();
    let pair = CertifiedKey::new(chain, key);
    pair.keys_match().ok()?;
    Some(Arc::new(pair))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// Writes a pair into a slot and points `current` at it, as the store does.
    fn rotate(root: &Path, slot: &str) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new(vec![slot.to_owned()]).unwrap().self_signed(&key).unwrap();
        let folder = root.join(slot);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
        std::fs::write(folder.join("chain.pem"), "").unwrap();
        std::fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
        let _ = std::fs::remove_file(root.join("current"));
        std::os::unix::fs::symlink(slot, root.join("current")).unwrap();
        cert.der().to_vec()
    }

    #[test]
    fn a_rotation_is_seen_and_a_broken_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        assert!(LivePair::follow(&root.path().join("current")).is_err());
        let first = rotate(root.path(), "slot-a");
        let live = LivePair::follow(&root.path().join("current")).unwrap();
        assert_eq!(live.pair().cert[0].as_ref(), first);
        let second = rotate(root.path(), "slot-b");
        assert_eq!(live.pair().cert[0].as_ref(), second);
        rotate(root.path(), "slot-a");
        std::fs::copy(root.path().join("slot-b/key.pem"), root.path().join("slot-a/key.pem")).unwrap();
        assert_eq!(live.pair().cert[0].as_ref(), second, "another pair's key");
        assert!(live.server_config().is_ok());
    }
}
