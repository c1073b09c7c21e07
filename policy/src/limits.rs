//! Every bound of the decision and its doors, by name.

/// Longest policy file, in bytes.
pub const POLICY_BYTES_MAX: usize = 1024 * 1024;
/// Policies in one set.
pub const POLICIES_MAX: usize = 2_000;
/// Wait of a throttle whose policy names none, in ms.
pub const RETRY_AFTER_MS: u64 = 1_000;
/// Longest wait a policy may ask for, in ms (one day).
pub const RETRY_AFTER_MS_MAX: u64 = 86_400_000;
/// A quiet session's standing risk halves in this time, in ms.
pub const STANDING_HALF_LIFE_MS: u64 = 600_000;
/// Calls in one `/v1/decide:batch`.
pub const BATCH_MAX: usize = 100;
/// Deadlines a caller may ask for, in ms.
pub const DEADLINE_MS_MAX: u64 = 60_000;
/// Routes, and rules of modes, in one configuration.
pub const ROUTES_MAX: usize = 1_000;
