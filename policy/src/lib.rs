//! What is done about a verdict. Start at [`decide`], which is pure; [`PolicySet`] is what it decides by.
//!
//! Around it: [`server`], the webhook that gateways ask, and [`Scorer`], what the webhook asks.
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod limits; // every bound, by name
pub mod scenario; // `vedette policy test`
pub mod server; // the doors
pub mod sighting; // a gateway's request becomes calls

mod answer; // a decision in HTTP's words
mod decide; // the pure decision
mod facts; // a request as Cedar sees it
mod fallback; // what is decided when there is no score in time
mod mode; // observe, shadow or enforce
mod request; // what a decision rests on
mod route; // deadline and fallback by route
mod scorer; // what the webhook asks
mod set; // policies, their ladder, reload
mod standing; // what is known of a session, and how it recovers

pub use answer::Answer;
pub use decide::decide;
pub use fallback::{Fallback, fall_back};
pub use mode::{ModeRule, Modes};
pub use request::Request;
pub use route::{Route, Routes};
pub use scorer::{Scored, Scorer, ScorerError};
pub use set::{Policies, PolicyError, PolicySet, Rule};
pub use standing::{stand, standing_risk};
