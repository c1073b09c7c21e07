//! The command line: what each command takes. What it does stands in the file of its name under `commands/`.

use clap::{Args, Parser, Subcommand, ValueEnum};
use schema::Millis;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

pub mod ca; // `vedette ca`, which has subcommands of its own
pub mod policy; // what gateway operators run

/// Zero-trust behavioural anomaly detection for AI agents.
#[derive(Debug, Parser)]
#[command(name = "vedette", version, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    /// Configuration file. Default: `vedette.toml` here, where there is one; an empty file works.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run all of it on this machine: Kafka, engine, detector, policy; then say what was caught.
    Up(Up),
    /// Learn a model from the honest sessions of data sets.
    Fit(Fit),
    /// Score every call of a data set with a model.
    Score(Score),
    /// Say what a model catches of a labelled data set, when, and at what price.
    Measure(Measure),
    /// Attack a model with searches that adapt to it, and say what it costs to be overlooked.
    Redteam(RedTeam),
    /// Send a data set's calls to Kafka as if they happened now.
    Replay(Replay),
    /// Read calls from Kafka, write verdicts to Kafka.
    Engine(Engine),
    /// Look for what is amiss with an engine's surroundings: topics, permissions, decoders, clock, disk, files.
    Doctor(Doctor),
    /// Judge calls that were with two models: which sessions would be stopped or let through otherwise.
    Backtest(Backtest),
    /// Tell running engines to use a model from their next batch on.
    Announce(Announce),
    /// Answer gateways: may this call go through?
    Policy(policy::PolicyCommand),
    /// Read the log of decisions.
    Decisions(policy::Decisions),
    /// Let calls through whatever the policies say, until a day.
    Allow(policy::AllowCommand),
    /// Tell one session call by call, or derive one logged decision again: what was seen, how risky it looked, and why.
    Explain(Explain),
    /// Certificates and signed bundles for devices that are offline for months.
    Ca(ca::Ca),
    /// Look at a log: its calls, how their sessions were derived, what is missing and what that costs.
    Inspect(Inspect),
    /// Check the configuration and print the one in force.
    CheckConfig,
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Which data set, and what of it may be seen.
#[derive(Debug, Clone, Args)]
pub struct Source {
    /// Folder of the data set. Without it the set is `world`, made by the built-in generator.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Seed of the built-in world.
    #[arg(long, value_name = "N", default_value_t = WORLD_SEED, conflicts_with = "data")]
    pub world_seed: u64,
    /// Sessions in the built-in world.
    #[arg(long, value_name = "N", default_value_t = WORLD_SESSIONS, conflicts_with = "data")]
    pub world_sessions: u32,
}

/// What a gateway may have failed to capture.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Hidden {
    /// Leave out what the users asked for.
    #[arg(long)]
    pub no_mission: bool,
    /// Leave out what the tools answered.
    #[arg(long)]
    pub no_results: bool,
}

/// Part of a data set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Split {
    /// For fitting: honest sessions only.
    Train,
    /// For measuring.
    Test,
    /// Both.
    #[default]
    All,
}

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
    /// Where the data is.
    #[command(flatten)]
    pub source: Source,
    /// Name of the data set.
    #[arg(long, value_name = "NAME", default_value = WORLD)]
    pub set: String,
    /// Which sessions to score.
    #[arg(long, value_enum, default_value_t)]
    pub split: Split,
    /// Only the sessions of this fold.
    #[arg(long, value_name = "K")]
    pub fold: Option<u8>,
    /// Read NAME.results_VIEW.jsonl.gz in place of NAME.results.jsonl.gz.
    #[arg(long, value_name = "VIEW", conflicts_with = "no_results")]
    pub results: Option<String>,
    /// What to leave out.
    #[command(flatten)]
    pub hidden: Hidden,
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
    /// Where the data is.
    #[command(flatten)]
    pub source: Source,
    /// Name of the data set.
    #[arg(long, value_name = "NAME", default_value = WORLD)]
    pub set: String,
    /// Which sessions to measure on.
    #[arg(long, value_enum, default_value_t)]
    pub split: Split,
    /// Only the sessions of this fold.
    #[arg(long, value_name = "K")]
    pub fold: Option<u8>,
    /// Read NAME.results_VIEW.jsonl.gz in place of NAME.results.jsonl.gz.
    #[arg(long, value_name = "VIEW", conflicts_with = "no_results")]
    pub results: Option<String>,
    /// What to leave out.
    #[command(flatten)]
    pub hidden: Hidden,
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

/// A time on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Since the epoch.
    At(Millis),
    /// So many ms ago.
    Ago(u64),
}

impl When {
    /// The time it is, now being `now`.
    pub fn at(self, now: Millis) -> Millis {
        match self {
            Self::At(at) => at,
            Self::Ago(ms) => Millis(now.0.saturating_sub(ms)),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        if let Ok(ms) = text.parse() {
            return Ok(Self::At(Millis(ms)));
        }
        if let Some(at) = schema::decode::time::parse(text) {
            return Ok(Self::At(at));
        }
        let unit = text.char_indices().next_back().and_then(|(at, unit)| {
            let ms = match unit {
                'm' => 60_000,
                'h' => 3_600_000,
                'd' => 86_400_000,
                _ => return None,
            };
            text.get(..at)?.parse::<u64>().ok()?.checked_mul(ms)
        });
        unit.map(Self::Ago)
            .ok_or_else(|| format!("`{text}` is no time: write 2026-11-22T11:04:00Z, 1795343040062 or 14d"))
    }
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

/// Name of the set that the built-in generator makes.
pub const WORLD: &str = "world";
/// Seed of the world that `up` shows.
pub const WORLD_SEED: u64 = 7;
/// Sessions of that world: enough to learn from, few enough for seconds.
pub const WORLD_SESSIONS: u32 = 2_000;

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_contract_lines_parse() {
        for line in [
            "vedette fit --data d --set a --set b --split train --not-fold 3 --out m --seed 7 --no-mission --no-results",
            "vedette score --model m --data d --set a --split test --fold 3 --results plain --no-mission --out s.jsonl",
            "vedette score --model m --data d --set a --no-mission --no-results --out s.jsonl",
            "vedette measure --model m --data d --set a --split test --json",
            "vedette up --data d --set a --model m --brokers h:1 --once --out f",
            "vedette up --once",
            "vedette up",
            "vedette engine",
            "vedette announce --model m --brokers h:1",
            "vedette doctor --write --json --brokers h:1",
            "vedette backtest --model new --against old --topic agent.calls --from 14d --to 2026-11-22T11:04:00Z",
            "vedette backtest --model new --file f --from 1795343040062",
            "vedette backtest --model new --data d --set a",
            "vedette policy",
            "vedette ca init --dir d --name n --root-keys 5 --root-threshold 3 --under r.pem --under-key r.key",
            "vedette ca serve --dir d --listen 127.0.0.1:0 --name a --name b --brokers h:1",
            "vedette ca token --dir d --device dev-9 --class press --life 12h",
            "vedette ca token --any",
            "vedette ca list --json",
            "vedette ca revoke dev-9 --reason lost",
            "vedette ca approve dev-9",
            "vedette ca voucher dev-9 --life 7d",
            "vedette ca rotate-root --authority",
            "vedette ca bundle publish model f --life 30d --api 1-3",
            "vedette ca bundle rollback model 3",
            "vedette policy --listen 127.0.0.1:0 --policies p.cedar",
            "vedette policy test p.test.yaml --policies p.cedar",
            "vedette decisions list --log d.jsonl --last 5 --only deny --session s",
            "vedette decisions check",
            "vedette allow add --id x --tool t --owner o --reason r --expires 7d",
            "vedette allow list",
            "vedette allow remove x",
            "vedette explain r-1 --log d.jsonl --model m --policies p.cedar",
            "vedette explain --model m --session s",
            "vedette check-config --config x.toml",
            "vedette completions bash",
            "vedette inspect --topic t -n 20",
            "vedette inspect --file f --format mapping --mapping m.toml",
            "vedette inspect --data d --set a",
        ] {
            assert!(parse(line).is_ok(), "{line}: {:?}", parse(line).err().map(|e| e.to_string()));
        }
    }

    #[test]
    fn a_token_says_whom_it_is_for_and_a_revocation_why() {
        for line in [
            "vedette ca token",
            "vedette ca token --any --device dev-9",
            "vedette ca token --device ../x",
            "vedette ca revoke dev-9",
            "vedette ca init --under r.pem",
            "vedette ca bundle publish picture f",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn only_one_thing_is_inspected_at_a_time() {
        assert!(parse("vedette inspect --topic t --file f").is_err());
        assert!(parse("vedette inspect --data d").is_err());
    }

    #[test]
    fn an_allowance_needs_an_owner_a_reason_and_an_end() {
        let whole = ["--owner o", "--reason r", "--expires 7d"];
        for left_out in whole {
            let rest: Vec<_> = whole.iter().filter(|part| **part != left_out).copied().collect();
            assert!(parse(&format!("vedette allow add --id x --tool t {}", rest.join(" "))).is_err(), "{left_out}");
        }
        assert!(parse("vedette allow add --id x --tool t --owner o --reason r --expires soon").is_err());
    }

    #[test]
    fn a_view_of_results_that_are_left_out_is_refused() {
        assert!(parse("vedette score --model m --results plain --no-results --out s").is_err());
    }
}
