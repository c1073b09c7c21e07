//! What gateway operators run: the policy server, tests of policies, the log of decisions, allowances.

use clap::{Args, Subcommand, ValueEnum};
use schema::{Ladder, PolicyId};
use std::path::PathBuf;
use std::time::Duration;

/// `vedette policy`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct PolicyCommand {
    /// Something else than serving.
    #[command(subcommand)]
    pub task: Option<PolicyTask>,
    /// Address to listen on; beyond loopback it needs `policy.tls`.
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Address of the gRPC doors for Envoy and agentgateway; beyond loopback it needs `policy.tls`.
    #[arg(long, value_name = "HOST:PORT")]
    pub listen_grpc: Option<String>,
    /// Address for other replicas to ask about sessions that this one owns; beyond loopback it needs `policy.members.tls`.
    #[arg(long, value_name = "HOST:PORT")]
    pub members_listen: Option<String>,
    /// Where they reach this one; without it the address listened on.
    #[arg(long, value_name = "HOST:PORT")]
    pub members_address: Option<String>,
    /// The model; without one every verdict says `learning` and nothing is denied.
    #[arg(long, value_name = "MODEL")]
    pub model: Option<PathBuf>,
    /// Cedar policies; without them the built-in ones.
    #[arg(long, value_name = "FILE")]
    pub policies: Option<PathBuf>,
    /// Kafka, to publish decisions and sightings to; without it nothing is published.
    #[arg(long, value_name = "HOST:PORT,…")]
    pub brokers: Option<String>,
}

/// Something else than serving.
#[derive(Debug, Subcommand)]
pub enum PolicyTask {
    /// Run scenario files: calls and what the policies are to decide about them.
    Test {
        /// Scenario files.
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Cedar policies; without them those of the configuration.
        #[arg(long, value_name = "FILE")]
        policies: Option<PathBuf>,
    },
    /// Print the built-in policies, to copy and edit.
    Default,
}

/// `vedette decisions`.
#[derive(Debug, Args)]
pub struct Decisions {
    /// What to do with the log.
    #[command(subcommand)]
    pub task: DecisionsTask,
}

/// What to do with the log.
#[derive(Debug, Subcommand)]
pub enum DecisionsTask {
    /// List decisions, newest last, and sum up what enforcing would have stopped.
    List {
        /// The log. Default: `policy.log_file`.
        #[arg(long, value_name = "FILE")]
        log: Option<PathBuf>,
        /// So many of the newest.
        #[arg(long, value_name = "N", default_value_t = 50)]
        last: usize,
        /// Only where the policies said this.
        #[arg(long, value_enum)]
        only: Option<Said>,
        /// Only this session.
        #[arg(long, value_name = "SESSION")]
        session: Option<String>,
        /// One JSON record a line.
        #[arg(long)]
        json: bool,
    },
    /// Check that no line was changed, dropped or moved.
    Check {
        /// The log. Default: `policy.log_file`.
        #[arg(long, value_name = "FILE")]
        log: Option<PathBuf>,
    },
}

/// A step of the ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Said {
    /// It goes through.
    Allow,
    /// It goes through later.
    Throttle,
    /// The user has to confirm it.
    StepUp,
    /// It does not go through.
    Deny,
}

impl From<Said> for Ladder {
    fn from(said: Said) -> Self {
        match said {
            Said::Allow => Self::Allow,
            Said::Throttle => Self::Throttle,
            Said::StepUp => Self::StepUp,
            Said::Deny => Self::Deny,
        }
    }
}

/// `vedette allow`.
#[derive(Debug, Args)]
pub struct AllowCommand {
    /// The allowlist. Default: `policy.allow_file`.
    #[arg(long, global = true, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What to do with it.
    #[command(subcommand)]
    pub task: AllowTask,
}

/// What to do with the allowlist.
#[derive(Debug, Subcommand)]
pub enum AllowTask {
    /// Add an entry. A running `vedette policy` takes it within a second.
    Add(Box<AllowAdd>),
    /// List the entries.
    List,
    /// Remove an entry.
    Remove {
        /// Its name.
        id: PolicyId,
    },
}

/// `vedette allow add`. What is left out of the scope matches everything.
#[derive(Debug, Args)]
pub struct AllowAdd {
    /// A name for it, shown in the reasons of decisions.
    #[arg(long, value_name = "NAME")]
    pub id: PolicyId,
    /// Calls of this tenant.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<String>,
    /// Calls of this agent; `planner` also covers `planner@3`.
    #[arg(long, value_name = "AGENT")]
    pub agent: Option<String>,
    /// Calls on behalf of this principal.
    #[arg(long, value_name = "PRINCIPAL")]
    pub principal: Option<String>,
    /// Calls of this session.
    #[arg(long, value_name = "SESSION")]
    pub session: Option<String>,
    /// Calls of this tool.
    #[arg(long, value_name = "TOOL")]
    pub tool: Option<String>,
    /// Calls that this policy would stop.
    #[arg(long, value_name = "POLICY")]
    pub policy: Option<String>,
    /// Who answers for it.
    #[arg(long, value_name = "WHO")]
    pub owner: String,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// When it ends: `30m`, `12h`, `7d`, at most a year.
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub expires: Duration,
}

fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "a time is a number and s, m, h or d, from 1s to 365d".to_owned();
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let whole = number.checked_mul(seconds).filter(|s| (1..=365 * 86_400).contains(s)).ok_or_else(wrong)?;
    Ok(Duration::from_secs(whole))
}
