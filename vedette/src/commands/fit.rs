//! `vedette fit`: from the honest sessions of data sets, or the traffic of a topic, to a model file.

pub mod kept; // what a reading of a topic has brought so far
mod topic; // a topic → sessions

use crate::cli::Fit;
use crate::config::Config;
use crate::failure::{Failure, FitFailure};
use crate::judge::threads;
use crate::progress::{Progress, grouped};
use crate::source::{self, Loaded, Selection};
use detector::{FitOptions, Model, TrainingSession};
use schema::TenantKey;
use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;

/// Learns, writes the model, says its digest.
pub fn run(args: &Fit, config: &Config) -> Result<(), Failure> {
    writable(&args.out)?;
    if let Some(topic) = &args.topic {
        let key = crate::parts::key_for_traffic(config)?;
        let (sessions, kept) = topic::sessions(args, topic, config, &key)?;
        fit(&sessions, args)?;
        return kept.done();
    }
    let key = crate::parts::key_for_data_sets(config)?;
    let selection = Selection { split: args.split, fold: None, not_fold: args.not_fold };
    let mut sessions = Vec::new();
    for name in &args.set {
        let loaded = source::load(&args.source, name, args.results.as_deref(), args.hidden)?;
        sessions.extend(sealed(&loaded, &selection, &key)?);
    }
    fit(&sessions, args)
}

fn fit(sessions: &[TrainingSession], args: &Fit) -> Result<(), Failure> {
    let model = learn(sessions, args.seed)?;
    write(&args.out, &model.to_bytes())?;
    let (sessions, calls) = (sessions.len() as u64, sessions.iter().map(|s| s.calls.len() as u64).sum());
    let digest = model.digest();
    writeln!(
        std::io::stdout(),
        "learned from {} sessions, {} calls: {} ({digest})",
        grouped(sessions),
        grouped(calls),
        args.out.display()
    )?;
    if model.left_out() > 0 {
        let left_out = grouped(u64::from(model.left_out()));
        writeln!(
            std::io::stdout(),
            "left out {left_out} that look like hijacks: `vedette score` with this model ranks them"
        )?;
    }
    Ok(())
}

/// The sessions that `selection` takes, sealed, in the order of the set.
pub fn sealed(loaded: &Loaded, selection: &Selection, key: &TenantKey) -> Result<Vec<TrainingSession>, Failure> {
    let taken = selection.of(&loaded.set)?;
    let pools: HashMap<_, _> = loaded.set.sessions.iter().map(|meta| (&meta.session, &meta.pool)).collect();
    let one = |calls: &Vec<usize>| {
        let calls: Vec<_> = calls.iter().filter_map(|index| loaded.set.calls.get(*index)).collect();
        let pool = calls.first().and_then(|call| pools.get(&call.session)).and_then(|pool| (*pool).clone());
        TrainingSession { calls: calls.into_iter().map(|raw| schema::seal_for_fit(raw, key)).collect(), pool }
    };
    let mut progress = Progress::start("sealing sessions", taken.len());
    let share = taken.len().div_ceil(threads()).max(1);
    let sessions: Vec<TrainingSession> = std::thread::scope(|scope| {
        let one = &one;
        let workers: Vec<_> =
            taken.chunks(share).map(|part| scope.spawn(move || part.iter().map(one).collect::<Vec<_>>())).collect();
        let parts = workers.into_iter().map(|w| w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        parts.inspect(|part| progress.advance(part.len())).flatten().collect()
    });
    progress.finish();
    Ok(sessions)
}

/// The model of `sessions`; the same sessions and seed give the same bytes.
pub fn learn(sessions: &[TrainingSession], seed: u64) -> Result<Model, FitFailure> {
    Ok(detector::fit(sessions, &FitOptions { seed })?)
}

/// Whether a file can be made there at all: said before the work, not after it.
pub fn writable(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |source| Failure::Write { path: path.into(), source };
    if std::fs::metadata(folder).map_err(failed)?.is_dir() {
        return Ok(());
    }
    Err(failed(std::io::ErrorKind::NotADirectory.into()))
}

/// Writes beside and renames, so that a reader never meets half a file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |source| Failure::Write { path: path.into(), source };
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let part = Path::new(&name);
    let mut file = std::fs::File::create(part).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(part, path).map_err(failed)
}
