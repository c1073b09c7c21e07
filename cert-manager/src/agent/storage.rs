//! The few file operations the store is made of, named by their durability.
//!
//! A trait so that the power-cut test can put a disk underneath that loses and tears what was not
//! synced; [`Disk`] is the real one. Paths are relative, with `/`.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::digest::{Digest, Hasher};

/// Largest file that is read, in bytes.
pub const FILE_BYTES_MAX: u64 = 256 * 1024;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Its owner: 0600.
    Private,
    /// Everyone: 0644.
    Public,
}

impl Mode {
    fn bits(self) -> u32 {
        match self {
            Self::Private => 0o600,
            Self::Public => 0o644,
        }
    }
}

/// A folder of the device.
pub trait Storage {
    /// The bytes of a file; `None` when there is none.
    ///
    /// # Errors
    /// Any error of the disk, and a file above [`FILE_BYTES_MAX`].
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>>;
    /// Creates or empties a file and writes it. Durable only after [`Storage::sync`].
    ///
    /// # Errors
    /// Any error of the disk.
    fn write(&mut self, path: &str, bytes: &[u8], mode: Mode) -> io::Result<()>;
    /// Makes the bytes of a file durable.
    ///
    /// # Errors
    /// Any error of the disk.
    fn sync(&mut self, path: &str) -> io::Result<()>;
    /// Replaces `to` by `from`, at once or not at all. Durable only after [`Storage::sync_folder`].
    ///
    /// # Errors
    /// Any error of the disk.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file that may not be there.
    ///
    /// # Errors
    /// Any error of the disk.
    fn remove(&mut self, path: &str) -> io::Result<()>;
    /// Makes names made, renamed and removed in a folder durable; `""` is the top.
    ///
    /// # Errors
    /// Any error of the disk.
    fn sync_folder(&mut self, path: &str) -> io::Result<()>;
    /// Makes a folder that may be there already.
    ///
    /// # Errors
    /// Any error of the disk.
    fn make_folder(&mut self, path: &str) -> io::Result<()>;
    /// Makes a symbolic link at `path` to `target`.
    ///
    /// # Errors
    /// Any error of the disk.
    fn link(&mut self, target: &str, path: &str) -> io::Result<()>;
    /// Where a symbolic link points; `None` when there is none.
    ///
    /// # Errors
    /// Any error of the disk.
    fn read_link(&self, path: &str) -> io::Result<Option<String>>;
    /// Writes at the end of a file, made if it is not there. Durable only after [`Storage::sync`].
    ///
    /// # Errors
    /// Any error of the disk.
    fn append(&mut self, path: &str, bytes: &[u8], mode: Mode) -> io::Result<()>;
    /// Cuts a file off after `size` bytes. Durable only after [`Storage::sync`].
    ///
    /// # Errors
    /// Any error of the disk.
    fn truncate(&mut self, path: &str, size: u64) -> io::Result<()>;
    /// Bytes in a file of any size; 0 when there is none.
    ///
    /// # Errors
    /// Any error of the disk.
    fn size(&self, path: &str) -> io::Result<u64>;
    /// SHA-256 of a file of any size, read in pieces; that of nothing when there is none.
    ///
    /// # Errors
    /// Any error of the disk.
    fn digest(&self, path: &str) -> io::Result<Digest>;
    /// Names in a folder, in order; none when there is no folder.
    ///
    /// # Errors
    /// Any error of the disk.
    fn names(&self, path: &str) -> io::Result<Vec<String>>;
}

/// A real folder.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// Uses `root`, made if it is not there.
    ///
    /// # Errors
    /// Any error of the disk.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self { root: root.to_owned() })
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }
}

impl Storage for Disk {
    fn read(&self, path: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match fs::File::open(self.at(path)) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut bytes = Vec::new();
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("`{path}` is too large")));
        }
        Ok(Some(bytes))
    }

    fn write(&mut self, path: &str, bytes: &[u8], mode: Mode) -> io::Result<()> {
        // Made anew each time: an old file could have a wider mode, which `mode` would not narrow.
        self.remove(path)?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode.bits()).open(self.at(path))?;
        file.write_all(bytes)
    }

    fn sync(&mut self, path: &str) -> io::Result<()> {
        fs::File::open(self.at(path))?.sync_all()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.at(from), self.at(to))
    }

    fn remove(&mut self, path: &str) -> io::Result<()> {
        match fs::remove_file(self.at(path)) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    fn sync_folder(&mut self, path: &str) -> io::Result<()> {
        fs::File::open(self.at(path))?.sync_all()
    }

    fn make_folder(&mut self, path: &str) -> io::Result<()> {
        fs::create_dir_all(self.at(path))
    }

    fn link(&mut self, target: &str, path: &str) -> io::Result<()> {
        symlink(target, self.at(path))
    }

    fn append(&mut self, path: &str, bytes: &[u8], mode: Mode) -> io::Result<()> {
        let mut options = fs::OpenOptions::new();
        options.append(true).create(true).mode(mode.bits()).open(self.at(path))?.write_all(bytes)
    }

    fn truncate(&mut self, path: &str, size: u64) -> io::Result<()> {
        fs::OpenOptions::new().write(true).open(self.at(path))?.set_len(size)
    }

    fn size(&self, path: &str) -> io::Result<u64> {
        match fs::metadata(self.at(path)) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(0),
            meta => Ok(meta?.len()),
        }
    }

    fn digest(&self, path: &str) -> io::Result<Digest> {
        let mut hasher = Hasher::default();
        match fs::File::open(self.at(path)) {
            Err(e) if e.kind() == ErrorKind::NotFound => {}
            file => {
                let mut file = file?;
                let mut piece = vec![0; 64 * 1024];
                loop {
                    match file.read(&mut piece)? {
                        0 => break,
                        read => hasher.update(piece.get(..read).unwrap_or_default()),
                    }
                }
            }
        }
        Ok(hasher.finish())
    }

    fn names(&self, path: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.at(path)) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().into_string().unwrap_or_default());
        let mut names: Vec<String> = entries.map(name).collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    }

    fn read_link(&self, path: &str) -> io::Result<Option<String>> {
        match fs::read_link(self.at(path)) {
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => Ok(None),
            target => Ok(target?.into_os_string().into_string().ok()),
        }
    }
}
