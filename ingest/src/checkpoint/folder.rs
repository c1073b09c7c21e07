//! Checkpoints in a local folder: `ROOT/TOPIC/PARTITION/OFFSET.checkpoint`, and beside them a manifest of those that
//! are whole. Every file is written under another name, synced and renamed, so that a crash leaves the old or the new.

use super::format::{FormatError, VERSION};
use super::{Checkpoint, CheckpointError, CheckpointStore, KEPT};
use crate::Partition;
use schema::Digest;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Keeps checkpoints under a folder of the local disk.
#[derive(Debug, Clone)]
pub struct FolderStore {
    root: PathBuf,
}

/// Which checkpoints of a partition are whole. On disk: this as one line of JSON, then a line with its digest.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    v: u32,
    checkpoints: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    offset: i64,
    bytes: u64,
    digest: Digest,
}

impl FolderStore {
    /// Makes the folder if it is missing. Each consumer group needs one of its own.
    pub fn open(root: &Path) -> Result<Self, CheckpointError> {
        fs::create_dir_all(root).map_err(files("create", root))?;
        Ok(Self { root: root.to_owned() })
    }

    fn folder(&self, partition: &Partition) -> PathBuf {
        // Kafka's own rule for topic names makes them safe as names of folders; anything else is made so.
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '.' };
        let topic: String = partition.topic.chars().map(safe).collect();
        let topic = if topic.chars().all(|c| c == '.') { format!("topic{topic}") } else { topic };
        self.root.join(topic).join(partition.number.to_string())
    }
}

impl CheckpointStore for FolderStore {
    fn save(&self, partition: &Partition, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let folder = self.folder(partition);
        fs::create_dir_all(&folder).map_err(files("create", &folder))?;
        let bytes = checkpoint.to_bytes();
        write_whole(&folder, &name(checkpoint.offset), &bytes)?;

        let mut entries = read_manifest(&folder)?;
        let dropped = |entry: &Entry, keep: bool| (!keep).then_some(entry.offset);
        let mut gone: Vec<i64> = entries.iter().filter_map(|e| dropped(e, e.offset < checkpoint.offset)).collect();
        entries.retain(|entry| entry.offset < checkpoint.offset);
        entries.push(Entry { offset: checkpoint.offset, bytes: bytes.len() as u64, digest: Digest::of(&bytes) });
        while entries.len() > KEPT {
            gone.push(entries.remove(0).offset);
        }
        write_manifest(&folder, entries)?;
        for offset in gone.into_iter().filter(|offset| *offset != checkpoint.offset) {
            // Not in the manifest any more: a file that stays costs space and nothing else.
            let _ = fs::remove_file(folder.join(name(offset)));
        }
        Ok(())
    }

    fn newest(&self, partition: &Partition, offset_max: i64) -> Result<Option<Checkpoint>, CheckpointError> {
        let folder = self.folder(partition);
        let entries = read_manifest(&folder)?;
        for entry in entries.iter().rev().filter(|entry| entry.offset <= offset_max) {
            match read_checkpoint(&folder, entry) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(error @ (CheckpointError::Torn { .. } | CheckpointError::Files { .. })) => {
                    tracing::warn!(%partition, %error, "checkpoint passed over for an older one");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

fn read_checkpoint(folder: &Path, entry: &Entry) -> Result<Checkpoint, CheckpointError> {
    let path = folder.join(name(entry.offset));
    let torn = |reason| CheckpointError::Torn { path: path.display().to_string(), reason };
    let length = fs::metadata(&path).map_err(files("read", &path))?.len();
    if length != entry.bytes {
        return Err(torn("its length is not the manifest's"));
    }
    let bytes = fs::read(&path).map_err(files("read", &path))?;
    if Digest::of(&bytes) != entry.digest {
        return Err(torn("its digest is not the manifest's"));
    }
    Checkpoint::from_bytes(&bytes).map_err(|error| match error {
        FormatError::Torn(reason) => torn(reason),
        FormatError::NewerVersion(found) => {
            CheckpointError::NewerVersion { path: path.display().to_string(), found, known: VERSION }
        }
    })
}

/// The entries by offset; none where there is no manifest, or a torn one: then the log is read from further back.
fn read_manifest(folder: &Path) -> Result<Vec<Entry>, CheckpointError> {
    let path = folder.join(MANIFEST);
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData) => return Ok(Vec::new()),
        Err(source) => return Err(files("read", &path)(source)),
    };
    let parsed = text.split_once('\n').and_then(|(line, digest)| {
        let whole = digest.trim_end().parse() == Ok(Digest::of(line.as_bytes()));
        whole.then(|| serde_json::from_str::<Manifest>(line).ok()).flatten()
    });
    match parsed {
        Some(manifest) if manifest.v > VERSION => {
            Err(CheckpointError::NewerVersion { path: path.display().to_string(), found: manifest.v, known: VERSION })
        }
        Some(mut manifest) => {
            manifest.checkpoints.sort_by_key(|entry| entry.offset);
            Ok(manifest.checkpoints)
        }
        None => {
            tracing::warn!(path = %path.display(), "manifest is torn; no checkpoint is used");
            Ok(Vec::new())
        }
    }
}

fn write_manifest(folder: &Path, checkpoints: Vec<Entry>) -> Result<(), CheckpointError> {
    let manifest = Manifest { v: VERSION, checkpoints };
    // INVARIANT: integers and hex digits only, so the manifest is always representable.
    let line = serde_json::to_string(&manifest).unwrap_or_default();
    let text = format!("{line}\n{}\n", Digest::of(line.as_bytes()));
    write_whole(folder, MANIFEST, text.as_bytes())
}

/// Replaces a file so that a crash at any point leaves the old one or the new one.
fn write_whole(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), CheckpointError> {
    let (path, unfinished) = (folder.join(name), folder.join(format!("{name}.unfinished")));
    let mut file = File::create(&unfinished).map_err(files("create", &unfinished))?;
    file.write_all(bytes).map_err(files("write", &unfinished))?;
    file.sync_all().map_err(files("write", &unfinished))?;
    fs::rename(&unfinished, &path).map_err(files("rename", &unfinished))?;
    // The rename itself is on disk once the folder is.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(files("sync", folder))
}

fn name(offset: i64) -> String {
    format!("{offset:020}.checkpoint")
}

fn files(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> CheckpointError {
    let path = path.display().to_string();
    move |source| CheckpointError::Files { action, path, source }
}

const MANIFEST: &str = "manifest";
