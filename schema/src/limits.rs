//! Every bound on outside data, by name. A record over a bound is refused (names, sizes) or cut and marked
//! (texts, lists); nothing grows with what a stranger sends.

/// Longest record a decoder reads, in bytes.
pub const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest name (tool, agent, principal, device, app, tenant), in bytes.
pub const NAME_BYTES_MAX: usize = 256;
/// Longest id (call, session, trace), in bytes.
pub const ID_BYTES_MAX: usize = 256;
/// Bytes of one text (result, mission, argument) that the seal reads.
pub const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Bytes read of what one text holds in base64 or percent escapes.
pub const DECODED_BYTES_MAX: usize = 128 * 1024;
/// How deep one encoding is followed into another.
pub const DECODED_LEVELS_MAX: usize = 2;
/// Sentences kept of one text; the ones with most cues are kept first.
pub const SENTENCES_MAX: usize = 400;
/// Tokens kept of one sentence; a longer one is cut into several.
pub const SENTENCE_TOKENS_MAX: usize = 48;
/// Argument leaves kept of one call.
pub const LEAVES_MAX: usize = 128;
/// Depth to which arguments and results are walked.
pub const DEPTH_MAX: usize = 24;
/// Tokens kept of one argument leaf.
pub const LEAF_TOKENS_MAX: usize = 96;
/// Delegates kept of an `actor` chain.
pub const ACTORS_MAX: usize = 8;
/// Plan steps kept of a call's telemetry.
pub const STEPS_MAX: usize = 32;
/// Numbers of one vector query that the sketch reads.
pub const QUERY_NUMBERS_MAX: usize = 65_536;
/// Fewest numbers that make an argument a vector query.
pub const QUERY_NUMBERS_MIN: usize = 8;
/// Components of a query sketch (two bytes each).
pub const SKETCH_DIMS: usize = 80;
/// Cells of a query sketch (one byte each): of a query that fits its components exactly, and of a longer one.
pub const SKETCH_CELLS: usize = 40;
/// The same of a query with more than 64 numbers, so that a sketch stays within 200 bytes.
pub const SKETCH_CELLS_LONG: usize = 24;
/// Furthest a record's time may lie ahead of the reader's clock, in ms (one day).
pub const FUTURE_MS_MAX: u64 = 86_400_000;
/// Latest time a record may state at all: the year 2200, in ms since the epoch.
pub const AT_MS_MAX: u64 = 7_258_118_400_000;
/// Evidence items in one verdict.
pub const EVIDENCE_MAX: usize = 8;
/// Tools named in a standing.
pub const STANDING_TOOLS_MAX: usize = 4;
/// Bytes of a standing as stored.
pub const STANDING_BYTES_MAX: usize = 128;
/// Bytes of the sketch of one exposed session.
pub const SKETCH_BYTES_MAX: usize = 4_096;
/// Bytes of a standing as it travels, with its sketch in base64.
pub const STANDING_RECORD_BYTES_MAX: usize = 16_384;
/// Calls in one record of a format that packs several (OTLP, a JSON-RPC batch, a list of a mapping).
pub const RECORD_CALLS_MAX: usize = 4_096;
/// Routes of one topic.
pub const ROUTES_MAX: usize = 4_096;
/// Segments of a path that are looked at; what follows is one `*`.
pub const ROUTE_SEGMENTS_MAX: usize = 16;
/// Requests that routes are learned from.
pub const ROUTE_SAMPLE_MAX: usize = 100_000;
