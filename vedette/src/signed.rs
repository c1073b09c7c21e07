//! A model that counts only as a published bundle (`vedette ca bundle publish`): signed by the owner's keys, not expired,
//! and not older than one that was in force here before.

use cert_manager::bundle::{self, BundleError, CONTENT_BYTES_MAX, Kind};
use cert_manager::envelope::ENVELOPE_BYTES_MAX;
use cert_manager::time::Millis;
use cert_manager::trust::{Trust, TrustError};
use miette::Diagnostic;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Why a model is not taken.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum SignedError {
    /// The root document is none, or not signed by itself.
    #[error("`{path}` is no root document", path = path.display())]
    #[diagnostic(
        code(vedette::signed::trust),
        help("`detector.trust` names the root document that `vedette ca init` made")
    )]
    Trust {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: TrustError,
    },
    /// Not signed, not for this, expired, or older than one that was in force.
    #[error("the manifest `{path}` is refused", path = path.display())]
    #[diagnostic(
        code(vedette::signed::manifest),
        help(
            "`detector.trust` is set, so a model needs its manifest beside it, `N.json` of `N.bin`: publish it with `vedette ca bundle publish`; to go back to an older model, `vedette ca bundle rollback`"
        )
    )]
    Manifest {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: BundleError,
    },
    /// Other bytes than were signed.
    #[error("the model `{path}` is not what its manifest names", path = path.display())]
    #[diagnostic(code(vedette::signed::content), help("fetch it again, or publish it anew"))]
    Content {
        /// Which file.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("cannot read or write `{path}`", path = path.display())]
    #[diagnostic(
        code(vedette::signed::file),
        help(
            "beside `detector.trust` a file of the same name and `.held` remembers the newest model taken; it must be writable"
        )
    )]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The bytes of the model in `path`, whose manifest is beside it (`.json`), under the root document `trust`. Its number
/// is remembered, so that no older one is taken after it.
pub fn model(path: &Path, trust: &Path, now: Millis) -> Result<Vec<u8>, SignedError> {
    let root = Trust::start(&read(trust, ENVELOPE_BYTES_MAX as u64)?)
        .map_err(|source| SignedError::Trust { path: trust.into(), source })?;
    let held_file = trust.with_extension("held");
    let held: u64 = match std::fs::read_to_string(&held_file) {
        Ok(text) => text.trim().parse().map_err(|_| file(&held_file, std::io::ErrorKind::InvalidData.into()))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(file(&held_file, error)),
    };
    let manifest_file = path.with_extension("json");
    let refused = |source| SignedError::Manifest { path: manifest_file.clone(), source };
    let manifest = read(&manifest_file, ENVELOPE_BYTES_MAX as u64)?;
    // The one in force itself may be read again.
    let manifest = bundle::accept(&manifest, Kind::Model, held.saturating_sub(1), &root, now).map_err(refused)?;
    let bytes = read(path, CONTENT_BYTES_MAX)?;
    if !manifest.names(&bytes) {
        return Err(SignedError::Content { path: path.into() });
    }
    if manifest.version > held {
        let part = trust.with_extension("held.part");
        let written = std::fs::write(&part, manifest.version.to_string());
        written.and_then(|()| std::fs::rename(&part, &held_file)).map_err(|source| file(&held_file, source))?;
    }
    Ok(bytes)
}

/// At most `max` bytes; more are cut off, and then are not what was signed.
fn read(path: &Path, max: u64) -> Result<Vec<u8>, SignedError> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path).and_then(|file| file.take(max).read_to_end(&mut bytes));
    opened.map(|_| bytes).map_err(|source| file(path, source))
}

fn file(path: &Path, source: std::io::Error) -> SignedError {
    SignedError::File { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cert_manager::bundle::{API_VERSION, ApiRange};
    use cert_manager::ca;
    use cert_manager::time::Span;

    /// An authority in a folder, and a function that publishes a content as its next model.
    fn published(folder: &Path, content: &[u8]) -> PathBuf {
        let file = folder.join("content");
        std::fs::write(&file, content).unwrap();
        let api = ApiRange { from: API_VERSION, until: API_VERSION };
        let manifest = ca::bundle_publish(folder, Kind::Model, &file, Span::days(9), api).unwrap();
        folder.join(ca::SHELF).join("model").join(format!("{}.bin", manifest.version))
    }

    #[test]
    fn only_what_the_owner_published_is_taken_and_nothing_older_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let authority = folder.path().join("ca");
        let root = ca::init(&authority, &ca::Init::default());
        let trust = folder.path().join("root.json");
        std::fs::write(&trust, root.unwrap().bytes()).unwrap();
        let now = cert_manager::est::server::wall_clock();
        let take = |path: &Path| model(path, &trust, now);

        let first = published(&authority, b"one");
        assert_eq!(take(&first).unwrap(), b"one");
        assert_eq!(take(&first).unwrap(), b"one", "again, after a restart");
        let second = published(&authority, b"two");
        assert_eq!(take(&second).unwrap(), b"two");
        let older = take(&first).unwrap_err();
        assert!(
            matches!(older, SignedError::Manifest { source: BundleError::Rollback { found: 1, held: 1 }, .. }),
            "{older:?}"
        );
        // Altered, without a manifest, and past its time.
        std::fs::write(&second, b"twp").unwrap();
        assert!(matches!(take(&second), Err(SignedError::Content { .. })));
        let bare = folder.path().join("bare");
        std::fs::write(&bare, b"one").unwrap();
        assert!(matches!(take(&bare), Err(SignedError::File { .. })));
        std::fs::write(&second, b"two").unwrap();
        let late = model(&second, &trust, now + Span::days(30));
        assert!(matches!(late, Err(SignedError::Manifest { .. })), "{late:?}");
        std::fs::write(&trust, b"{}").unwrap();
        assert!(matches!(take(&second), Err(SignedError::Trust { .. })));
    }
}
