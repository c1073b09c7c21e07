//! Enrolment over Secure Transport: RFC 7030 with the clarifications of RFC 8951.

pub mod client; // the agent's way to the authority
pub mod csr; // a request for a certificate, parsed and its signature checked
pub mod server; // the authority's TLS server
pub mod wire; // base64 bodies and certs-only messages, as real clients send and read them
