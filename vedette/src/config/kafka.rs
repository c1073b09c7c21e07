//! What can be set of Kafka: where it is, and who we are to it.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where calls come from and verdicts go to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// Bootstrap servers. Default: `127.0.0.1:9092`.
    pub brokers: String,
    /// Consumer group of the engine. Default: `vedette`.
    pub group: String,
    /// Static membership (KIP-345): an engine that comes back under this id within 45 s finds its partitions again, and
    /// nothing moves meanwhile. Each process needs one of its own. Default: empty, which means none.
    pub group_instance_id: String,
    /// TLS to Kafka; needs a build with the feature `kafka-tls`.
    pub tls: KafkaTls,
    /// Who we are to Kafka; needs a build with the feature `kafka-tls`.
    pub sasl: Sasl,
    /// Create Vedette's own topics where they are missing. Default: true.
    pub create_topics: bool,
    /// Further settings of the engine's Kafka clients (librdkafka's names), as a file of `name=value` lines such as
    /// Kafka's own tools take with `--command-config`. Default: empty, which means none.
    pub client_file: PathBuf,
}

/// TLS to Kafka, as PEM files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaTls {
    /// Authorities of the brokers. Default: empty, which means plain text.
    pub authorities: PathBuf,
    /// Our own certificate, where brokers ask for one. Default: empty.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Who we are to Kafka (SASL).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sasl {
    /// `scram-sha-512`, `scram-sha-256` or `plain`, which needs TLS. Default: `scram-sha-512`.
    pub mechanism: Mechanism,
    /// Our name. Default: empty, which means that we do not say who we are.
    pub username: String,
    /// File with the password and nothing else.
    pub password_file: PathBuf,
}

/// How a password is proved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// RFC 5802 with SHA-512.
    #[default]
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
    /// RFC 7677.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// It is sent (RFC 4616).
    Plain,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".into(),
            group: "vedette".into(),
            group_instance_id: String::new(),
            tls: KafkaTls::default(),
            sasl: Sasl::default(),
            create_topics: true,
            client_file: PathBuf::new(),
        }
    }
}

impl Mechanism {
    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Plain => "PLAIN",
        }
    }
}
