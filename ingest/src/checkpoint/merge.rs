//! Segments joined entry by entry: memory holds a piece of each, however large they are.

use super::bucket::{failed, torn};
use super::entries::{self, Entry};
use super::format::{DIGEST_BYTES, FormatError, HEAD_BYTES, Head, RISING};
use super::manifest::Segment;
use super::{Checkpoint, CheckpointError, Entries};
use object_store::path::Path;
use object_store::{ObjectStore, WriteMultipart};
use schema::Digest;
use sha2::{Digest as _, Sha256};

/// Joins segments of one history, oldest first, to one beside them.
pub(super) async fn join(store: &dyn ObjectStore, home: &Path, parts: &[Segment]) -> Result<Segment, CheckpointError> {
    let mut sources = Vec::with_capacity(parts.len());
    for part in parts {
        sources.push(Source::open(store, home, part).await?);
    }
    let (Some(oldest), Some(newest)) = (sources.first(), sources.last()) else { return Err(nothing(home)) };
    let head = Head { since: oldest.head.since, ..newest.head };
    let mut sink = Sink::new(store, home, &head);
    match copy(&mut sources, &mut sink, head.since.is_none()).await {
        Ok(()) => sink.finish().await,
        Err(error) => {
            sink.abandon().await;
            Err(error)
        }
    }
}

/// Writes a segment of these entries, which rise strictly.
pub(super) async fn write(
    store: &dyn ObjectStore,
    home: &Path,
    head: &Head,
    entries: &[Entry<'_>],
) -> Result<Segment, CheckpointError> {
    let mut sink = Sink::new(store, home, head);
    for entry in entries {
        sink.push(*entry).await?;
    }
    sink.finish().await
}

/// The least key first; of equal ones the newest stands. What is gone is left out only where nothing older could bring it
/// back.
async fn copy(sources: &mut [Source<'_>], sink: &mut Sink<'_>, whole: bool) -> Result<(), CheckpointError> {
    for source in sources.iter_mut() {
        source.advance().await?;
    }
    loop {
        let current = sources.iter().filter_map(Source::current);
        let least = current.reduce(|least, next| if next.0 <= least.0 { next } else { least });
        let Some((key, value)) = least else { return Ok(()) };
        if value.is_some() || !whole {
            sink.push((key, value)).await?;
        }
        let key = key.to_vec();
        for source in sources.iter_mut() {
            if source.current().is_some_and(|(other, _)| other == key) {
                source.advance().await?;
            }
        }
    }
}

/// A segment that is read from its begin to its end.
struct Source<'s> {
    store: &'s dyn ObjectStore,
    path: Path,
    segment: &'s Segment,
    head: Head,
    /// Of the object: where the next piece begins.
    at: u64,
    hasher: Sha256,
    /// Entries that were read; those before `taken` are done with, the current one is `length` bytes from there.
    buffer: Vec<u8>,
    taken: usize,
    length: usize,
}

impl<'s> Source<'s> {
    async fn open(store: &'s dyn ObjectStore, home: &Path, segment: &'s Segment) -> Result<Self, CheckpointError> {
        let path = home.child(segment.name.as_str());
        let begin =
            store.get_range(&path, 0..segment.bytes.min(HEAD_BYTES as u64)).await.map_err(failed("read", &path))?;
        let head = Head::take(&mut begin.as_ref()).map_err(torn(&path))?;
        let mut source =
            Self { store, path, segment, head, at: 0, hasher: Sha256::new(), buffer: Vec::new(), taken: 0, length: 0 };
        if head.version < RISING {
            // Of an older build, in any order: sorted in memory, once.
            while source.fetch().await? {}
            let whole = std::mem::take(&mut source.buffer);
            let entries = Checkpoint::from_bytes(whole).map_err(torn(&source.path))?.entries;
            source.buffer = Entries::latest([&entries]).to_bytes();
        }
        Ok(source)
    }

    /// The entry that is next.
    fn current(&self) -> Option<Entry<'_>> {
        entries::next(&mut self.buffer.get(self.taken..self.taken + self.length)?)
    }

    /// Goes on to the next entry, if there is one. The end is reached only by a segment that is what its manifest says.
    async fn advance(&mut self) -> Result<(), CheckpointError> {
        self.taken += std::mem::take(&mut self.length);
        loop {
            let all = self.buffer.get(self.taken..).unwrap_or_default();
            let mut rest = all;
            if entries::next(&mut rest).is_some() {
                self.length = all.len() - rest.len();
                return Ok(());
            }
            self.buffer.drain(..self.taken);
            self.taken = 0;
            if !self.fetch().await? {
                return match self.buffer.is_empty() {
                    true => Ok(()),
                    false => Err(torn(&self.path)(FormatError::Torn("an entry ends early"))),
                };
            }
        }
    }

    /// Reads one more piece; false at the end.
    async fn fetch(&mut self) -> Result<bool, CheckpointError> {
        let end = self.segment.bytes.min(self.at + PIECE_BYTES);
        if self.at == end {
            return Ok(false);
        }
        let piece = self.store.get_range(&self.path, self.at..end).await.map_err(failed("read", &self.path))?;
        self.hasher.update(&piece);
        let differs = FormatError::Torn("its length or digest is not the manifest's");
        if piece.len() as u64 != end - self.at {
            return Err(torn(&self.path)(differs));
        }
        // Of an older version all of the object is wanted, of this one the entries alone.
        let sorted = self.head.version >= RISING;
        let (first, last) =
            if sorted { (HEAD_BYTES as u64, self.segment.bytes.saturating_sub(DIGEST_BYTES as u64)) } else { (0, end) };
        let from = first.clamp(self.at, end) - self.at;
        let to = last.clamp(self.at, end) - self.at;
        self.buffer.extend_from_slice(piece.get(from as usize..to as usize).unwrap_or_default());
        self.at = end;
        if self.at == self.segment.bytes && self.hasher.clone().finalize()[..] != self.segment.digest.0 {
            return Err(torn(&self.path)(differs));
        }
        Ok(true)
    }
}

/// A segment that is written as it comes.
struct Sink<'s> {
    store: &'s dyn ObjectStore,
    name: String,
    path: Path,
    hasher: Sha256,
    bytes: u64,
    buffer: Vec<u8>,
    /// Once there is more than a part.
    upload: Option<WriteMultipart>,
}

impl<'s> Sink<'s> {
    fn new(store: &'s dyn ObjectStore, home: &Path, head: &Head) -> Self {
        let since = head.since.map_or_else(|| "whole".to_owned(), |since| format!("{since:020}"));
        let name = format!("{:020}.{since}.segment", head.offset);
        let path = home.child(name.as_str());
        let buffer = head.to_bytes();
        Self { store, name, path, hasher: Sha256::new(), bytes: 0, buffer, upload: None }
    }

    async fn push(&mut self, entry: Entry<'_>) -> Result<(), CheckpointError> {
        entries::write(entry, &mut self.buffer);
        if self.buffer.len() >= PIECE_BYTES as usize { self.flush().await } else { Ok(()) }
    }

    /// Sends what has gathered.
    async fn flush(&mut self) -> Result<(), CheckpointError> {
        let upload = match &mut self.upload {
            Some(upload) => upload,
            None => {
                let begun = self.store.put_multipart(&self.path).await.map_err(failed("write", &self.path))?;
                self.upload.insert(WriteMultipart::new_with_chunk_size(begun, PIECE_BYTES as usize))
            }
        };
        // One part on its way at a time: a slow store holds the join up, it does not fill memory.
        upload.wait_for_capacity(1).await.map_err(failed("write", &self.path))?;
        upload.write(&self.buffer);
        self.hasher.update(&self.buffer);
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    async fn finish(mut self) -> Result<Segment, CheckpointError> {
        self.hasher.update(&self.buffer);
        let digest = self.hasher.clone().finalize();
        self.hasher.update(digest);
        self.buffer.extend_from_slice(&digest);
        let bytes = self.bytes + self.buffer.len() as u64;
        let done = match self.upload.take() {
            None => self.store.put(&self.path, self.buffer.into()).await,
            Some(mut upload) => {
                upload.write(&self.buffer);
                upload.finish().await
            }
        };
        done.map_err(failed("write", &self.path))?;
        Ok(Segment { name: self.name, bytes, digest: Digest(self.hasher.finalize().into()) })
    }

    async fn abandon(self) {
        if let Some(upload) = self.upload
            && let Err(error) = upload.abort().await
        {
            tracing::warn!(%error, path = %self.path, "what was written of a segment may be left there");
        }
    }
}

fn nothing(home: &Path) -> CheckpointError {
    torn(home)(FormatError::Torn("there is no segment to join"))
}

/// Read and written at a time; no smaller than S3 takes parts.
const PIECE_BYTES: u64 = 5 * 1024 * 1024;
