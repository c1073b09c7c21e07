//! `vedette redteam`: attackers who adapt to the deployed model, and what it costs them to be overlooked.
//!
//! Nothing recorded of an attacker is used: a hijack is another honest session's task, put into a result in varied
//! wordings, and the search moves what it can until no call up to the goal is flagged.

use crate::cli::RedTeam;
use crate::config::Config;
use crate::failure::Failure;
use crate::source::{self, Selection};
use datasets::attack_lab::search::Summary;
use datasets::labels::Outcome;
use detector::Detector;
use schema::RawCall;
use serde::Serialize;
use std::collections::HashSet;
use std::io::Write as _;

mod extraction; // a model copied through its API, algorithm by algorithm
mod hijacks; // searches against the detector

/// What came of the attacks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Share of clean sessions that may be flagged.
    pub alpha: f64,
    /// Tries a hijack had.
    pub tries: u32,
    /// Seed of all chance.
    pub seed: u64,
    /// Searches; none where no session can carry another's task.
    pub hijacks: Option<Summary>,
    /// By algorithm; empty where the set has no queries of a model with answers.
    pub extraction: Vec<extraction::Copied>,
}

/// Attacks and tells.
pub fn run(args: &RedTeam, config: &Config) -> Result<(), Failure> {
    let parts = crate::parts::for_data_sets(config, Detector::new(crate::parts::model(&args.model)?))?;
    let loaded = source::load(&args.source, &args.set, None, args.hidden)?;
    let clean: HashSet<String> = source::labels(&args.source, &args.set)?
        .sessions
        .into_iter()
        .filter(|label| label.label == datasets::labels::Label::Benign)
        .filter(|label| matches!(label.outcome, Outcome::Clean | Outcome::Other(_)))
        .map(|label| label.session.as_str().to_owned())
        .collect();
    let selection = Selection { split: args.split, fold: args.fold, not_fold: None };
    let sessions: Vec<Vec<RawCall>> = selection
        .of(&loaded.set)?
        .into_iter()
        .map(|calls| calls.into_iter().filter_map(|at| loaded.set.calls.get(at).cloned()).collect::<Vec<RawCall>>())
        .filter(|calls| calls.first().is_some_and(|call| clean.contains(call.session.as_str())))
        .collect();
    let report = Report {
        alpha: parts.alpha,
        tries: args.tries,
        seed: args.seed,
        hijacks: hijacks::search_all(&parts, &sessions, args),
        extraction: extraction::copy_all(&parts, &sessions, args.seed),
    };
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&report).map_err(std::io::Error::other)?)?;
    } else {
        out.write_all(told(&report).as_bytes())?;
    }
    Ok(())
}

/// The report as a person reads it.
pub fn told(report: &Report) -> String {
    let mut out = format!("seed {}; flagged = at most {} of clean sessions ever are\n", report.seed, report.alpha);
    match &report.hijacks {
        None => out += "hijacks: no session here can carry another's task (that takes results and missions)\n",
        Some(hijacks) => {
            let median = hijacks.median_tries.map_or("-".to_owned(), |tries| tries.to_string());
            out += &format!(
                "hijacks: {} searched, {:.1} % overlooked at the first try, {:.1} % within {} tries; median {median} tries of those\n",
                hijacks.hijacks,
                100.0 * hijacks.evaded_at_once,
                100.0 * hijacks.evaded,
                report.tries,
            );
        }
    }
    for copied in &report.extraction {
        let median = copied.median_queries.map_or("-".to_owned(), |queries| queries.to_string());
        out += &format!(
            "extraction, {:<16} {:>3} of {:>3} clients caught within {} queries, median {median}\n",
            copied.attack, copied.caught, copied.clients, copied.budget,
        );
    }
    out
}
