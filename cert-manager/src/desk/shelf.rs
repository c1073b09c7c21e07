//! Published bundles, read from disk when asked for: `KIND/N.json` is the signed manifest, `KIND/N.bin`
//! the content. The manifest is written last, so a bundle that has one is whole.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::bundle::{CHUNK_BYTES, Kind, Manifest, parse_manifest};
use crate::envelope::{ENVELOPE_BYTES_MAX, parse_envelope};

/// A folder of bundles.
#[derive(Debug, Clone)]
pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    /// The shelf in `folder`, which may not be there yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// Number of the newest bundle of a kind; 0 when there is none.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn newest(&self, kind: Kind) -> io::Result<u64> {
        let entries = match std::fs::read_dir(self.folder.join(kind.name())) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let mut newest = 0;
        for entry in entries {
            let name = entry?.file_name().into_string().unwrap_or_default();
            newest = newest.max(name.strip_suffix(".json").and_then(|n| n.parse().ok()).unwrap_or(0));
        }
        Ok(newest)
    }

    /// The signed manifest of one bundle; `None` when there is none.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn manifest(&self, kind: Kind, version: u64) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        match File::open(self.path(kind, version, "json")) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?.take(ENVELOPE_BYTES_MAX as u64).read_to_end(&mut bytes)?,
        };
        Ok(Some(bytes))
    }

    /// What the manifest of one bundle says; `None` when there is none that can be read. It is ours: its signature is
    /// for devices to check.
    pub fn published(&self, kind: Kind, version: u64) -> Option<Manifest> {
        let bytes = self.manifest(kind, version).ok()??;
        parse_manifest(parse_envelope(&bytes).ok()?.unverified()).ok()
    }

    /// Up to [`CHUNK_BYTES`] of the content from `offset`; empty past its end, `None` when there is no
    /// such bundle.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn chunk(&self, kind: Kind, version: u64, offset: u64) -> io::Result<Option<Vec<u8>>> {
        let mut file = match File::open(self.path(kind, version, "bin")) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(CHUNK_BYTES).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn path(&self, kind: Kind, version: u64, what: &str) -> PathBuf {
        self.folder.join(kind.name()).join(format!("{version}.{what}"))
    }
}
