//! Scores the calls of agents' sessions. Start at [`Detector::observe`]; train with [`fit`].
//!
//! Pure: no clock, file, socket or thread; equal inputs give equal bits, on every platform.

mod conformal; // scores → p-values
mod detector; // the path of one call: features → scores → verdict
mod evidence; // why
mod extraction; // principals: copies of models and data
mod features; // one call as a row of numbers
mod fit; // sessions → model
mod forest; // isolation forest
mod fp; // maps keyed by fingerprints
mod fusion; // experts → one score
mod limits; // bounds of a session's state
mod logistic; // an expert: sign-constrained logistic regression
mod markov; // sequence model over tools
mod model; // the file
mod provenance; // where values come from
mod splice; // hijacks made of the user's own traffic
mod state; // what a session leaves behind
mod strength; // how instruction-like a sentence is

pub use detector::{Detector, Looked};
pub use extraction::{Delta, LinksState, PrincipalState, query_record};
pub use fit::{FitError, FitOptions, TrainingSession, fit};
pub use forest::{Forest, ForestError, ForestParams};
pub use model::{MODEL_BYTES_MAX, Model, ModelError};
pub use state::SessionState;

/// Names and meanings of the session features, in row order, for `vedette explain`.
pub fn feature_meanings() -> impl Iterator<Item = (&'static str, &'static str)> {
    features::NAMES.iter().copied().zip(features::MEANINGS.iter().copied())
}
