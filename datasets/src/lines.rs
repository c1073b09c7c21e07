//! Gzip JSON lines, streamed: one line in memory at a time, every line and file bounded.

use crate::limits::{FILE_BYTES_MAX, LINE_BYTES_MAX};
use crate::{DatasetError, Place};
use flate2::bufread::MultiGzDecoder;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// Reads one file line by line; a blank line is passed over.
pub(crate) struct Lines<R> {
    input: R,
    place: Place,
    buffer: Vec<u8>,
    bytes: u64,
}

/// Lines of a gzip file.
pub(crate) type GzipLines = Lines<BufReader<MultiGzDecoder<BufReader<File>>>>;

impl GzipLines {
    /// Opens `file`, or says that it is not there.
    pub(crate) fn open(file: &Path, needed_by: &str) -> Result<Self, DatasetError> {
        Self::open_if_there(file)?
            .ok_or_else(|| DatasetError::Missing { file: file.to_path_buf(), needed_by: needed_by.to_owned() })
    }

    /// Opens `file` where it exists.
    pub(crate) fn open_if_there(file: &Path) -> Result<Option<Self>, DatasetError> {
        let opened = match File::open(file) {
            Ok(opened) => opened,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(DatasetError::Read { file: file.to_path_buf(), source }),
        };
        let mut packed = BufReader::new(opened);
        // An empty file is no gzip stream, but the unpacker takes it for one of no members.
        let first = packed.fill_buf().map_err(|source| DatasetError::Read { file: file.to_path_buf(), source })?;
        if first.is_empty() {
            return Err(DatasetError::CutOff { place: Place { file: file.to_path_buf(), line: 1 } });
        }
        Ok(Some(Lines::new(BufReader::new(MultiGzDecoder::new(packed)), file.to_path_buf())))
    }
}

impl<R: BufRead> Lines<R> {
    /// Lines of `input`, which is called `file` in errors.
    pub(crate) fn new(input: R, file: PathBuf) -> Self {
        Self { input, place: Place { file, line: 0 }, buffer: Vec::new(), bytes: 0 }
    }

    /// The line read last.
    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    /// The next line as a `T`; `None` at the end.
    pub(crate) fn parse_next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, DatasetError> {
        while self.read_line()? {
            if self.buffer.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let parsed = serde_json::from_slice(&self.buffer);
            return parsed.map(Some).map_err(|source| DatasetError::Malformed { place: self.place(), source });
        }
        Ok(None)
    }

    /// Fills the buffer with the next line; false at the end.
    fn read_line(&mut self) -> Result<bool, DatasetError> {
        self.buffer.clear();
        self.place.line += 1;
        let mut bounded = (&mut self.input).take(LINE_BYTES_MAX as u64 + 1);
        let read = bounded.read_until(b'\n', &mut self.buffer).map_err(|source| self.unpacking(source))?;
        self.bytes += read as u64;
        if self.buffer.len() > LINE_BYTES_MAX {
            return Err(DatasetError::LineTooLong { place: self.place(), limit: LINE_BYTES_MAX });
        }
        if self.bytes > FILE_BYTES_MAX {
            return Err(DatasetError::TooMuch {
                place: self.place(),
                what: "bytes in one file",
                limit: FILE_BYTES_MAX,
            });
        }
        Ok(read > 0)
    }

    fn unpacking(&self, source: std::io::Error) -> DatasetError {
        match source.kind() {
            ErrorKind::UnexpectedEof => DatasetError::CutOff { place: self.place() },
            ErrorKind::InvalidInput | ErrorKind::InvalidData => DatasetError::Gzip { place: self.place(), source },
            _ => DatasetError::Read { file: self.place.file.clone(), source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read_all(bytes: &[u8]) -> Result<Vec<serde_json::Value>, DatasetError> {
        let mut lines = Lines::new(bytes, PathBuf::from("x"));
        let mut found = Vec::new();
        while let Some(value) = lines.parse_next()? {
            found.push(value);
        }
        Ok(found)
    }

    #[test]
    fn blank_lines_count_but_are_passed_over() {
        let Err(DatasetError::Malformed { place, .. }) = read_all(b"{\"a\":1}\n\n  \n{\"a\":") else {
            panic!("must fail")
        };
        assert_eq!(place.line, 4);
        assert_eq!(read_all(b"1\n\n2").map(|v| v.len()).ok(), Some(2));
    }

    #[test]
    fn a_line_over_the_limit_is_refused_without_being_read_whole() {
        // An endless line: were it read whole, this test would not end.
        let endless = BufReader::new(std::io::repeat(b'x'));
        let mut lines = Lines::new(endless, PathBuf::from("x"));
        assert!(matches!(lines.parse_next::<serde_json::Value>(), Err(DatasetError::LineTooLong { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_lines_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = read_all(&bytes);
        }
    }
}
