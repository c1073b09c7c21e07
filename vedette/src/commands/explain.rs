//! `vedette explain`: one session, call by call, in words.

use crate::cli::Explain;
use crate::config::Config;
use crate::failure::{DataSetFailure, Failure};
use crate::scores::ScoreLine;
use crate::source::{self, Selection};
use schema::{Evidence, Pattern, RawCall, Source};
use std::io::Write as _;

pub mod decision; // one decision of the log, derived again

/// Judges and tells; of a logged decision, derives it again and tells.
pub fn run(args: &Explain, config: &Config) -> Result<(), Failure> {
    if let Some(id) = &args.id {
        return decision::run(id, args, config);
    }
    let parts = crate::parts::for_data_sets(config, crate::parts::detector(config, args.model.as_deref())?)?;
    let loaded = source::load(&args.source, &args.set, args.results.as_deref(), args.hidden)?;
    let mut sessions = Selection::default().of(&loaded.set)?;
    // Without times sessions are independent, so the others need not be judged.
    if let Some(wanted) = args.session.as_deref().filter(|_| !loaded.set.timed) {
        sessions.retain(|calls| session_of(&loaded.set.calls, calls) == Some(wanted));
    }
    let lines = crate::judge::judge(&parts, &loaded, &sessions);
    let riskiest =
        || lines.iter().max_by(|a, b| a.risk.get().total_cmp(&b.risk.get())).map(|line| line.session.clone());
    let session = args.session.clone().or_else(riskiest).unwrap_or_default();
    let calls: Vec<&RawCall> = loaded.set.calls.iter().filter(|call| call.session.as_str() == session).collect();
    let lines: Vec<&ScoreLine> = lines.iter().filter(|line| line.session == session).collect();
    if lines.is_empty() {
        return Err(DataSetFailure::NoSession { set: args.set.clone(), session }.into());
    }
    std::io::stdout().write_all(told(&session, &calls, &lines).as_bytes())?;
    Ok(())
}

/// The session as a person reads it. Names of tools and arguments only: no value of any call.
pub fn told(session: &str, calls: &[&RawCall], lines: &[&ScoreLine]) -> String {
    let agent = calls.first().map_or("unknown", |call| call.agent.as_str());
    let mut out = format!("session {session} of {agent}, {} calls\n", lines.len());
    for (call, line) in calls.iter().zip(lines) {
        let flag = match (line.flagged, line.pattern) {
            (false, _) => String::new(),
            (true, Pattern::None) => "  FLAGGED".to_owned(),
            (true, pattern) => format!("  FLAGGED as {}", word(pattern)),
        };
        out += &format!(
            "\n{:>4}  {:<32} risk {:.4}  p {:.4}{flag}\n",
            line.seq,
            call.tool.as_str(),
            line.risk.get(),
            line.p_value.get()
        );
        for evidence in &line.evidence {
            out += &format!("      - {}\n", sentence(evidence, calls));
        }
    }
    out
}

/// A pattern's word.
pub fn word(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::None => "none",
        Pattern::Injection => "injection",
        Pattern::Extraction => "extraction",
        Pattern::Abuse => "abuse",
    }
}

/// One reason in words.
pub fn sentence(evidence: &Evidence, calls: &[&RawCall]) -> String {
    let place = |from: &Source| {
        let tool = calls.get(from.call as usize).map_or("?", |call| call.tool.as_str());
        format!("sentence {} of what call {} ({tool}) returned", from.sentence, from.call)
    };
    match evidence {
        Evidence::Value { leaf, from, strength, share } => {
            let place = place(from);
            format!(
                "`{leaf}` has a value from {place}, which reads like an instruction ({strength:.2}): {}",
                part(*share)
            )
        }
        Evidence::Restatement { from, strength, share } => {
            let place = place(from);
            format!("it does what {place} says, which reads like an instruction ({strength:.2}): {}", part(*share))
        }
        Evidence::Edge { from: Some(from), to, p, share } => {
            format!("`{to}` follows `{from}` with probability {p:.4}: {}", part(*share))
        }
        Evidence::Edge { from: None, to, p, share } => {
            format!("a session begins with `{to}` with probability {p:.4}: {}", part(*share))
        }
        Evidence::Feature { name, value, share } => {
            let known = detector::feature_meanings().find(|(known, _)| known == name);
            let meaning = known.map_or(name.as_str(), |(_, meaning)| meaning);
            format!("{meaning} ({name} = {value:.3}): {}", part(*share))
        }
    }
}

fn part(share: f64) -> String {
    format!("{:.0} % of the score", share * 100.0)
}

fn session_of<'a>(all: &'a [RawCall], calls: &[usize]) -> Option<&'a str> {
    calls.first().and_then(|index| all.get(*index)).map(|call| call.session.as_str())
}
