//! Certificates and signed bundles for devices that are cut off for months.
//!
//! Start at [`facts`] for what is read from a certificate, at [`rotation`](crate) for what a device
//! does with it. The pure core takes time and chance as arguments; files, sockets and clocks are at
//! the rim. This crate knows no calls, scores or verdicts.

pub mod digest; // SHA-256 values: fingerprints, key ids, chain links
pub mod facts; // a certificate's facts, parsed once at the edge
pub mod time; // milliseconds since the epoch, and intervals of them

pub use digest::Digest;
pub use facts::{CertFacts, FactsError};
pub use time::{Millis, Validity};
