//! `vedette score`: one line a call, in file order.

use crate::cli::Score;
use crate::commands::fit::{writable, write};
use crate::config::Config;
use crate::failure::Failure;
use crate::progress::grouped;
use crate::scores::ScoreLine;
use crate::source::{self, Selection};
use detector::Detector;
use std::io::Write as _;

/// Scores and writes.
pub fn run(args: &Score, config: &Config) -> Result<(), Failure> {
    writable(&args.out)?;
    let parts = crate::parts::for_data_sets(config, Detector::new(crate::parts::model(&args.model)?))?;
    let loaded = source::load(&args.of.source, &args.of.set, args.of.results.as_deref(), args.of.hidden)?;
    let sessions = Selection { split: args.of.split, fold: args.of.fold, not_fold: None }.of(&loaded.set)?;
    let lines = crate::judge::judge(&parts, &loaded, &sessions);
    write(&args.out, &file(lines.iter().map(ScoreLine::to_json)))?;
    let (calls, sessions) = (grouped(lines.len() as u64), grouped(sessions.len() as u64));
    writeln!(std::io::stdout(), "scored {calls} calls of {sessions} sessions: {}", args.out.display())?;
    Ok(())
}

/// Lines as a file.
pub fn file(lines: impl IntoIterator<Item = String>) -> Vec<u8> {
    lines.into_iter().flat_map(|line| (line + "\n").into_bytes()).collect()
}
