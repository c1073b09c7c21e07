//! A small world from a seed, for machines without data: a travel desk, a bank desk, a code host and a prediction API. Agents
//! work at tasks and use what earlier calls answered; some read texts with planted instructions, and some of those obey; some
//! clients copy the model. Same seed and size, same bytes.
//!
//! It is made up: figures measured on it say that the product runs, not how well it catches attackers.

mod answer; // what tools answer with
mod bank; // tasks of the bank desk
mod code_host; // tasks of the code host
mod desk; // what a desk is
mod plant; // how an attacker asks
mod prediction; // the prediction API and its clients
mod run; // one session being played
mod sessions; // parts in the play, and who plays them
mod travel; // tasks of the travel desk
mod values; // names, accounts, amounts that never repeat
mod write; // a set → files

pub use write::write;

use crate::labels::SessionLabel;
use crate::{Dataset, Labels, SessionMeta};
use sessions::{Played, World};

/// Name of a generated set.
pub const NAME: &str = "world";

/// Makes `sessions` sessions. About a third are clean `train` sessions; the `test` ones are clean, resisted, hijacked (or
/// nearly), asked for the attacker's goal outright, or clients of the prediction API. Folds go by task; sessions come in the
/// order of their ids, calls as in a file.
pub fn generate(seed: u64, sessions: u32) -> (Dataset, Labels) {
    let mut world = World::new(seed);
    let mut played: Vec<Played> = (0..sessions).map(|number| world.play(number)).collect();
    played.sort_by(|a, b| a.label.session.cmp(&b.label.session));
    let meta = |label: &SessionLabel| SessionMeta {
        session: label.session.clone(),
        split: label.split,
        fold: label.fold,
        pool: label.pool.clone(),
    };
    let set = Dataset {
        name: NAME.to_owned(),
        sessions: played.iter().map(|played| meta(&played.label)).collect(),
        timed: played.iter().any(|played| !played.calls.is_empty()),
        calls: played.iter_mut().flat_map(|played| std::mem::take(&mut played.calls)).collect(),
    };
    (set, Labels { sessions: played.into_iter().map(|played| played.label).collect() })
}
