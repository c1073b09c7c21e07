//! The words every part of Vedette shares. Start at [`RawCall`] (what a decoder yields), [`seal()`]
//! (what keeps raw text out) and [`Call`] (what everything behind the seal sees).
//!
//! Pure: no clock, file, socket or thread.
#![cfg_attr(test, allow(clippy::indexing_slicing))]

pub mod decode; // outside bytes → `RawCall`, one file a format
pub mod limits; // every bound, by name
pub mod seal; // `RawCall` → `Call`
pub mod topics; // names of the Kafka topics

mod call;
mod decision;
mod fingerprint;
mod ids;
mod query;
mod raw;
mod records;
mod standing;
mod text;
mod units;
mod verdict;

pub use call::{Call, Cost, Leaf, Phase, Segments, Shape, Status, Telemetry};
pub use decision::{Decision, Ladder, Mode};
pub use fingerprint::{Fp, KeyId, NameHash, Pass, StateId, TenantKey, Uniform};
pub use ids::{Agent, App, CallId, Device, IdError, Path, PolicyId, Principal, Session, Tenant, Tool, TraceParent};
pub use query::{QueryRecord, QuerySketch};
pub use raw::{RawCall, RawCost, RawSegments, RawTelemetry, RawToolInfo};
pub use records::{DeadLetter, DeadReason, Member, ModelChange, ModelRecord};
pub use seal::{SessionSeal, seal, seal_for_fit, seal_mission};
pub use standing::{Budgets, Standing, StandingError, StandingRecord};
pub use text::{Cues, Sentence, Text, Token, TokenKind};
pub use units::{Digest, Millis, PValue, Risk, UnitError};
pub use verdict::{Evidence, How, Pattern, Source, Verdict};

/// Version of every record this build writes. A reader refuses a higher one by name.
pub const RECORD_VERSION: u8 = 1;
