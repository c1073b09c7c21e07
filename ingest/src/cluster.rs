//! Which Kafka, and how to speak to it.

use rdkafka::config::ClientConfig;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// The brokers of a cluster, and what every client of ours has to tell them.
#[derive(Clone, Default)]
pub struct Cluster {
    /// `host:port[,host:port…]`.
    pub brokers: String,
    /// Further librdkafka settings (`security.protocol`, `sasl.username`…). Values may be passwords.
    pub settings: BTreeMap<String, Zeroizing<String>>,
}

impl Cluster {
    /// The brokers, in plain text and with nothing else set.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self { brokers: brokers.into(), settings: BTreeMap::new() }
    }

    /// With one more setting; a later one of the same name counts.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(name.into(), Zeroizing::new(value.into()));
        self
    }

    pub(crate) fn apply(&self, config: &mut ClientConfig) {
        for (name, value) in &self.settings {
            config.set(name, value.as_str());
        }
    }
}

impl From<&str> for Cluster {
    fn from(brokers: &str) -> Self {
        Self::new(brokers)
    }
}

impl From<&String> for Cluster {
    fn from(brokers: &String) -> Self {
        Self::new(brokers)
    }
}

impl From<&Self> for Cluster {
    fn from(cluster: &Self) -> Self {
        cluster.clone()
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.settings.keys().collect();
        f.debug_struct("Cluster").field("brokers", &self.brokers).field("settings", &names).finish()
    }
}

/// Whether this build can speak TLS to Kafka, and SCRAM, which needs its digests.
pub const SPEAKS_TLS: bool = cfg!(feature = "tls");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_set_and_never_shown() {
        let cluster = Cluster::from("h:1").with("sasl.password", "hunter2");
        let mut config = ClientConfig::new();
        cluster.apply(&mut config);
        assert_eq!(config.get("sasl.password"), Some("hunter2"));
        let shown = format!("{cluster:?}");
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }
}
