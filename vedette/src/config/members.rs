//! What can be set of replicas that share sessions.

use super::Tls;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How replicas of `vedette policy` share sessions, each owned by one of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Members {
    /// Where other replicas ask about the sessions this one owns; loopback only, but with `tls`. Needs `--brokers`, and one
    /// `seal.key_file` for all. Default: empty, which means that this one answers whatever it is asked.
    pub listen: String,
    /// Where they reach it, as `host:port`; it names the replica, too. Default: empty, which means the address listened on.
    pub address: String,
    /// How often it says that it lives, in ms; the same at all of them. Default: 1,000.
    pub beat_ms: u64,
    /// A replica that misses more of these is gone, and its sessions are others'. Default: 5.
    pub misses_max: u32,
    /// TLS between replicas, without which nothing listens beyond loopback. `clients` names the authorities of the
    /// replicas' certificates: they ask with the ones they answer with.
    pub tls: Tls,
}

impl Default for Members {
    fn default() -> Self {
        Self { listen: String::new(), address: String::new(), beat_ms: 1_000, misses_max: 5, tls: Tls::default() }
    }
}

impl Members {
    /// Between two records that say that it lives.
    pub fn beat(&self) -> Duration {
        Duration::from_millis(self.beat_ms)
    }
}
