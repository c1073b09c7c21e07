//! `vedette decisions`: the log, listed, summed up and checked.

use crate::cli::policy::{Decisions, DecisionsTask};
use crate::config::Config;
use crate::failure::Failure;
use policy::{Chain, Record};
use schema::{Ladder, Millis, PolicyId};
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

/// Lists or checks.
pub fn run(args: &Decisions, config: &Config) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match &args.task {
        DecisionsTask::List { log, last, only, session, json } => {
            let path = file(log.as_ref(), config)?;
            let (mut kept, mut sum) = (VecDeque::new(), Sum::default());
            each(&path, |text, record| {
                sum.add(&record);
                let rests = record.rests_on.as_ref();
                let wanted = only.is_none_or(|said| record.decision.would == Ladder::from(said))
                    && session.as_deref().is_none_or(|name| rests.is_some_and(|r| r.call.session.as_str() == name));
                if wanted && *last > 0 {
                    if kept.len() >= *last {
                        kept.pop_front();
                    }
                    kept.push_back(if *json { text.to_owned() } else { line(&record) });
                }
            })?;
            for line in kept {
                writeln!(out, "{line}")?;
            }
            if !json {
                writeln!(out, "{sum}")?;
            }
        }
        DecisionsTask::Check { log } => {
            let path = file(log.as_ref(), config)?;
            let mut lines = 0u64;
            each(&path, |_, _| lines += 1)?;
            writeln!(out, "{lines} decisions, none changed, dropped or moved")?;
        }
    }
    Ok(())
}

/// The log that a command line names, else the configuration's.
pub fn file(named: Option<&PathBuf>, config: &Config) -> Result<PathBuf, Failure> {
    match named.unwrap_or(&config.policy.log_file) {
        none if none.as_os_str().is_empty() => {
            Err(Failure::NoFile { what: "the decision log", flag: "--log", key: "policy.log_file" })
        }
        path => Ok(path.clone()),
    }
}

/// Every record of a log, checked against the one before. A last line that is still being written is left out.
pub fn each(path: &Path, mut see: impl FnMut(&str, Record)) -> Result<(), Failure> {
    let failed = |source| Failure::Read { path: path.into(), source };
    let mut lines = BufReader::new(std::fs::File::open(path).map_err(failed)?);
    let (mut chain, mut text, mut at) = (Chain::default(), String::new(), 0);
    loop {
        text.clear();
        lines.read_line(&mut text).map_err(failed)?;
        let Some(whole) = text.strip_suffix('\n') else { return Ok(()) };
        at += 1;
        let record = chain.read(whole, at).map_err(|source| Failure::Log { path: path.into(), source })?;
        see(whole, record);
    }
}

fn line(record: &Record) -> String {
    let decision = &record.decision;
    let (session, tool) =
        record.rests_on.as_ref().map_or(("?", "?"), |r| (r.call.session.as_str(), r.call.tool.as_str()));
    let said = match (decision.decision, decision.would) {
        (done, would) if done == would => word(done).to_owned(),
        (done, would) => format!("{} (would {})", word(done), word(would)),
    };
    let degraded = if decision.degraded { "  degraded" } else { "" };
    let because: Vec<&str> = decision.reasons.iter().map(PolicyId::as_str).collect();
    format!("{}  {said}  {}  {session}  {tool}  {}{degraded}", time(record.at), decision.id, because.join(","))
}

/// What enforcing would have stopped.
#[derive(Default)]
struct Sum {
    calls: u64,
    stopped: BTreeMap<Ladder, u64>,
    because: BTreeMap<PolicyId, u64>,
}

impl Sum {
    fn add(&mut self, record: &Record) {
        self.calls += 1;
        if record.decision.would > Ladder::Allow {
            *self.stopped.entry(record.decision.would).or_default() += 1;
            if let Some(first) = record.decision.reasons.first() {
                *self.because.entry(first.clone()).or_default() += 1;
            }
        }
    }
}

impl std::fmt::Display for Sum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = |ladder| self.stopped.get(&ladder).copied().unwrap_or(0);
        let (deny, step_up, throttle) = (of(Ladder::Deny), of(Ladder::StepUp), of(Ladder::Throttle));
        write!(f, "would have denied {deny} of {}, asked the user about {step_up}, throttled {throttle}", self.calls)?;
        let mut because: Vec<_> = self.because.iter().collect();
        because.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let because: Vec<String> = because.into_iter().map(|(id, count)| format!("{id} ({count})")).collect();
        if because.is_empty() { Ok(()) } else { write!(f, ", because of {}", because.join(", ")) }
    }
}

/// As in headers and records.
pub fn word(ladder: Ladder) -> &'static str {
    match ladder {
        Ladder::Allow => "allow",
        Ladder::Throttle => "throttle",
        Ladder::StepUp => "step_up",
        Ladder::Deny => "deny",
    }
}

/// UTC, to the second.
fn time(at: Millis) -> String {
    let Ok(t) = time::OffsetDateTime::from_unix_timestamp((at.0 / 1_000) as i64) else { return at.0.to_string() };
    let (year, month, day) = (t.year(), u8::from(t.month()), t.day());
    format!("{year}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", t.hour(), t.minute(), t.second())
}
