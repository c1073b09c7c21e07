//! Every bound of the decision and its doors, by name.

/// Longest policy file, in bytes.
pub const POLICY_BYTES_MAX: usize = 1024 * 1024;
/// Policies in one set.
pub const POLICIES_MAX: usize = 2_000;
/// Combinations of policies that are kept ready to be evaluated together.
pub const SLICES_MAX: usize = 1_000;
/// Longest policy that is looked into for facts that rule it out, in bytes: looking goes as deep as its expressions do.
pub const SLICED_BYTES_MAX: usize = 2_048;
/// Policies that stand in all of these together.
pub const SLICED_POLICIES_MAX: usize = 100_000;
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
/// Sessions whose standing is kept for when their owner is away.
pub const STANDINGS_MAX: usize = 1_000_000;
pub use schema::limits::SKETCH_BYTES_MAX;
/// Sessions whose pace is kept; tools of sessions are twice as many.
pub const BURST_SESSIONS_MAX: usize = 100_000;
/// Tools of agents whose usual pace is kept.
pub const PACES_MAX: usize = 10_000;
/// Missions kept.
pub const MISSIONS_MAX: usize = 100_000;
/// Tools one mission may name.
pub const MISSION_TOOLS_MAX: usize = 256;
/// Bytes of what a user asked, kept until the session's next call.
pub const MISSION_TEXT_BYTES_MAX: usize = 16 * 1024;
/// Longest allowlist, in bytes.
pub const ALLOW_BYTES_MAX: usize = 1024 * 1024;
/// Entries of one allowlist.
pub const ALLOW_ENTRIES_MAX: usize = 1_000;
/// Longest JWK Set, in bytes, and keys in it.
pub const JWKS_BYTES_MAX: usize = 256 * 1024;
/// Keys of one JWK Set.
pub const JWKS_KEYS_MAX: usize = 64;
/// Longest token, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Tools whose usual form is kept.
pub const FORMS_MAX: usize = 10_000;
/// Arguments kept of one tool's form.
pub const FORM_LEAVES_MAX: usize = 128;
/// Principals, and tenants, whose cost is kept.
pub const WALLETS_MAX: usize = 100_000;
