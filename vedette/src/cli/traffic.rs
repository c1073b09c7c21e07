//! Commands that read from Kafka, or write to it, and what is run beside them.

use super::data::{Source, Split, WORLD, When};
use clap::Args;
use std::path::PathBuf;

/// `vedette up`.
#[derive(Debug, Args)]
pub struct Up {
    /// Where the data is.
    #[command(flatten)]
    pub source: Source,
    /// Name of the data set.
    #[arg(long, value_name = "NAME", default_value = WORLD)]
    pub set: String,
    /// A model; without one, it is learned first from the honest sessions.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// A Kafka to use in place of the one in this process.
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// End when everything is scored; otherwise keep serving.
    #[arg(long)]
    pub once: bool,
    /// Where to write the risks read back from Kafka, sorted.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `vedette replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// Where the data is.
    #[command(flatten)]
    pub source: Source,
    /// Name of the data set.
    #[arg(long, value_name = "NAME", default_value = WORLD)]
    pub set: String,
    /// Which sessions to send.
    #[arg(long, value_enum, default_value_t)]
    pub split: Split,
    /// Kafka to send to.
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// How many times faster than recorded; without it, as fast as Kafka takes it.
    #[arg(long, value_name = "TIMES")]
    pub speed: Option<f64>,
    /// Share of calls that arrive late, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub late: f64,
    /// Share of calls that arrive twice, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub repeated: f64,
    /// Share of calls that change places with a neighbour, 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
    pub reordered: f64,
    /// Seed of those faults.
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,
}

/// `vedette engine`.
#[derive(Debug, Args)]
pub struct Engine {
    /// Kafka to read from and write to.
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// The model; without one every verdict says `learning`.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
}

/// `vedette doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Kafka to look at.
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// Also try to write to each topic, in transactions that are given up.
    #[arg(long)]
    pub write: bool,
    /// Print the rows as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `vedette backtest`. Ends with status 2 where a session would be decided otherwise.
#[derive(Debug, Args)]
pub struct Backtest {
    /// The new model. Without it the old one is compared with itself, which shows that nothing else differs.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// The old model. Default: `detector.model`.
    #[arg(long, value_name = "MODEL")]
    pub against: Option<PathBuf>,
    /// First time: RFC 3339, ms since the epoch, or how long ago, as 14d, 12h or 30m. Default: the beginning.
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub from: Option<When>,
    /// First time that is left out, as above. Default: now.
    #[arg(long, value_name = "TIME", value_parser = When::parse)]
    pub to: Option<When>,
    /// A topic of calls, by the time that Kafka stamped its records.
    #[arg(long, value_name = "T", group = "what")]
    pub topic: Option<String>,
    /// A file with one record a line, by the calls' own times.
    #[arg(long, value_name = "FILE", group = "what")]
    pub file: Option<PathBuf>,
    /// Kafka to read from.
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// Where the data is.
    #[command(flatten)]
    pub source: Source,
    /// Name of the data set.
    #[arg(long, value_name = "NAME", default_value = WORLD, conflicts_with = "what")]
    pub set: String,
}

/// `vedette announce`.
#[derive(Debug, Args)]
pub struct Announce {
    /// The model; engines read it from the same path.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Kafka to announce it on.
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
}

/// `vedette inspect`. Shows names, shapes and sizes, no value of any call.
#[derive(Debug, Args)]
pub struct Inspect {
    /// A topic: its newest records are read, without a trace. Default: the first topic of the configuration.
    #[arg(long, value_name = "T", group = "what")]
    pub topic: Option<String>,
    /// A file with one record a line.
    #[arg(long, value_name = "FILE", group = "what")]
    pub file: Option<PathBuf>,
    /// A data set of the folder that --data names; `world` needs none.
    #[arg(long, value_name = "NAME", group = "what")]
    pub set: Option<String>,
    /// Folder of the data set.
    #[arg(long, value_name = "DIR", requires = "set")]
    pub data: Option<PathBuf>,
    /// What the records are: native, mcp, otel-genai, ocsf, envoy, agentgateway or mapping. Default: what the
    /// configuration says of the topic, else native.
    #[arg(long, value_name = "FORMAT", conflicts_with = "set")]
    pub format: Option<String>,
    /// For `--format mapping`: the file of JSON pointers.
    #[arg(long, value_name = "FILE", conflicts_with = "set")]
    pub mapping: Option<PathBuf>,
    /// Kafka to read from.
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// How many of the newest calls to show.
    #[arg(short = 'n', long = "calls", value_name = "N", default_value_t = 20)]
    pub calls: usize,
    /// How many of the newest records to look at.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub sample: usize,
}
