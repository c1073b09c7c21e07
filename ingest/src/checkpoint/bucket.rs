//! Checkpoints in an object store: `TOPIC/PARTITION/OFFSET.manifest` names the segments that make up the state at
//! OFFSET, oldest first. Segments are written first and never changed; the manifest comes last, so that a crash at any
//! point leaves the checkpoints there were.
//!
//! Segments are joined as in a log-structured merge tree (O'Neil et al., Acta Informatica 33, 1996): when the newer ones
//! together are as large as the one before them. So a state is rewritten a number of times that grows with the
//! logarithm of its size, not with the number of checkpoints.

use super::format::{FormatError, Head, VERSION};
use super::manifest::{Manifest, Segment};
use super::{Checkpoint, CheckpointError, CheckpointStore, KEPT, Stored, merge};
use crate::Partition;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use schema::Digest;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::{Builder, Runtime};

/// Keeps checkpoints in a folder of this machine, in memory, or where an S3 is spoken (feature `s3`).
#[derive(Debug)]
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// Of a store on this machine's disk: objects are synced to it.
    folder: Option<PathBuf>,
    /// There until the drop.
    runtime: Option<Runtime>,
}

impl Bucket {
    /// The store at `url`: a folder's path or `file://` URL (made if missing), `memory:`, or `s3://BUCKET/PREFIX` with
    /// credentials from `AWS_*`. Each consumer group needs one of its own.
    pub fn open(url: &str) -> Result<Self, CheckpointError> {
        let bad = |reason: &dyn std::fmt::Display| CheckpointError::Address {
            url: url.to_owned(),
            reason: reason.to_string(),
        };
        let folder = url.strip_prefix("file://").or((!url.contains("://") && url != "memory:").then_some(url));
        if let Some(folder) = folder.map(PathBuf::from) {
            fs::create_dir_all(&folder).map_err(|error| bad(&error))?;
            let store = LocalFileSystem::new_with_prefix(&folder).map_err(|error| bad(&error))?;
            return Self::over(Arc::new(store), Path::default(), Some(folder)).map_err(|error| bad(&error));
        }
        match url.split_once(':') {
            Some(("memory", "")) => {
                Self::over(Arc::new(InMemory::new()), Path::default(), None).map_err(|error| bad(&error))
            }
            #[cfg(feature = "s3")]
            Some(("s3", rest)) => {
                let prefix = rest.trim_start_matches('/').split_once('/').map_or("", |(_, prefix)| prefix);
                let store = object_store::aws::AmazonS3Builder::from_env().with_url(url).build();
                Self::over(Arc::new(store.map_err(|error| bad(&error))?), Path::from(prefix), None)
                    .map_err(|error| bad(&error))
            }
            #[cfg(not(feature = "s3"))]
            Some(("s3", _)) => Err(bad(&"this build speaks no S3 (Cargo feature `s3`)")),
            _ => Err(bad(&"a folder, file://, memory: or s3:// is expected")),
        }
    }

    fn over(store: Arc<dyn ObjectStore>, prefix: Path, folder: Option<PathBuf>) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("checkpoints").enable_all().build()?;
        Ok(Self { store, prefix, folder, runtime: Some(runtime) })
    }

    fn home(&self, partition: &Partition) -> Path {
        // Kafka's own rule for topic names makes them safe as names of folders; anything else is made so.
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '.' };
        let topic: String = partition.topic.chars().map(safe).collect();
        let topic = if topic.chars().all(|c| c == '.') { format!("topic{topic}") } else { topic };
        self.prefix.child(topic).child(partition.number.to_string())
    }

    /// Waits for what the store does. On a thread of its own: callers may be inside a runtime already.
    fn wait<T: Send>(&self, work: impl Future<Output = T> + Send) -> T {
        #[expect(clippy::expect_used, reason = "taken by the drop alone")]
        let runtime = self.runtime.as_ref().expect("a runtime until the drop");
        let outcome = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(work)).join());
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Names in a partition's folder.
    fn names(&self, home: &Path) -> Result<Vec<String>, CheckpointError> {
        let listed = self.wait(self.store.list_with_delimiter(Some(home))).map_err(failed("list", home))?;
        Ok(listed.objects.iter().filter_map(|object| object.location.filename().map(str::to_owned)).collect())
    }

    fn get(&self, path: &Path) -> Result<Vec<u8>, CheckpointError> {
        let bytes = self.wait(async { self.store.get(path).await?.bytes().await }).map_err(failed("read", path))?;
        Ok(bytes.into())
    }

    fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<(), CheckpointError> {
        self.wait(self.store.put(path, bytes.into())).map_err(failed("write", path))?;
        self.sync(path)
    }

    /// What was written survives a power cut.
    fn sync(&self, path: &Path) -> Result<(), CheckpointError> {
        if let Some(folder) = &self.folder {
            // The store renames a finished file into place; it is on disk once file and folder are.
            let file = folder.join(path.as_ref());
            let synced = File::open(&file).and_then(|file| file.sync_all());
            let synced = synced.and_then(|()| file.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all()));
            synced.map_err(|source| CheckpointError::Store {
                action: "sync",
                path: path.to_string(),
                source: Box::new(object_store::Error::Generic { store: "local", source: Box::new(source) }),
            })?;
        }
        Ok(())
    }

    fn manifest(&self, home: &Path, offset: i64) -> Result<Manifest, CheckpointError> {
        let path = home.child(manifest_name(offset));
        Manifest::read(&self.get(&path)?).map_err(torn(&path))
    }

    fn segment(&self, home: &Path, segment: &Segment) -> Result<Checkpoint, CheckpointError> {
        let path = home.child(segment.name.as_str());
        let bytes = self.get(&path)?;
        if bytes.len() as u64 != segment.bytes || Digest::of(&bytes) != segment.digest {
            return Err(torn(&path)(FormatError::Torn("its length or digest is not the manifest's")));
        }
        Checkpoint::from_bytes(bytes).map_err(torn(&path))
    }

    fn load(&self, home: &Path, offset: i64, file: Kind) -> Result<Stored, CheckpointError> {
        let manifest = match file {
            Kind::Manifest => self.manifest(home, offset)?,
            Kind::Version1 => {
                let path = home.child(version_1_name(offset));
                let read = Checkpoint::from_bytes(self.get(&path)?).map_err(torn(&path))?;
                return Ok(Stored { offset, model: read.model, segments: vec![read.entries] });
            }
        };
        let mut stored = Stored { offset, model: None, segments: Vec::with_capacity(manifest.segments.len()) };
        for segment in &manifest.segments {
            let checkpoint = self.segment(home, segment)?;
            stored.model = checkpoint.model;
            stored.segments.push(checkpoint.entries);
        }
        Ok(stored)
    }

    /// Joins the newest segments while together they are as large as the one before them, or too many.
    fn joined(&self, home: &Path, mut segments: Vec<Segment>) -> Result<Vec<Segment>, CheckpointError> {
        let mut first = segments.len();
        let mut newer = 0;
        while let Some(segment) = first.checked_sub(1).and_then(|at| segments.get(at)) {
            if first < segments.len() && segment.bytes > newer && first <= SEGMENTS_MAX {
                break;
            }
            newer += segment.bytes;
            first -= 1;
        }
        if segments.len() - first < 2 {
            return Ok(segments);
        }
        let parts = segments.split_off(first);
        let joined = self.wait(merge::join(&*self.store, home, &parts))?;
        self.sync(&home.child(joined.name.as_str()))?;
        segments.push(joined);
        Ok(segments)
    }

    fn put_segment(&self, home: &Path, checkpoint: &Checkpoint) -> Result<Segment, CheckpointError> {
        let (head, entries) = (Head::of(checkpoint), checkpoint.entries.rising());
        let segment = self.wait(merge::write(&*self.store, home, &head, &entries))?;
        self.sync(&home.child(segment.name.as_str()))?;
        Ok(segment)
    }

    /// Removes what no kept checkpoint needs. What stays by accident costs space and nothing else.
    fn prune(&self, home: &Path, newest: i64) {
        let Ok(names) = self.names(home) else { return };
        let mut offsets: Vec<i64> = names.iter().filter_map(|name| offset_of(name, MANIFEST)).collect();
        offsets.sort_unstable();
        offsets.retain(|offset| *offset <= newest);
        let kept = offsets.split_off(offsets.len().saturating_sub(KEPT));
        let mut needed: Vec<String> = kept.iter().map(|offset| manifest_name(*offset)).collect();
        for offset in &kept {
            // One that cannot be read needs nothing.
            needed.extend(self.manifest(home, *offset).into_iter().flat_map(|m| m.segments).map(|s| s.name));
        }
        if kept.len() < KEPT {
            needed
                .extend(names.iter().filter(|name| offset_of(name, VERSION_1).is_some_and(|at| at < newest)).cloned());
        }
        for name in names.iter().filter(|name| !needed.contains(name)) {
            let _ = self.wait(self.store.delete(&home.child(name.as_str())));
        }
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // Inside a runtime another one may not be waited for; nothing runs in ours between calls.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl CheckpointStore for Bucket {
    fn save(&self, partition: &Partition, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let home = self.home(partition);
        let mut segments = match checkpoint.since {
            None => Vec::new(),
            Some(since) => match self.manifest(&home, since) {
                Ok(manifest) => manifest.segments,
                Err(error) => {
                    tracing::warn!(%partition, %error, "a checkpoint has nothing to add to");
                    return Err(CheckpointError::Gap { partition: partition.clone(), since });
                }
            },
        };
        segments.push(self.put_segment(&home, checkpoint)?);
        let segments = self.joined(&home, segments)?;
        let manifest = home.child(manifest_name(checkpoint.offset));
        self.put(&manifest, Manifest::of(segments).to_bytes())?;
        self.prune(&home, checkpoint.offset);
        Ok(())
    }

    fn newest(&self, partition: &Partition, offset_max: i64) -> Result<Option<Stored>, CheckpointError> {
        let home = self.home(partition);
        let names = self.names(&home)?;
        let of = |kind: Kind, end| names.iter().filter_map(move |name| Some((offset_of(name, end)?, kind)));
        let mut found: Vec<(i64, Kind)> = of(Kind::Version1, VERSION_1).chain(of(Kind::Manifest, MANIFEST)).collect();
        found.retain(|(offset, _)| *offset <= offset_max);
        found.sort_unstable();
        for (offset, kind) in found.into_iter().rev() {
            match self.load(&home, offset, kind) {
                Ok(stored) => return Ok(Some(stored)),
                Err(error @ CheckpointError::NewerVersion { .. }) => return Err(error),
                Err(error @ CheckpointError::Store { .. }) if !is_missing(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(%partition, %error, "checkpoint passed over for an older one");
                }
            }
        }
        Ok(None)
    }
}

/// How a checkpoint is laid out; the later one is preferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// One file with all of it.
    Version1,
    /// A manifest and segments.
    Manifest,
}

fn manifest_name(offset: i64) -> String {
    format!("{offset:020}{MANIFEST}")
}

fn version_1_name(offset: i64) -> String {
    format!("{offset:020}{VERSION_1}")
}

fn offset_of(name: &str, end: &str) -> Option<i64> {
    name.strip_suffix(end)?.parse().ok()
}

fn is_missing(error: &CheckpointError) -> bool {
    matches!(error, CheckpointError::Store { source, .. } if matches!(**source, object_store::Error::NotFound { .. }))
}

pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(object_store::Error) -> CheckpointError {
    let path = path.to_string();
    move |source| CheckpointError::Store { action, path, source: Box::new(source) }
}

pub(super) fn torn(path: &Path) -> impl FnOnce(FormatError) -> CheckpointError {
    let path = path.to_string();
    move |error| match error {
        FormatError::Torn(reason) => CheckpointError::Torn { path, reason },
        FormatError::NewerVersion(found) => CheckpointError::NewerVersion { path, found, known: VERSION },
    }
}

/// Segments of one checkpoint, at most: a new owner reads them all.
const SEGMENTS_MAX: usize = 12;
const MANIFEST: &str = ".manifest";
const VERSION_1: &str = ".checkpoint";
