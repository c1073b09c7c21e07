//! `vedette ca operator`: certificates for those who may read the fleet.
//!
//! They come from an authority of their own, made with the folder: devices do not trust it, and neither does a
//! gateway that trusts the devices'. Nothing is revoked by a list: the server looks for each certificate's copy.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::make::{AUTHORITY_LIFE, key_pair};
use super::{CaError, Files, content};
use crate::agent::storage::{Mode, Storage};
use crate::authority::{Authority, AuthorityError, BACKDATE, self_signed_authority};
use crate::desk::Operators;
use crate::desk::operators::{certificate_path, operator_folder};
use crate::desk::peer::Issuer;
use crate::device::DeviceId;
use crate::est::server::wall_clock;
use crate::facts::parse_certificate;
use crate::keys::{Key, KeyStore};
use crate::pem;
use crate::time::{Millis, Span, Validity};

/// A new operator's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its certificate.
    pub certificate: PathBuf,
    /// Its key, 0600.
    pub key: PathBuf,
    /// Last moment it is good.
    pub until: Millis,
}

/// Gives `name` a certificate that may read the fleet: `NAME.pem` and `NAME.key` in `out`. A running server knows
/// it at once. One of the same name from before stays good: see [`operator_remove`].
///
/// # Errors
/// [`CaError`]; a file of that name in `out` is never replaced.
pub fn operator_add(folder: &Path, name: &DeviceId, out: &Path, life: Span) -> Result<Operator, CaError> {
    if !folder.join("authority-1.pem").exists() {
        return Err(content(folder, "an authority: run `vedette ca init`"));
    }
    let mut files = Files::open(folder)?;
    let (authority, now, key) = (authority(&mut files)?, wall_clock(), key_pair()?);
    let validity = authority.validity(life, now);
    let der = authority.issue_operator(name, &key, validity)?;
    let fingerprint = parse_certificate(&der).map_err(AuthorityError::Certificate)?.fingerprint;
    let text = pem::encode("CERTIFICATE", &der);
    let made = Operator {
        certificate: out.join(format!("{name}.pem")),
        key: out.join(format!("{name}.key")),
        until: validity.until,
    };
    hand_over(&made.key, KeyStore::default().record(&key).as_bytes(), 0o600)?;
    hand_over(&made.certificate, text.as_bytes(), 0o644)?;
    // Last: from here on it opens the door.
    files.write(&format!("operators/{}", certificate_path(name, fingerprint)), text.as_bytes(), Mode::Public)?;
    Ok(made)
}

/// Takes every certificate of `name` away; with the next request they are nobody's. Gives how many there were.
///
/// # Errors
/// [`CaError::NoOperator`], or a file that cannot be removed.
pub fn operator_remove(folder: &Path, name: &DeviceId) -> Result<usize, CaError> {
    let mut files = Files::open(folder)?;
    let theirs = format!("operators/{}", operator_folder(name));
    let names = files.file(&theirs, files.disk.names(&theirs))?;
    for file in &names {
        let path = format!("{theirs}/{file}");
        let removed = files.disk.remove(&path).and_then(|()| files.disk.sync_folder(&theirs));
        files.file(&path, removed)?;
    }
    if names.is_empty() { Err(CaError::NoOperator(name.clone())) } else { Ok(names.len()) }
}

/// Whom the server knows; their authority is made where the folder is from before there was one.
pub(super) fn read(files: &mut Files) -> Result<Operators, CaError> {
    let authority = authority(files)?;
    let issuer = Issuer::new(authority.certificate()).map_err(AuthorityError::Certificate)?;
    Ok(Operators::new(issuer, &files.folder.join("operators")))
}

fn authority(files: &mut Files) -> Result<Authority, CaError> {
    if let Some(certificate) = files.certificates("operators.pem")?.into_iter().next() {
        return Ok(Authority::new(certificate, files.key_pair("operators.key")?, None)?);
    }
    let (key, now) = (key_pair()?, wall_clock());
    let life = Validity { from: now - BACKDATE, until: now + AUTHORITY_LIFE };
    // The key's id makes the name one of its own: no other authority is taken for this one.
    let own: String = key.id().to_string().chars().take(8).collect();
    let name = format!("Vedette operators {own}");
    let certificate = self_signed_authority(&name, &key, life)?;
    keep(files, &certificate, &key)?;
    Ok(Authority::new(certificate, key, None)?)
}

fn keep(files: &mut Files, certificate: &[u8], key: &Key) -> Result<(), CaError> {
    let text = KeyStore::default().record(key);
    files.write("operators.key", text.as_bytes(), Mode::Private)?;
    files.write("operators.pem", pem::encode("CERTIFICATE", certificate).as_bytes(), Mode::Public)
}

/// Writes a file for somebody to take away; one that is there already is theirs.
fn hand_over(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CaError> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    let written = file.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|source| CaError::File { path: path.display().to_string(), source })
}
