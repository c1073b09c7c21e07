//! What can be wrong with the files of a set.

use std::path::PathBuf;

/// A line of a file, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` line {}", self.file.display(), self.line)
    }
}

/// Why a set cannot be loaded or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The name would leave the folder.
    #[error("`{name}` is no name of a set: letters, digits, `_`, `-` and `.`")]
    BadSetName {
        /// As given.
        name: String,
    },
    /// A file that the set needs is not there.
    #[error("`{file}` is missing, and {needed_by} needs it", file = file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// What asks for it.
        needed_by: String,
    },
    /// The file cannot be opened or read.
    #[error("cannot read `{file}`", file = file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The gzip stream ends in the middle.
    #[error("{place}: the gzip stream is cut off")]
    CutOff {
        /// The last line begun.
        place: Place,
    },
    /// Not gzip, or damaged.
    #[error("{place}: the gzip stream is damaged")]
    Gzip {
        /// The line reached.
        place: Place,
        /// What the unpacker says.
        source: std::io::Error,
    },
    /// A line over its bound.
    #[error("{place}: the line is over the limit of {limit} bytes")]
    LineTooLong {
        /// The line.
        place: Place,
        /// Bytes allowed.
        limit: usize,
    },
    /// More bytes, calls or sessions than a set may hold.
    #[error("{place}: over the limit of {limit} {what}")]
    TooMuch {
        /// The line reached.
        place: Place,
        /// What there is too much of.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
    },
    /// Not JSON, a column missing, or one of the wrong type.
    #[error("{place}: {source}")]
    Malformed {
        /// The line.
        place: Place,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// An id breaks its bounds.
    #[error("{place}: {source}")]
    BadName {
        /// The line.
        place: Place,
        /// Which, and how.
        source: schema::IdError,
    },
    /// A negative time, or one past the year 2200.
    #[error("{place}: {found} is no time in ms since the epoch")]
    BadTime {
        /// The line.
        place: Place,
        /// As found.
        found: i64,
    },
    /// The results file has no such key.
    #[error("{place}: result `{key}` is not in `{results}`", results = results.display())]
    UnknownResult {
        /// The line of the call.
        place: Place,
        /// The key.
        key: String,
        /// Where it was looked up.
        results: PathBuf,
    },
    /// A call of a session that the sessions file does not list.
    #[error("{place}: session `{session}` is not in the sessions file")]
    UnknownSession {
        /// The line of the call.
        place: Place,
        /// The session.
        session: String,
    },
    /// A key that may stand once stands twice.
    #[error("{place}: {what} `{key}` a second time")]
    Duplicate {
        /// The second one.
        place: Place,
        /// Kind of key.
        what: &'static str,
        /// The key.
        key: String,
    },
    /// Calls of a session that do not count upwards.
    #[error("{place}: call {seq} of session `{session}` does not come after call {after}")]
    OutOfOrder {
        /// The line.
        place: Place,
        /// The session.
        session: String,
        /// Its number.
        seq: u64,
        /// The number before it.
        after: u64,
    },
    /// The set holds no session.
    #[error("`{file}` holds no session", file = file.display())]
    Empty {
        /// The file.
        file: PathBuf,
    },
    /// A file cannot be written.
    #[error("cannot write `{file}`", file = file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
