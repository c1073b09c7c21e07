//! What is said of replicas that cannot share sessions.

use miette::Diagnostic;

/// Why a replica cannot share sessions with others.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum MembersFailure {
    /// Replicas that cannot hear of each other.
    #[error("replicas that share sessions hear of each other through Kafka, and no broker is named")]
    #[diagnostic(
        code(vedette::members::no_kafka),
        help("start with --brokers HOST:PORT, or leave out --members-listen and `policy.members.listen`")
    )]
    NoKafka,
    /// Replicas that cannot read what others sealed.
    #[error("replicas that share sessions have to seal under one key, and `seal.key_file` names none")]
    #[diagnostic(
        code(vedette::members::no_key),
        help("name a key file, the same 64 hex digits at each replica; it is made where it is missing")
    )]
    NoKey,
    /// A replica that others cannot reach.
    #[error("`{address}` is nothing that other replicas can ask this one at")]
    #[diagnostic(
        code(vedette::members::address),
        help("name the host and port where they reach it with --members-address or `policy.members.address`")
    )]
    Address {
        /// The address.
        address: String,
    },
}
