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
    /// Calls that waited for their turn, and went in it.
    pub in_turn: AtomicU64,
    /// Numbers that were missing for longer than a call may wait.
    pub gaps: AtomicU64,
    /// Sessions in memory.
    pub sessions_busy: AtomicU64,
    /// Sessions on disk.
    pub sessions_spilled: AtomicU64,
    /// Bytes of what is on disk.
    pub spilled_bytes: AtomicU64,
    /// Calls that wait for their turn.
    pub held: AtomicU64,
}

/// One pipeline's share; what it holds is taken off when it ends.
pub struct Share {
    tally: Arc<Tally>,
    counts: Counts,
    /// Of the last four fields.
    held: [u64; 4],
}

impl Share {
    /// Nothing yet.
    pub fn of(tally: &Arc<Tally>) -> Self {
        Self { tally: Arc::clone(tally), counts: Counts::default(), held: [0; 4] }
    }

    /// Brings the sums up to what `pipeline` now says.
    pub fn tell(&mut self, pipeline: &Pipeline) {
        let counts = pipeline.counts();
        self.tally.late.fetch_add(counts.late - self.counts.late, Ordering::Relaxed);
        self.tally.repeated.fetch_add(counts.repeated - self.counts.repeated, Ordering::Relaxed);
        self.tally.in_turn.fetch_add(counts.in_turn - self.counts.in_turn, Ordering::Relaxed);
        self.tally.gaps.fetch_add(counts.gaps - self.counts.gaps, Ordering::Relaxed);
        self.counts = counts;
        let (busy, spilled) = pipeline.sessions();
        self.hold([busy as u64, spilled as u64, pipeline.spilled_bytes(), pipeline.held() as u64]);
    }

    fn hold(&mut self, now: [u64; 4]) {
        let Tally { sessions_busy, sessions_spilled, spilled_bytes, held, .. } = &*self.tally;
        let before = std::mem::replace(&mut self.held, now);
        let sums = [sessions_busy, sessions_spilled, spilled_bytes, held];
        for ((sum, now), before) in sums.into_iter().zip(now).zip(before) {
            // Wraps where it falls; the sum of all shares never does.
            sum.fetch_add(now.wrapping_sub(before), Ordering::Relaxed);
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.hold([0; 4]);
    }
}
