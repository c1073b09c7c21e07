//! Bounds of a session's state (256 KB when busy).

/// Results kept.
pub(crate) const RESULTS_MAX: usize = 40;
/// Content tokens kept of all results together; the oldest result goes first.
pub(crate) const RESULT_TOKENS_MAX: usize = 6_000;
/// Places kept of one token.
pub(crate) const POSTINGS_MAX: usize = 6;
/// Content tokens kept of the mission and later turns.
pub(crate) const MISSION_TOKENS_MAX: usize = 400;
/// Content tokens kept of earlier arguments, and earlier calls known again.
pub(crate) const PRIOR_TOKENS_MAX: usize = 2_000;
