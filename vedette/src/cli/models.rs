//! Commands that learn models from data sets, or try them on some.

use super::data::{Hidden, Sessions, Source, Split, WORLD, When};
use clap::Args;
use std::path::PathBuf;

/// `vedette fit`.
#[derive(Debug, Args)]
pub struct Fit {
    /// Where the data is.
    #[command(flatten)]
    pub source: Source,
    /// Name of a data set in the folder; may be given several times.
    #[arg(long, value_name = "NAME", default_value = WORLD)]
    pub set: Vec<String>,
    /// Learn from the calls of a topic, read as the configuration says of it, in place of a data set. They need no labels:
    /// sessions that look like hijacks are left out.
    #[arg(long, value_name = "T", conflicts_with_all = ["data", "set", "split", "not_fold", "results", "no_results", "no_mission"])]
    pub topic: Option<String>,
    /// Only what Kafka stamped since then: RFC 3339, ms since the epoch, or how long ago, as 14d, 12h or 30m. Default: all
    /// that the topic holds.
    #[arg(long, value_name = "TIME", value_parser = When::parse, requires = "topic")]
    pub since: Option<When>,
    /// Kafka to read from.
    #[arg(long, value_name = "HOST:PORT", requires = "topic")]
    pub brokers: Option<String>,
    /// Forget what an interrupted reading of the topic has left, and begin anew.
    #[arg(long, requires = "topic")]
    pub fresh: bool,
    /// Which sessions to learn from.
    #[arg(long, value_enum, default_value_t = Split::Train)]
    pub split: Split,
    /// Leave out the sessions of this fold.
    #[arg(long, value_name = "K")]
    pub not_fold: Option<u8>,
    /// Where to write the model.
    #[arg(long, value_name = "MODEL")]
    pub out: PathBuf,
    /// Seed of everything random in the fit.
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,
    /// Read NAME.results_VIEW.jsonl.gz in place of NAME.results.jsonl.gz.
    #[arg(long, value_name = "VIEW", conflicts_with = "no_results")]
    pub results: Option<String>,
    /// What to leave out.
    #[command(flatten)]
    pub hidden: Hidden,
}

/// `vedette score`.
#[derive(Debug, Args)]
pub struct Score {
    /// The model.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// The sessions.
    #[command(flatten)]
    pub of: Sessions,
    /// Where to write one line a call, in the order of the calls file.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `vedette measure`.
#[derive(Debug, Args)]
pub struct Measure {
    /// The model.
    #[arg(long, value_name = "MODEL", required_unless_present = "folds")]
    pub model: Option<PathBuf>,
    /// In place of a model: fit one for each of N folds from the train sessions of the others, so that no user task was
    /// seen in fitting.
    #[arg(long, value_name = "N", conflicts_with_all = ["model", "fold"], value_parser = clap::value_parser!(u8).range(2..=50))]
    pub folds: Option<u8>,
    /// Measure what the webhook's fallback says when a session's owner is out of reach: its last standing, and the sketch
    /// of what it was told.
    #[arg(long)]
    pub inline: bool,
    /// Beside it, on the same folds, sessions and shares flagged: what its order of tools and its isolation forest say alone,
    /// STIDE, Markov chains of order 1 to 3, and the number of calls. They learn from the set's train sessions, those of other
    /// folds where one is named.
    #[arg(long, conflicts_with = "inline")]
    pub compare: bool,
    /// The sessions.
    #[command(flatten)]
    pub of: Sessions,
    /// Print the figures as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `vedette redteam`.
#[derive(Debug, Args)]
pub struct RedTeam {
    /// The model.
    #[arg(long, value_name = "MODEL")]
    pub model: PathBuf,
    /// Where the data is.
    #[command(flatten)]
    pub source: Source,
    /// Name of the data set; its clean sessions carry the attacks.
    #[arg(long, value_name = "NAME", default_value = WORLD)]
    pub set: String,
    /// Which sessions to attack.
    #[arg(long, value_enum, default_value_t = Split::Test)]
    pub split: Split,
    /// Only the sessions of this fold.
    #[arg(long, value_name = "K")]
    pub fold: Option<u8>,
    /// Hijacks to search for.
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub hijacks: usize,
    /// Tries a hijack has.
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub tries: u32,
    /// Seed of everything random.
    #[arg(long, value_name = "N", default_value_t = 7)]
    pub seed: u64,
    /// What to leave out.
    #[command(flatten)]
    pub hidden: Hidden,
    /// Print the figures as JSON.
    #[arg(long)]
    pub json: bool,
}

/// `vedette explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// A decision in the log, by the id of its call; without it a session of a data set is told.
    #[arg(value_name = "ID")]
    pub id: Option<String>,
    /// The log. Default: `policy.log_file`.
    #[arg(long, value_name = "FILE", requires = "id")]
    pub log: Option<PathBuf>,
    /// The policies that were in force. Default: `policy.file`, else the built-in ones.
    #[arg(long, value_name = "FILE", requires = "id")]
    pub policies: Option<PathBuf>,
    /// The model; for a decision, the one that was in force. Default there: `detector.model`.
    #[arg(long, value_name = "MODEL", required_unless_present = "id")]
    pub model: Option<PathBuf>,
    /// Where the data is.
    #[command(flatten)]
    pub source: Source,
    /// Name of the data set.
    #[arg(long, value_name = "NAME", default_value = WORLD)]
    pub set: String,
    /// The session; without it the riskiest one.
    #[arg(long, value_name = "SESSION")]
    pub session: Option<String>,
    /// Read NAME.results_VIEW.jsonl.gz in place of NAME.results.jsonl.gz.
    #[arg(long, value_name = "VIEW", conflicts_with = "no_results")]
    pub results: Option<String>,
    /// What to leave out.
    #[command(flatten)]
    pub hidden: Hidden,
}
