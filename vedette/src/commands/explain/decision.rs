//! `vedette explain ID`: one decision of the log, derived again from nothing but its record, the model and the policies.

use crate::cli::Explain;
use crate::commands::decisions;
use crate::config::Config;
use crate::failure::Failure;
use detector::Detector;
use policy::{PolicySet, Record, RestsOn};
use schema::{Decision, Digest, Ladder};
use std::io::Write as _;

/// Finds, derives, tells.
pub fn run(id: &str, args: &Explain, config: &Config) -> Result<(), Failure> {
    let path = decisions::file(args.log.as_ref(), config)?;
    let mut found = None;
    // A call that was asked about again stands there again: the last word counts.
    decisions::each(&path, |_, record| {
        if record.decision.id.as_str() == id {
            found = Some(record);
        }
    })?;
    let record = found.ok_or_else(|| Failure::NoDecision { path, id: id.to_owned() })?;
    let policies = crate::parts::policies(args.policies.as_deref().unwrap_or(&config.policy.file))?;
    let detector = crate::parts::detector(config, args.model.as_deref())?;
    let told = tell(&record, &policies, &detector);
    std::io::stdout().write_all(told.text.as_bytes())?;
    if told.same { Ok(()) } else { Err(Failure::Differs { id: id.to_owned() }) }
}

/// What came of it.
pub struct Told {
    /// For a person.
    pub text: String,
    /// Everything that could be derived came out to the same bits.
    pub same: bool,
}

/// Derives the decision of `record` again.
pub fn tell(record: &Record, policies: &PolicySet, detector: &Detector) -> Told {
    let decision = &record.decision;
    let mut text = format!(
        "call {}: {} (would {}), {:?} mode, by {}\n",
        decision.id,
        decisions::word(decision.decision),
        decisions::word(decision.would),
        decision.mode,
        decision.reasons.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ")
    );
    let Some(rests_on) = &record.rests_on else {
        text += "nothing was known in time: the route's fallback decided\n";
        return Told { text, same: true };
    };
    let mut same = true;
    let mut check = |what: &str, comes_out: Option<bool>| {
        let word = match comes_out {
            Some(true) => "the same",
            Some(false) => "OTHERWISE",
            None => "not derived",
        };
        same &= comes_out != Some(false);
        format!("{what}: {word}\n")
    };
    let verdict = &rests_on.verdict;
    text += &format!("tool {} of session {}\n", rests_on.call.tool, rests_on.call.session);
    text += &format!("risk {:.4}, p {:.4}\n", verdict.risk.get(), verdict.p_value.get());
    for evidence in &verdict.evidence {
        text += &format!("  - {}\n", super::sentence(evidence, &[]));
    }
    // A verdict of the principals' stage rests on more than this row, and one without a model on none.
    let from_row = (verdict.model == detector.digest() && verdict.pattern != schema::Pattern::Extraction)
        .then(|| detector.rescore(&rests_on.row, verdict.exposed))
        .flatten();
    text +=
        &check("risk and p-value from the features", from_row.map(|found| found == (verdict.risk, verdict.p_value)));
    let in_force = decision.policy == policies.digest();
    let again = in_force.then(|| rests_on.decide(policies, decision, record.at));
    text += &check("decision from the verdict", again.as_ref().map(|again| agrees(decision, again)));
    if verdict.model != detector.digest() && verdict.model != Digest([0; 32]) {
        text += &format!("the model in force was {}\n", verdict.model);
    }
    if !in_force {
        text += &format!("the policies in force were {}\n", decision.policy);
    }
    if let (Some(_), Some(again)) = (from_row, &again) {
        text += &flip(rests_on, record, again, policies, detector);
    }
    Told { text, same }
}

/// An allowance changes what was done and keeps the reasons behind its name.
fn agrees(logged: &Decision, again: &Decision) -> bool {
    match logged.reasons.first() {
        Some(first) if first.as_str().starts_with("allow:") => logged.reasons.iter().skip(1).eq(&again.reasons),
        _ => logged == again,
    }
}

/// The smallest change of the session that would turn the decision: one feature, brought part of the way to nothing.
fn flip(rests_on: &RestsOn, record: &Record, now: &Decision, policies: &PolicySet, detector: &Detector) -> String {
    let would = |row: &[f64]| -> Option<Ladder> {
        let (risk, p_value) = detector.rescore(row, rests_on.verdict.exposed)?;
        let mut other = rests_on.clone();
        (other.verdict.risk, other.verdict.p_value) = (risk, p_value);
        Some(other.decide(policies, &record.decision, record.at).would)
    };
    let mut smallest: Option<(f64, String)> = None;
    for (at, (name, meaning)) in detector::feature_meanings().enumerate() {
        let Some(value) = rests_on.row.get(at).copied().filter(|value| *value != 0.0) else { continue };
        for step in 1..=STEPS {
            let part = f64::from(step) / f64::from(STEPS);
            let mut row = rests_on.row.clone();
            if let Some(slot) = row.get_mut(at) {
                *slot = value * (1.0 - part);
            }
            let Some(other) = would(&row).filter(|other| *other != now.would) else { continue };
            if smallest.as_ref().is_none_or(|(least, _)| part < *least) {
                let to = value * (1.0 - part);
                let said = decisions::word(other);
                smallest = Some((part, format!("{meaning} ({name}) {to:.3} and not {value:.3}: {said}")));
            }
            break;
        }
    }
    match smallest {
        Some((_, change)) => format!("it would turn with {change}\n"),
        None => "no single feature brought to nothing would turn it\n".to_owned(),
    }
}

const STEPS: u32 = 20;
