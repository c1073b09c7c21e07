//! `vedette.toml`: an empty file works and equals the defaults; an unknown key is refused with the nearest known name.

mod ca;
mod kafka;
mod members;
mod read;

pub use ca::Ca;
pub use kafka::{Kafka, KafkaTls, Mechanism, Sasl};
pub use members::Members;
pub use read::{ConfigError, load, load_mapping, parse};

use crate::sinks::Decisions;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that can be set. `vedette check-config` prints the one in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Kafka, for `engine` and `replay`.
    pub kafka: Kafka,
    /// When a session that nobody names is over, and in which order calls are taken.
    pub sessions: Sessions,
    /// What `engine` keeps and writes.
    pub engine: Engine,
    /// What `engine` and `policy` tell of themselves, beside `/metrics`.
    pub telemetry: Telemetry,
    /// What keeps raw text out.
    pub seal: Seal,
    /// What says how risky a call looks.
    pub detector: Detector,
    /// What is done about it.
    pub policy: Policy,
    /// The authority of the devices.
    pub ca: Ca,
    /// Bounds on what is kept in memory.
    pub limits: Limits,
    /// Topics that the engine reads, and what their records are. Default: `agent.calls`, Vedette's own records.
    pub topics: Vec<Topic>,
}

/// One topic of calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Topic {
    /// Its name. Default: `agent.calls`.
    pub name: String,
    /// `native`, `mcp`, `otel-genai`, `ocsf`, `envoy`, `agentgateway` or `mapping`. Default: `native`.
    pub format: String,
    /// For `mapping`: the file that says where each field stands. Default: empty.
    pub mapping: PathBuf,
    /// Paths that are tools, as OpenAPI writes them: `POST /hotels/{id}/reserve`. Default: none, so what looks like an
    /// identifier in a path is taken for one.
    pub routes: Vec<String>,
}

/// What belongs to one session, and in which order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// A session that is derived from who calls, because no id names it, is over when no call came for so long, in ms.
    /// Default: 1,800,000 (30 minutes).
    pub idle_ms: u64,
    /// How long a call waits for those that its gateway numbered before it (`seq`), in ms by the clock that stamps records;
    /// 0: calls are taken as they come, as they are without `engine.checkpoints`. Default: 2,000, at most 60,000.
    pub hold_ms: u64,
    /// The number of a session's first call. Default: 0.
    pub first_seq: u64,
}

/// The engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Engine {
    /// Where states are kept, so that sessions go on in another process: a folder, a `file://` URL, or
    /// `s3://BUCKET/PREFIX` in a build that speaks it. One for each consumer group; needs `seal.key_file`. Default:
    /// empty, which means that a session under way begins anew where its partition moves.
    pub checkpoints: String,
    /// Longest time between two checkpoints of a partition with traffic, in ms. Default: 30 seconds.
    pub checkpoint_ms: u64,
    /// Names this process within its group, across restarts; two processes need two names. Default: `0`.
    pub instance: String,
    /// Which calls get a decision on `agent.decisions`: `all` or `none`. Default: `all`.
    pub decisions: Decisions,
    /// Whether the standing of a session that a result told what to do holds a sketch of it (some 2 KB), for a `vedette policy`
    /// that sees requests only. Costs an engine about a tenth of its speed where most results do. Default: true.
    pub sketches: bool,
    /// Address of `POST /v1/calls`, `/healthz`, `/readyz` and `/metrics`; loopback only, but with `tls`. Default:
    /// `127.0.0.1:8183`; empty: not served.
    pub listen: String,
    /// A file that gets every alert as a line. Default: empty, which means none.
    pub alerts_file: PathBuf,
    /// An `https://` URL (`http://` on the loopback) that every alert is posted to. Default: empty, which means none.
    pub alerts_webhook: String,
    /// Authorities that vouch for the webhook, as PEM. Default: those of this machine.
    pub alerts_webhook_authorities: PathBuf,
    /// Names and digests of the keys that senders to `/v1/calls` must show. Default: empty, which means that none is
    /// asked for.
    pub keys_file: PathBuf,
    /// TLS, without which nothing listens beyond loopback. A client's certificate names the device its calls are from.
    pub tls: Tls,
}

/// OpenTelemetry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// A collector that alerts, and decisions other than allow, are sent to as spans of the callers' traces, by OTLP over HTTP: its
    /// `https://` URL (`http://` on the loopback) without `/v1/traces`. Needs a build with the feature `otlp`. Default: empty,
    /// which means none.
    pub otlp_endpoint: String,
    /// Authorities that vouch for it, as PEM. Default: those of this machine.
    pub otlp_authorities: PathBuf,
}

/// The key of fingerprints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seal {
    /// File of 64 hex digits; made on first use where it is missing. Default: empty, which means a fresh key for
    /// each run of `engine` and `policy`, and a published one for data sets.
    pub key_file: PathBuf,
}

/// The model and its promise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Detector {
    /// Model file. Default: empty, which means that every verdict says `learning` and nothing is denied.
    pub model: PathBuf,
    /// At most this share of honest sessions is flagged. Default: 0.01.
    pub alpha: f64,
    /// Root document of the owner's authority (`vedette ca init`). With it `policy` takes no model but a published one,
    /// with its manifest beside it, and none that is older than one it had. Default: empty, any model is taken.
    pub trust: PathBuf,
}

/// Decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Where gateways ask; loopback only. Default: `127.0.0.1:8181`.
    pub listen: String,
    /// Loopback address of the gRPC doors (Envoy ext_authz and ext_proc). Default: 127.0.0.1:8182.
    pub listen_grpc: String,
    /// `observe`, `shadow` or `enforce`. Default: `shadow`: decided and logged, everything allowed.
    pub mode: schema::Mode,
    /// Cedar policies. Default: empty, which means the built-in ones. Read again when it changes.
    pub file: PathBuf,
    /// The one switch: `true` takes everything back to observe, whatever `mode` and `rules` say. Read again, like
    /// those, when the configuration file changes.
    pub observe_all: bool,
    /// Calls that go through whatever the policies say; `vedette allow` writes it. Default: empty, which means none.
    /// Read again when it changes.
    pub allow_file: PathBuf,
    /// Where every decision is logged with what it rests on. Default: empty, which means nowhere.
    pub log_file: PathBuf,
    /// Names and digests of the keys that callers must show. Default: empty, which means that none is asked for.
    pub keys_file: PathBuf,
    /// TLS, without which nothing listens beyond loopback.
    pub tls: Tls,
    /// Other replicas.
    pub members: Members,
    /// Who may stand behind calls, by tokens.
    pub delegation: Delegation,
    /// How fast sessions may be.
    pub burst: policy::Burst,
    /// Deadlines, and what happens when they pass, by route.
    pub routes: policy::Routes,
    /// Modes by route, tenant or agent; the first that matches counts.
    pub rules: Vec<policy::ModeRule>,
}

/// Whose tokens are believed (`Vedette-Delegation`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Delegation {
    /// JWK Set of the issuer. Default: empty, which means that tokens are not looked at.
    pub jwks: PathBuf,
    /// Their `iss`.
    pub issuer: String,
    /// Their `aud`.
    pub audience: String,
}

/// Certificates of a server, as PEM files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Its chain, own certificate first. Default: empty, which means plain text on loopback.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Authorities whose clients may call. Needed with a certificate.
    pub clients: PathBuf,
    /// Their revocation list. Default: empty, which means that none is checked.
    pub revoked: PathBuf,
}

/// Bounds on memory, each per partition; what is beyond them is spilled to disk, in the folder of temporary files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Sessions in memory; the least recently seen is spilled first. Default: 20,000.
    pub sessions_max: u32,
    /// Principals in memory; the least recently seen is spilled first. Default: 2,000.
    pub principals_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kafka: Kafka::default(),
            sessions: Sessions::default(),
            engine: Engine::default(),
            telemetry: Telemetry::default(),
            seal: Seal::default(),
            detector: Detector::default(),
            policy: Policy::default(),
            ca: Ca::default(),
            limits: Limits::default(),
            topics: vec![Topic::default()],
        }
    }
}

impl Default for Topic {
    fn default() -> Self {
        Self {
            name: schema::topics::CALLS.into(),
            format: "native".into(),
            mapping: PathBuf::new(),
            routes: Vec::new(),
        }
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self { idle_ms: 30 * 60 * 1_000, hold_ms: 2_000, first_seq: 0 }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            checkpoints: String::new(),
            checkpoint_ms: 30_000,
            instance: "0".into(),
            decisions: Decisions::default(),
            sketches: true,
            listen: "127.0.0.1:8183".into(),
            alerts_file: PathBuf::new(),
            alerts_webhook: String::new(),
            alerts_webhook_authorities: MACHINE_AUTHORITIES.into(),
            keys_file: PathBuf::new(),
            tls: Tls::default(),
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { otlp_endpoint: String::new(), otlp_authorities: MACHINE_AUTHORITIES.into() }
    }
}

impl Default for Detector {
    fn default() -> Self {
        Self { model: PathBuf::new(), alpha: ALPHA, trust: PathBuf::new() }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8181".into(),
            listen_grpc: "127.0.0.1:8182".into(),
            mode: schema::Mode::default(),
            file: PathBuf::new(),
            observe_all: false,
            allow_file: PathBuf::new(),
            log_file: PathBuf::new(),
            keys_file: PathBuf::new(),
            tls: Tls::default(),
            members: Members::default(),
            delegation: Delegation::default(),
            burst: policy::Burst::default(),
            routes: policy::Routes::default(),
            rules: Vec::new(),
        }
    }
}

impl Sessions {
    /// How long calls wait for their turn.
    pub fn bounds(&self) -> ingest::hold::Bounds {
        ingest::hold::Bounds { ms: self.hold_ms, first: self.first_seq, ..Default::default() }
    }
}

impl Policy {
    /// The modes it names, checked.
    pub fn modes(&self) -> Result<policy::Modes, policy::TooManyModeRules> {
        policy::Modes { default: self.mode, rules: self.rules.clone(), observe_all: self.observe_all }.check()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { sessions_max: 20_000, principals_max: 2_000 }
    }
}

/// Where Debian, and most others, keep the authorities that a machine believes.
const MACHINE_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The shipped promise: at most one honest session in a hundred is flagged.
pub const ALPHA: f64 = 0.01;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_equals_the_defaults() {
        assert_eq!(parse("vedette.toml", "").unwrap(), Config::default());
    }

    #[test]
    fn what_check_config_prints_reads_back_the_same() {
        let config = Config { limits: Limits { sessions_max: 5, ..Limits::default() }, ..Config::default() };
        assert_eq!(parse("printed", &toml::to_string(&config).unwrap()).unwrap(), config);
    }
}
