//! Every bound on the files of a set, by name. They are far above what any known set holds; what is over is refused.

/// Longest line, in bytes: that of the longest record a decoder reads.
pub const LINE_BYTES_MAX: usize = schema::limits::RECORD_BYTES_MAX;
/// Longest file once unpacked, in bytes.
pub const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// Calls of one set.
pub const CALLS_MAX: usize = 20_000_000;
/// Sessions of one set.
pub const SESSIONS_MAX: usize = 5_000_000;
/// Depth to which arguments are searched for cut strings; JSON nests no deeper than 128 here.
pub const DEPTH_MAX: usize = 128;
