//! The data set a command line names: from a folder, or made by the built-in generator.

use crate::cli::{Hidden, Source, Split, WORLD};
use crate::failure::{DataSetFailure, Failure};
use datasets::{Dataset, Labels, Results, SessionMeta, View};
use std::path::Path;

/// A set, and whether it is one of numbered events.
pub struct Loaded {
    /// Its calls.
    pub set: Dataset,
    /// `score` adds what the order of events alone says.
    pub sequences: bool,
}

/// Loads `name` as `results` and `hidden` let it be seen. Reads no label.
pub fn load(source: &Source, name: &str, results: Option<&str>, hidden: Hidden) -> Result<Loaded, Failure> {
    let Some(folder) = &source.data else { return Ok(world(source, name, results, hidden)?) };
    known(folder, name)?;
    let results = match results {
        _ if hidden.no_results => Results::None,
        Some(view) => Results::Named(view.to_owned()),
        None => Results::Original,
    };
    let set = datasets::load(folder, name, &View { results, missions: !hidden.no_mission })
        .map_err(|source| DataSetFailure::Unusable { set: name.to_owned(), source })?;
    let sequences = !folder.join(format!("{name}.calls.jsonl.gz")).exists();
    Ok(Loaded { set: independent(set), sequences })
}

/// The truth about `name`, for measuring and for the table of `up` only.
pub fn labels(source: &Source, name: &str) -> Result<Labels, DataSetFailure> {
    match &source.data {
        Some(folder) => datasets::labels::load(folder, name)
            .map_err(|source| DataSetFailure::Unusable { set: name.to_owned(), source }),
        None => Ok(datasets::world::generate(source.world_seed, source.world_sessions).1),
    }
}

/// Which sessions a command takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Selection {
    /// Of which part.
    pub split: Split,
    /// Only of this fold.
    pub fold: Option<u8>,
    /// Not of this fold.
    pub not_fold: Option<u8>,
}

impl Selection {
    /// Whether `session` is taken.
    pub fn takes(&self, session: &SessionMeta) -> bool {
        let split = match self.split {
            Split::Train => session.split == datasets::Split::Train,
            Split::Test => session.split == datasets::Split::Test,
            Split::All => true,
        };
        split
            && self.fold.is_none_or(|fold| session.fold == Some(fold))
            && self.not_fold.is_none_or(|fold| session.fold != Some(fold))
    }

    /// The calls taken, by session, as indices into `set.calls`; refuses a selection that takes none.
    pub fn of(&self, set: &Dataset) -> Result<Vec<Vec<usize>>, DataSetFailure> {
        let by_session = set.calls_by_session().into_iter();
        let taken: Vec<Vec<usize>> =
            by_session.filter(|(meta, calls)| self.takes(meta) && !calls.is_empty()).map(|(_, calls)| calls).collect();
        if taken.is_empty() {
            let of = |split| set.sessions.iter().filter(|meta| meta.split == split).count();
            let (train, test) = (of(datasets::Split::Train), of(datasets::Split::Test));
            return Err(DataSetFailure::NothingSelected { set: set.name.clone(), train, test });
        }
        Ok(taken)
    }
}

/// Refuses a set of which `folder` holds no file, with those it does hold. A set with some of its files gets on: what is
/// missing is named where it is needed.
fn known(folder: &Path, name: &str) -> Result<(), Failure> {
    let files = std::fs::read_dir(folder).map_err(|source| Failure::Read { path: folder.into(), source })?;
    let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
    let mut sets: Vec<String> = names
        .filter_map(|name| {
            let name = name.strip_suffix(".jsonl.gz")?;
            const PARTS: [&str; 5] = [".calls", ".sessions", ".results", ".missions", ".longargs"];
            let set = PARTS.iter().find_map(|part| name.strip_suffix(part));
            // `NAME.results_VIEW` belongs to NAME as well; what has no known part is a sequence file.
            Some(set.or_else(|| name.split_once(".results_").map(|(set, _)| set)).unwrap_or(name).to_owned())
        })
        .collect();
    sets.sort_unstable();
    sets.dedup();
    // A name that is none is said so where it is read.
    let plain = !name.is_empty() && !name.contains(['/', '\\']);
    if !plain || sets.iter().any(|set| set == name) {
        return Ok(());
    }
    let like = |set: &String| strsim::jaro_winkler(name, set);
    let nearest = sets.iter().max_by(|a, b| like(a).total_cmp(&like(b))).filter(|set| like(set) > 0.8);
    let held = format!("it holds: {}", sets.join(", "));
    let advice = match (nearest, sets.is_empty()) {
        (_, true) => "a set is NAME.calls.jsonl.gz with NAME.sessions.jsonl.gz, or NAME.jsonl.gz".to_owned(),
        (Some(nearest), _) => format!("did you mean --set {nearest}? {held}"),
        (None, _) => format!("name one with --set; {held}"),
    };
    Err(DataSetFailure::Unknown { set: name.to_owned(), folder: folder.into(), advice }.into())
}

fn world(source: &Source, name: &str, results: Option<&str>, hidden: Hidden) -> Result<Loaded, DataSetFailure> {
    if name != WORLD {
        return Err(DataSetFailure::NoFolder { set: name.to_owned() });
    }
    if let Some(view) = results {
        return Err(DataSetFailure::NoView { view: view.to_owned() });
    }
    let (mut set, _) = datasets::world::generate(source.world_seed, source.world_sessions);
    for call in &mut set.calls {
        if hidden.no_mission {
            call.mission = None;
        }
        if hidden.no_results {
            call.result = None;
        }
    }
    Ok(Loaded { set: independent(set), sequences: false })
}

/// Without times there is no order between sessions, so nothing one session shows may weigh on another.
fn independent(mut set: Dataset) -> Dataset {
    if !set.timed {
        for call in &mut set.calls {
            call.principal = None;
        }
    }
    set
}
