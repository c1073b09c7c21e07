//! What a command says when it cannot go on: what, where, and what to do next.

mod ca; // the authority of the devices
mod data_set; // data sets
mod fit; // learning
mod kafka; // advice on Kafka
mod members; // replicas that share sessions

pub use ca::CaFailure;
pub use data_set::DataSetFailure;
pub use fit::FitFailure;
pub use kafka::advice;
pub use members::MembersFailure;

use ingest::IngestError;
use miette::Diagnostic;
use std::path::PathBuf;

/// Why a command ended without its result.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum Failure {
    /// The configuration.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// The key of fingerprints.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Key(#[from] crate::key::KeyError),
    /// A model without the owner's signature.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Signed(#[from] crate::signed::SignedError),
    /// A data set.
    #[error(transparent)]
    #[diagnostic(transparent)]
    DataSet(#[from] DataSetFailure),
    /// Learning.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Fit(#[from] FitFailure),
    /// Replicas that share sessions.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Members(#[from] MembersFailure),
    /// The authority of the devices.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Ca(#[from] CaFailure),
    /// A model file that is none.
    #[error("`{path}` is no model this build can use")]
    #[diagnostic(
        code(vedette::model),
        help("learn it again with `vedette fit`, or take the file from where it came once more; nothing was changed")
    )]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: detector::ModelError,
    },
    /// Policies that are refused.
    #[error("the policies in `{path}` are refused")]
    #[diagnostic(code(vedette::policies), help("nothing was put in force; mend the line and try again"))]
    Policies {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column.
        source: Box<policy::PolicyError>,
    },
    /// Scenario files that do not hold.
    #[error("{failed} of {calls} calls were decided otherwise than the scenarios expect")]
    #[diagnostic(code(vedette::policy::test), help("each is shown above: - what was expected, + what came out"))]
    Scenarios {
        /// Decided otherwise.
        failed: usize,
        /// In all.
        calls: usize,
    },
    /// A scenario file that cannot be run.
    #[error("cannot run the scenarios in `{path}`")]
    #[diagnostic(code(vedette::policy::scenario), help("policy/policies/default.test.yaml shows what one looks like"))]
    Scenario {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<policy::scenario::ScenarioError>,
    },
    /// An allowlist that is refused.
    #[error("the allowlist `{path}` is refused")]
    #[diagnostic(
        code(vedette::allow),
        help("nothing was put in force; `vedette allow list` shows one that holds, each entry is a line of JSON")
    )]
    Allow {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: policy::AllowError,
    },
    /// No entry of that name.
    #[error("the allowlist `{path}` has no entry `{id}`")]
    #[diagnostic(code(vedette::allow::unknown), help("`vedette allow list` shows the entries"))]
    NoAllowance {
        /// The file.
        path: PathBuf,
        /// The name.
        id: String,
    },
    /// A log that does not hold.
    #[error("the decision log `{path}` does not hold")]
    #[diagnostic(
        code(vedette::decisions),
        help("compare with a copy; to go on logging, move the file away and a new one is begun")
    )]
    Log {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: policy::ChainError,
    },
    /// No decision about that call.
    #[error("the log `{path}` has no decision about the call `{id}`")]
    #[diagnostic(code(vedette::decisions::unknown), help("`vedette decisions list` shows the newest"))]
    NoDecision {
        /// The file.
        path: PathBuf,
        /// The id.
        id: String,
    },
    /// A file that no setting and no flag names.
    #[error("no file is named for {what}")]
    #[diagnostic(code(vedette::no_file), help("name one with {flag}, or with `{key}` in vedette.toml"))]
    NoFile {
        /// For what.
        what: &'static str,
        /// By which flag.
        flag: &'static str,
        /// By which setting.
        key: &'static str,
    },
    /// A derivation that comes out otherwise.
    #[error("the decision about `{id}` comes out otherwise")]
    #[diagnostic(
        code(vedette::explain::differs),
        help("the model or the policies named are not those that were in force: the record names both by digest")
    )]
    Differs {
        /// The call.
        id: String,
    },
    /// TLS files that cannot be used.
    #[error("cannot use the certificates of `policy.tls`")]
    #[diagnostic(
        code(vedette::tls),
        help("`certificate`, `key` and `clients` name PEM files: a chain, its key, and the authorities of clients")
    )]
    Tls {
        /// Why.
        #[from]
        source: policy::server::TlsError,
    },
    /// A key set that cannot be used.
    #[error("the keys of tokens in `{path}` are refused")]
    #[diagnostic(
        code(vedette::delegation),
        help("`policy.delegation.jwks` names the issuer's JWK Set; each key needs `kid` and an asymmetric `alg`")
    )]
    Delegation {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: policy::DelegationError,
    },
    /// Keys of callers that cannot be used.
    #[error("the keys in `{path}` are refused")]
    #[diagnostic(
        code(vedette::keys),
        help("a line is a name and `sha256:` with 64 hex digits: printf %s KEY | sha256sum")
    )]
    Keys {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: policy::server::KeysError,
    },
    /// Kafka.
    #[error("Kafka does not do what is needed")]
    #[diagnostic(code(vedette::kafka), help("{advice}"))]
    Kafka {
        /// What failed.
        source: Box<IngestError>,
        /// What to do.
        advice: &'static str,
    },
    /// Kafka is to be spoken to as this build cannot.
    #[error("`{key}` is set, and this build speaks to Kafka in plain text only")]
    #[diagnostic(
        code(vedette::kafka::no_tls),
        help(
            "build with `cargo build --release -p vedette --features kafka-tls`; it brings its own OpenSSL, so it takes longer"
        )
    )]
    NoKafkaTls {
        /// Which setting.
        key: &'static str,
    },
    /// A webhook that cannot be posted to.
    #[error("`engine.alerts_webhook` cannot be used: {source}")]
    #[diagnostic(
        code(vedette::alerts::webhook),
        help("an https:// URL, and in `engine.alerts_webhook_authorities` a PEM file of who vouches for it")
    )]
    Webhook {
        /// Why.
        source: crate::outlets::AddressError,
    },
    /// A collector that no span can be sent to.
    #[error("`telemetry.otlp_endpoint` cannot be used: {source}")]
    #[diagnostic(
        code(vedette::telemetry),
        help("e.g. http://127.0.0.1:4318, or an https:// URL with who vouches for it in `telemetry.otlp_authorities`")
    )]
    Collector {
        /// Why.
        source: crate::outlets::AddressError,
    },
    /// Spans are wanted, and this build makes none.
    #[error("`telemetry.otlp_endpoint` is set, and this build sends no traces")]
    #[diagnostic(
        code(vedette::telemetry::no_otlp),
        help("build with `cargo build --release -p vedette --features otlp`, or delete the line")
    )]
    NoOtlp,
    /// A password over a wire that others can read.
    #[error("`kafka.sasl.mechanism` is `plain`, and `kafka.tls` is not set: the password would be sent in plain text")]
    #[diagnostic(code(vedette::kafka::plain), help("set `kafka.tls.authorities`, or use `scram-sha-512`"))]
    PlainPassword,
    /// Something an engine needs is not as it has to be.
    #[error("{failed} of the checks above fail")]
    #[diagnostic(code(vedette::doctor), help("each says what to do next; `vedette doctor` again shows what is left"))]
    Unwell {
        /// How many.
        failed: usize,
    },
    /// Another model decides otherwise.
    #[error(
        "the new model would stop {allow_to_deny} sessions that go through, and let {deny_to_allow} through that are stopped"
    )]
    #[diagnostic(
        code(vedette::backtest),
        help("look at the lists above; nothing was changed. Status 2 says so to a pipeline")
    )]
    Turned {
        /// Sessions that would be stopped.
        allow_to_deny: usize,
        /// Sessions that would no longer be stopped.
        deny_to_allow: usize,
    },
    /// A store of checkpoints that cannot be used.
    #[error("states cannot be kept")]
    #[diagnostic(
        code(vedette::checkpoints),
        help("check `engine.checkpoints`: a folder that may be written to, or s3:// in a build with the feature `s3`")
    )]
    Checkpoints {
        /// Why.
        source: ingest::checkpoint::CheckpointError,
    },
    /// States that the next process could not compare with anything.
    #[error("`engine.checkpoints` is set and `seal.key_file` is not")]
    #[diagnostic(
        code(vedette::checkpoints::no_key),
        help(
            "name a key file: with a fresh key for each run, no state of an earlier run says anything; the file is made where it is missing"
        )
    )]
    CheckpointsWithoutKey,
    /// A line of client settings that is none.
    #[error("line {line} of `{path}` is no `name=value`")]
    #[diagnostic(
        code(vedette::kafka::client_file),
        help("one librdkafka setting a line, e.g. security.protocol=SASL_SSL")
    )]
    ClientSetting {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: u32,
    },
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    #[diagnostic(code(vedette::read), help("check the path and who may read it"))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write `{path}`")]
    #[diagnostic(code(vedette::write), help("check that the folder is there, may be written to, and is not full"))]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Standard output is closed.
    #[error("cannot write the answer")]
    #[diagnostic(code(vedette::output), help("whatever reads the output has gone away"))]
    Output {
        /// Why.
        #[from]
        source: std::io::Error,
    },
    /// An address that no gateway can ask.
    #[error("cannot listen on `{address}`")]
    #[diagnostic(
        code(vedette::listen),
        help("name a free loopback address with --listen or `policy.listen`, e.g. 127.0.0.1:8181")
    )]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// An address others can reach, in plain text.
    #[error("`{address}` is not a loopback address, and answers are in plain text")]
    #[diagnostic(
        code(vedette::listen::not_loopback),
        help("name a loopback address, e.g. 127.0.0.1:8181, and put the gateway on the same machine")
    )]
    NotLoopback {
        /// The address.
        address: String,
    },
    /// The server ended.
    #[error("the policy server ended")]
    #[diagnostic(code(vedette::server), help("the log says why; start it again"))]
    Server {
        /// Why.
        #[from]
        source: policy::server::ServeError,
    },
    /// Threads or timers.
    #[error("cannot start the runtime")]
    #[diagnostic(code(vedette::runtime), help("the machine is out of threads or file handles"))]
    Runtime {
        /// Why.
        source: std::io::Error,
    },
    /// A record that Vedette wrote and cannot read.
    #[error("a record on `{topic}` cannot be read back: {reason}")]
    #[diagnostic(
        code(vedette::read_back),
        help("another version writes to the same topics; use another broker or stop it")
    )]
    ReadBack {
        /// The topic.
        topic: &'static str,
        /// What is wrong with it, without a value of it.
        reason: String,
    },
}

impl Failure {
    /// The process's exit status: 78 (`EX_CONFIG` of sysexits.h) where starting again would only take work from
    /// another, so that a service manager can be told to leave it (systemd: `RestartPreventExitStatus=78`); 2 where
    /// another model would decide otherwise.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Kafka { source, .. } if matches!(**source, IngestError::Fenced { .. }) => 78,
            Self::Turned { .. } => 2,
            _ => 1,
        }
    }
}
