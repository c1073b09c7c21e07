//! The `vedette` binary: reads the command line and the configuration, runs one command, reports how it ended.

use clap::{CommandFactory as _, Parser as _};
use miette::Report;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;
use vedette::cli::{Cli, Command};
use vedette::commands::{
    allow, announce, backtest, ca, check_config, decisions, doctor, engine, explain, fit, inspect, measure, policy,
    redteam, replay, score, up,
};
use vedette::failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_standard_error();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has gone away, as `head` does: nothing went wrong.
        Err(Failure::Output { source }) if source.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            let status = failure.exit_status();
            eprintln!("{:?}", Report::new(failure));
            ExitCode::from(status)
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    if let Command::Completions { shell } = &cli.command {
        clap_complete::generate(*shell, &mut Cli::command(), "vedette", &mut std::io::stdout());
        return Ok(());
    }
    let config = vedette::config::load(cli.config.as_deref())?;
    match &cli.command {
        Command::Fit(args) => fit::run(args, &config),
        Command::Score(args) => score::run(args, &config),
        Command::Measure(args) => measure::run(args, &config),
        Command::Redteam(args) => redteam::run(args, &config),
        Command::Explain(args) => explain::run(args, &config),
        Command::Ca(args) => ca::run(args, &config),
        Command::Inspect(args) => wait(inspect::run(args, &config)),
        Command::CheckConfig => check_config::run(&config),
        Command::Up(args) => wait(up::run(args, &config)),
        Command::Replay(args) => wait(replay::run(args, &config)),
        Command::Engine(args) => wait(engine::run(args, &config)),
        Command::Doctor(args) => wait(doctor::run(args, &config)),
        Command::Backtest(args) => wait(backtest::run(args, &config)),
        Command::Announce(args) => wait(announce::run(args, &config)),
        Command::Policy(args) => match &args.task {
            Some(task) => policy::task(task, &config),
            None => wait(policy::run(args, cli.config.as_deref(), &config)),
        },
        Command::Decisions(args) => decisions::run(args, &config),
        Command::Allow(args) => allow::run(args, &config),
        Command::Completions { .. } => Ok(()),
    }
}

/// Drives a command that talks to the network. What it left running ends with it, or is left behind: a client of Kafka waits
/// for ever to take leave of brokers that do not answer.
fn wait(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = vedette::runtime::start()?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_timeout(LEAVE_MAX);
    outcome
}

/// Longest wait for what a command left running.
const LEAVE_MAX: Duration = Duration::from_millis(500);

/// Warnings and errors, or what `RUST_LOG` says.
fn log_to_standard_error() {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr).init();
}
