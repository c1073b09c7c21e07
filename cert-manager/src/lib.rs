//! Certificates and signed bundles for devices that are cut off for months.
//!
//! Start at [`facts`] for what is read from a certificate, at [`rotation`] for what a device
//! does with it. The pure core takes time and chance as arguments; files, sockets and clocks are at
//! the rim. This crate knows no calls, scores or verdicts.

pub mod agent; // the device's side
pub mod authority; // signs device and server certificates
pub mod bundle; // signed, numbered, expiring files for devices
pub mod ca; // what `vedette ca` does, one function a subcommand
pub mod desk; // the server's answer to each request, without sockets
pub mod device; // names of devices and requests
pub mod digest; // SHA-256 values: fingerprints, key ids, chain links
pub mod envelope; // signed JSON with thresholds
pub mod est; // enrolment over TLS: RFC 7030
pub mod facts; // a certificate's facts, parsed once at the edge
pub mod fleet; // every device as an operator sees it, a page at a time
pub mod floor; // what time it certainly is not before
pub mod holds; // what a device says it holds
pub mod http; // requests and responses as plain values
pub mod keys; // private keys, and where they are kept
pub mod ledger; // the memory of every device, and the rules over it
pub mod meters; // what the authority counts of itself
pub mod peers; // whether a device lets another one in
pub mod pem; // certificates as text
pub mod receipt; // hash-chained, signed links, one per certificate
pub mod revocation; // CRL and status list
pub mod risk; // how risky a device looks now, asked of others
pub mod rotation; // what a device does next: facts in, step out
pub mod sign; // Ed25519 under a role
pub mod time; // milliseconds since the epoch, and intervals of them
pub mod tls; // rustls on both ends
pub mod trust; // numbered root documents, after TUF

pub use digest::Digest;
pub use facts::{CertFacts, FactsError};
pub use time::{Millis, Validity};
