//! Where the key of fingerprints comes from.

use miette::Diagnostic;
use schema::TenantKey;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why there is no key.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum KeyError {
    /// The file may not be read or made.
    #[error("cannot use the key file `{path}`")]
    #[diagnostic(
        code(vedette::key::unusable),
        help("`seal.key_file` must name a file this user may read, in a folder it may write to")
    )]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file holds something else.
    #[error("the key file `{path}` does not hold 64 hex digits")]
    #[diagnostic(
        code(vedette::key::malformed),
        help("delete it to have a new key made; fingerprints of the old one then mean nothing")
    )]
    Malformed {
        /// Which file.
        path: PathBuf,
    },
    /// The system has no random bytes to give.
    #[error("the system gives no random bytes: {reason}")]
    #[diagnostic(code(vedette::key::no_randomness), help("name a key file that is already there with `seal.key_file`"))]
    NoRandomness {
        /// Why.
        reason: String,
    },
}

/// The key in `file`, made first where the file is missing.
pub fn from_file(path: &Path) -> Result<TenantKey, KeyError> {
    let unusable = |source| KeyError::Unusable { path: path.into(), source };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let text = Zeroizing::new(text);
            parse(text.trim()).ok_or_else(|| KeyError::Malformed { path: path.into() })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let secret = random()?;
            let text: Zeroizing<String> = Zeroizing::new(secret.iter().map(|byte| format!("{byte:02x}")).collect());
            private(path).and_then(|mut file| writeln!(file, "{}", *text)).map_err(unusable)?;
            Ok(TenantKey::new(*secret))
        }
        Err(error) => Err(unusable(error)),
    }
}

/// A key that nobody can have seen, gone when the process ends.
pub fn fresh() -> Result<TenantKey, KeyError> {
    Ok(TenantKey::new(*random()?))
}

/// The key for data sets: published, so that the same files give the same bytes on every machine. Whoever has the data
/// set has its text already.
pub fn for_data_sets() -> TenantKey {
    TenantKey::new(schema::Digest::of(b"vedette: the key of data sets").0)
}

fn random() -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let mut secret = Zeroizing::new([0; 32]);
    getrandom::fill(secret.as_mut_slice()).map_err(|error| KeyError::NoRandomness { reason: error.to_string() })?;
    Ok(secret)
}

fn parse(hex: &str) -> Option<TenantKey> {
    let mut secret = Zeroizing::new([0u8; 32]);
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != secret.len() || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in secret.iter_mut().zip(pairs) {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| !pair.starts_with('+'))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(TenantKey::new(*secret))
}

/// A new file that only this user can read.
fn private(path: &Path) -> std::io::Result<std::fs::File> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_key_file_is_made_once_and_read_ever_after() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vedette.key");
        let (made, read) = (from_file(&path).unwrap(), from_file(&path).unwrap());
        assert_eq!(made.digest(b"x"), read.digest(b"x"));
        assert_ne!(made.digest(b"x"), fresh().unwrap().digest(b"x"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_file_that_holds_no_key_is_refused_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vedette.key");
        for text in ["", "12", &"g".repeat(64), &"é".repeat(32), &"+1".repeat(32)] {
            std::fs::write(&path, text).unwrap();
            let refused = matches!(from_file(&path), Err(KeyError::Malformed { .. }));
            assert!(refused, "{text}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }
}
