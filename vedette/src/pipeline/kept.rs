//! What a pipeline remembers: put away while it is quiet, kept in checkpoints, taken in from them.

use super::{Pipeline, Stages};
use ingest::RestoreError;
use ingest::checkpoint::{Entries, Scope};
use schema::Millis;

impl Pipeline {
    /// It is `now`, by the clock that stamps records: what waits may be put away. Changes nothing that anyone can see.
    pub fn tick(&mut self, now: Millis) {
        self.gaps.tick(now);
        self.sessions.tick(now);
        self.stages.principals.tick(now);
        self.stages.links.tick(now);
    }

    /// Remembers from now on what changes, for [`Pipeline::entries`].
    pub fn track_changes(&mut self) {
        self.gaps.track();
        self.sessions.track();
        self.stages.principals.track();
        self.stages.links.track();
    }

    /// All that is remembered, or what of it is new since this was asked last.
    pub fn entries(&mut self, scope: Scope) -> Entries {
        let mut entries = Entries::default();
        entries.push(b"", Some(&self.parts.key.name().to_le_bytes()));
        // By rising key, which a store would have to bring about otherwise.
        self.gaps.entries(scope, &mut entries);
        self.turns.entries(scope, &mut entries);
        self.stages.links.entries(LINKS, scope, &mut entries);
        self.stages.principals.entries(PRINCIPAL, scope, &mut entries);
        self.sessions.entries(SESSION, scope, &mut entries);
        entries
    }

    /// Takes in entries of a checkpoint.
    pub fn restore(&mut self, entries: &Entries) -> Result<(), RestoreError> {
        for entry in entries.iter() {
            let taken = self.sessions.restore(SESSION, entry)?
                || self.stages.principals.restore(PRINCIPAL, entry)?
                || self.stages.links.restore(LINKS, entry)?
                || self.gaps.restore(entry)?
                || self.turns.restore(entry)?;
            if entry.0.is_empty() && entry.1 != Some(&self.parts.key.name().to_le_bytes()) {
                return Err(RestoreError::new(
                    "it was sealed under another key: configure the `seal.key_file` it was made with, or another store",
                ));
            }
            if !taken && !entry.0.is_empty() {
                return Err(RestoreError::new("it holds entries of an unknown kind"));
            }
        }
        Ok(())
    }

    /// Sessions in memory and on disk.
    pub fn sessions(&self) -> (usize, usize) {
        self.sessions.count()
    }

    /// Bytes of what is spilled to disk.
    pub fn spilled_bytes(&self) -> u64 {
        let Stages { principals, links } = &self.stages;
        self.gaps.spilled_bytes() + self.sessions.spilled_bytes() + principals.spilled_bytes() + links.spilled_bytes()
    }
}

/// Kinds of entries in a checkpoint.
const SESSION: u8 = b's';
const PRINCIPAL: u8 = b'p';
const LINKS: u8 = b'l';
