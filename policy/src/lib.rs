//! What is done about a verdict. Start at [`decide`], which is pure; [`PolicySet`] is what it decides by.
//!
//! Around it: [`server`], the webhook that gateways ask, and [`Scorer`], what the webhook asks.
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod limits; // every bound, by name
pub mod scenario; // `vedette policy test`
pub mod server; // the doors
pub mod sighting; // a gateway's request becomes calls

mod allow; // what goes through whatever the policies say
mod answer; // a decision in HTTP's words
mod burst; // pace of plans and tools
mod circumstances; // what the door knows beside verdict and standing
mod conformity; // the form a tool's arguments usually have
mod decide; // the pure decision
mod delegation; // who stands behind a call, by tokens
mod facts; // a request as Cedar sees it
mod fallback; // what is decided when there is no score in time
mod mission; // what a session was started for
mod mode; // observe, shadow or enforce
mod record; // the decision log, and how a line of it is derived again
mod request; // what a decision rests on
mod route; // deadline and fallback by route
mod scorer; // what the webhook asks
mod set; // policies, their ladder, reload
mod shards; // bounded maps that many ask at once
mod standing; // what is known of a session, and how it recovers
mod standings; // the same of all sessions, for when their owners are away
mod wallet; // what principals and tenants have cost

pub use allow::{Allow, AllowError, Allowlist, Scope};
pub use answer::Answer;
pub use burst::{Burst, BurstError, Bursts};
pub use circumstances::{Certificate, CertificateClass, Circumstances, Delegated, Fit};
pub use conformity::Forms;
pub use decide::decide;
pub use delegation::{Chain as DelegationChain, Delegation, DelegationError};
pub use fallback::{Fallback, fall_back};
pub use mission::{Mission, MissionError, Missions};
pub use mode::{ModeRule, Modes, TooManyModeRules};
pub use record::{Chain, ChainError, Record, RestsOn};
pub use request::Request;
pub use route::{BudgetsMs, Route, RouteError, Routes};
pub use scorer::{Scored, Scorer, ScorerError};
pub use set::{Policies, PolicyError, PolicySet, Rule};
pub use standing::{inherit, stand, standing_risk};
pub use standings::{LastKnown, Standings};
pub use wallet::Wallets;
