//! The command line: what each command takes. What it does stands in the file of its name under `commands/`.

use clap::{Parser, Subcommand};
use std::path::PathBuf;

pub mod ca; // `vedette ca`, which has subcommands of its own
mod data; // which data set, and what of it may be seen
mod models; // what learns models, or tries them
pub mod policy; // what gateway operators run
mod traffic; // what speaks to Kafka

pub use data::{Hidden, Sessions, Source, Split, WORLD, WORLD_SEED, WORLD_SESSIONS, When};
pub use models::{Explain, Fit, Measure, RedTeam, Score};
pub use traffic::{Announce, Backtest, Doctor, Engine, Inspect, Replay, Up};

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
