//! Counts of all pipelines of a process, for `/metrics`.

use crate::pipeline::{Counts, Pipeline};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Sums over the pipelines there are.
#[derive(Debug, Default)]
pub struct Tally {
    /// Calls of an earlier time than their session's last.
    pub late: AtomicU64,
    /// Sightings that told nothing new.
    pub repeated: AtomicU64,
    /// Sessions in memory.
    pub sessions_busy: AtomicU64,
    /// Sessions on disk.
    pub sessions_spilled: AtomicU64,
    /// Bytes of what is on disk.
    pub spilled_bytes: AtomicU64,
}

/// One pipeline's share; what it holds is taken off when it ends.
pub struct Share {
    tally: Arc<Tally>,
    counts: Counts,
    /// Of the last three fields.
    held: [u64; 3],
}

impl Share {
    /// Nothing yet.
    pub fn of(tally: &Arc<Tally>) -> Self {
        Self { tally: Arc::clone(tally), counts: Counts::default(), held: [0; 3] }
    }

    /// Brings the sums up to what `pipeline` now says.
    pub fn tell(&mut self, pipeline: &Pipeline) {
        let counts = pipeline.counts();
        self.tally.late.fetch_add(counts.late - self.counts.late, Ordering::Relaxed);
        self.tally.repeated.fetch_add(counts.repeated - self.counts.repeated, Ordering::Relaxed);
        self.counts = counts;
        let (busy, spilled) = pipeline.sessions();
        self.hold([busy as u64, spilled as u64, pipeline.spilled_bytes()]);
    }

    fn hold(&mut self, now: [u64; 3]) {
        let Tally { sessions_busy, sessions_spilled, spilled_bytes, .. } = &*self.tally;
        let before = std::mem::replace(&mut self.held, now);
        for ((sum, now), before) in [sessions_busy, sessions_spilled, spilled_bytes].into_iter().zip(now).zip(before) {
            // Wraps where it falls; the sum of all shares never does.
            sum.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.hold([0; 3]);
    }
}
