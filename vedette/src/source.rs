//! The data set a command line names: from a folder, or made by the built-in generator.

use crate::cli::{Hidden, Source, Split, WORLD};
use crate::failure::Failure;
use datasets::{Dataset, Labels, Results, SessionMeta, View};

/// A set, and whether it is one of numbered events.
pub struct Loaded {
    /// Its calls.
    pub set: Dataset,
    /// `score` adds what the order of events alone says.
    pub sequences: bool,
}

/// Loads `name` as `results` and `hidden` let it be seen. Reads no label.
pub fn load(source: &Source, name: &str, results: Option<&str>, hidden: Hidden) -> Result<Loaded, Failure> {
    let Some(folder) = &source.data else { return world(source, name, results, hidden) };
    let results = match results {
        _ if hidden.no_results => Results::None,
        Some(view) => Results::Named(view.to_owned()),
        None => Results::Original,
    };
    let set = datasets::load(folder, name, &View { results, missions: !hidden.no_mission })
        .map_err(|source| Failure::Dataset { set: name.to_owned(), source })?;
    let sequences = !folder.join(format!("{name}.calls.jsonl.gz")).exists();
    Ok(Loaded { set: independent(set), sequences })
}

/// The truth about `name`, for measuring and for the table of `up` only.
pub fn labels(source: &Source, name: &str) -> Result<Labels, Failure> {
    match &source.data {
        Some(folder) => {
            datasets::labels::load(folder, name).map_err(|source| Failure::Dataset { set: name.to_owned(), source })
        }
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
    pub fn of(&self, set: &Dataset) -> Result<Vec<Vec<usize>>, Failure> {
        let by_session = set.calls_by_session().into_iter();
        let taken: Vec<Vec<usize>> =
            by_session.filter(|(meta, calls)| self.takes(meta) && !calls.is_empty()).map(|(_, calls)| calls).collect();
        if taken.is_empty() { Err(Failure::NothingSelected { set: set.name.clone() }) } else { Ok(taken) }
    }
}

fn world(source: &Source, name: &str, results: Option<&str>, hidden: Hidden) -> Result<Loaded, Failure> {
    if name != WORLD {
        return Err(Failure::NoFolder { set: name.to_owned() });
    }
    if let Some(view) = results {
        return Err(Failure::NoView { view: view.to_owned() });
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
