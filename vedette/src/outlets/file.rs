//! Alerts as lines of a file. Whoever rotates it moves it away: it is opened anew for each alert.

use super::Attempt;
use std::path::{Path, PathBuf};

/// Appends one line, and returns once it is on the disk.
pub(super) async fn append(path: &Path, alert: &[u8]) -> Attempt {
    let (path, mut line): (PathBuf, Vec<u8>) = (path.into(), alert.to_vec());
    line.push(b'\n');
    let written = tokio::task::spawn_blocking(move || {
        use std::io::Write as _;
        let mut file = std::fs::File::options().create(true).append(true).open(path)?;
        // In one write, so that lines of two engines never mix.
        file.write_all(&line)?;
        file.sync_data()
    });
    match written.await {
        Ok(Ok(())) => Attempt::Done,
        Ok(Err(error)) => Attempt::Again(error.to_string(), None),
        Err(error) => Attempt::Again(error.to_string(), None),
    }
}
