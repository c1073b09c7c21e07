//! Revocation lists, kept for a moment: a crowd of checkers costs one signature.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::time::{Millis, Span};

/// How long a list is served again: a revocation shows up within this time.
pub const LIST_FRESH: Span = Span::seconds(5);

/// The newest list of each kind.
#[derive(Debug, Default)]
pub struct Lists {
    made: Mutex<BTreeMap<usize, (Millis, Vec<u8>)>>,
}

impl Lists {
    /// The list of kind `kind`, made anew when the last one is older than [`LIST_FRESH`] or lies in the
    /// future; `None` when it cannot be made.
    pub fn fresh(&self, kind: usize, now: Millis, make: impl FnOnce() -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        // A list is replaced as a whole, so one left by a thread that panicked is still whole.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, bytes)) = made.get(&kind)
            && *at <= now
            && now.since(*at) < LIST_FRESH
        {
            return Some(bytes.clone());
        }
        let bytes = make()?;
        made.insert(kind, (now, bytes.clone()));
        Some(bytes)
    }
}
