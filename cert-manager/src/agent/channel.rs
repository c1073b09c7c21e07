//! How the agent reaches the authority: TLS in production, a call in the simulations.

use crate::http::{Request, Response};
use crate::keys::Key;
use crate::time::Millis;

/// A pair to authenticate with.
#[derive(Debug)]
pub struct Identity {
    /// The certificate, then those between it and an anchor, DER.
    pub chain: Vec<Vec<u8>>,
    /// Its key.
    pub key: Key,
}

/// Why there is no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChannelError {
    /// Nothing answered: no route, no name, no port.
    #[error("the authority cannot be reached: {0}")]
    Unreachable(String),
    /// Something answered, and it went wrong: TLS, HTTP, a limit.
    #[error("the exchange with the authority failed: {0}")]
    Failed(String),
}

/// A way to the authority.
pub trait Channel {
    /// Sends a request as `identity` and waits for the response.
    ///
    /// # Errors
    /// [`ChannelError`]; the request may or may not have arrived.
    fn exchange(&mut self, identity: Option<&Identity>, request: &Request) -> Result<Response, ChannelError>;

    /// Whether the authority's port answers at all.
    fn knock(&mut self) -> bool;

    /// From now on believes servers under these anchors (DER) that are not certainly expired at
    /// `floor`; a connection that is open is held to it too.
    fn believe(&mut self, anchors: &[Vec<u8>], floor: Millis);
}
