//! The folder's files, read and written with errors that name them.

use std::io;
use std::path::{Path, PathBuf};

use super::{CaError, Config, content};
use crate::agent::storage::{Disk, Mode, Storage};
use crate::authority::Authority;
use crate::keys::{Key, KeyStore};
use crate::pem;
use crate::sign::SigningKey;
use crate::trust::Trust;

/// An authority's folder.
pub(super) struct Files {
    pub(super) disk: Disk,
    pub(super) folder: PathBuf,
}

impl Files {
    pub(super) fn open(folder: &Path) -> Result<Self, CaError> {
        let disk = Disk::open(folder).map_err(|source| CaError::File { path: folder.display().to_string(), source })?;
        Ok(Self { disk, folder: folder.to_owned() })
    }

    pub(super) fn file<T>(&self, name: &str, result: io::Result<T>) -> Result<T, CaError> {
        result.map_err(|source| CaError::File { path: self.folder.join(name).display().to_string(), source })
    }

    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, CaError> {
        self.file(name, self.disk.read(name))
    }

    pub(super) fn write(&mut self, name: &str, bytes: &[u8], mode: Mode) -> Result<(), CaError> {
        let beside = format!("{name}.new");
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let written = self
            .disk
            .make_folder(folder)
            .and_then(|()| self.disk.write(&beside, bytes, mode))
            .and_then(|()| self.disk.sync(&beside))
            .and_then(|()| self.disk.rename(&beside, name))
            .and_then(|()| self.disk.sync_folder(folder));
        self.file(name, written)
    }

    pub(super) fn certificates(&self, name: &str) -> Result<Vec<Vec<u8>>, CaError> {
        let Some(bytes) = self.read(name)? else { return Ok(Vec::new()) };
        pem::certificates(&bytes).map_err(|_| content(&self.folder.join(name), "certificates in PEM"))
    }

    pub(super) fn key_pair(&self, name: &str) -> Result<Key, CaError> {
        let bytes = zeroize::Zeroizing::new(self.read(name)?.unwrap_or_default());
        let key = KeyStore::default().find(&bytes);
        key.ok_or_else(|| content(&self.folder.join(name), "a private key in PEM"))
    }

    pub(super) fn signing_key(&self, name: &str) -> Result<SigningKey, CaError> {
        let bytes = zeroize::Zeroizing::new(self.read(name)?.unwrap_or_default());
        SigningKey::from_pkcs8(&bytes).map_err(|_| content(&self.folder.join(name), "an Ed25519 key"))
    }

    /// Authority certificates, oldest first.
    pub(super) fn generations(&self) -> Result<Vec<Vec<u8>>, CaError> {
        let mut all = Vec::new();
        for number in 1..=crate::trust::ENTRIES_MAX {
            match self.certificates(&format!("authority-{number}.pem"))?.into_iter().next() {
                Some(certificate) => all.push(certificate),
                None => break,
            }
        }
        Ok(all)
    }

    /// Authorities before generation `newest`, oldest first.
    pub(super) fn retired(&self, newest: usize, config: &Config) -> Result<Vec<Authority>, CaError> {
        let mut all = Vec::new();
        for (number, certificate) in (1..newest).zip(self.generations()?) {
            let key = self.key_pair(&format!("authority-{number}.key"))?;
            all.push(Authority::new(certificate, key, config.crl_url.clone())?);
        }
        Ok(all)
    }

    /// Root documents, the first is number 1; the whole chain is walked, so a damaged one is found here.
    pub(super) fn roots(&self) -> Result<Vec<Vec<u8>>, CaError> {
        let mut all: Vec<Vec<u8>> = Vec::new();
        while let Some(bytes) = self.read(&format!("root/{}.json", all.len() + 1))? {
            all.push(bytes);
        }
        let first = all.first().ok_or_else(|| content(&self.folder.join("root/1.json"), "a root document"))?;
        let mut trust = Trust::start(first)?;
        for bytes in all.iter().skip(1) {
            trust = trust.step(bytes)?;
        }
        Ok(all)
    }
}
