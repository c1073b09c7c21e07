//! `vedette measure`: what a model catches of a labelled set, when, and at what price.

mod compare; // beside other methods

use crate::cli::{Measure, Split};
use crate::commands::fit::{learn, sealed};
use crate::config::{ALPHA, Config};
use crate::failure::Failure;
use crate::figures::{Figures, Scored, figures, table};
use crate::scores::ScoreLine;
use crate::source::{self, Loaded, Selection};
use compare::Beside;
use datasets::labels::SessionLabel;
use detector::{Detector, Model};
use std::collections::HashMap;
use std::io::Write as _;

/// Shares of honest sessions flagged at which hijacks are counted.
const SHARES: [f64; 2] = [0.05, 0.01];

/// Promises printed: the shipped one, and a wider one beside it.
const ALPHAS: [f64; 2] = [ALPHA, 0.05];

/// Scores, joins the labels, prints.
pub fn run(args: &Measure, config: &Config) -> Result<(), Failure> {
    let loaded = source::load(&args.of.source, &args.of.set, args.of.results.as_deref(), args.of.hidden)?;
    let mut beside = Beside::default();
    let lines = match (&args.model, args.folds) {
        (Some(model), _) => {
            let others = Selection { split: Split::Train, fold: None, not_fold: args.of.fold };
            scored(args, config, &loaded, crate::parts::model(model)?, (args.of.fold, &others), &mut beside)?
        }
        (None, folds) => out_of_fold(args, config, &loaded, folds.unwrap_or_default(), &mut beside)?,
    };
    let labels = source::labels(&args.of.source, &args.of.set)?;
    let figures =
        Figures { compared: beside.figures(&labels, &SHARES), ..figures(&joined(&lines, &labels), &SHARES, &ALPHAS) };
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&figures).map_err(std::io::Error::other)?)?;
    } else {
        out.write_all(table(&figures).as_bytes())?;
    }
    Ok(())
}

/// The sessions of `fold` by `model`; with `--compare` also by methods that learn from the sessions of `others`.
fn scored(
    args: &Measure,
    config: &Config,
    loaded: &Loaded,
    model: Model,
    (fold, others): (Option<u8>, &Selection),
    beside: &mut Beside,
) -> Result<Vec<ScoreLine>, Failure> {
    let parts = crate::parts::for_data_sets(config, Detector::new(model))?;
    let sessions = Selection { split: args.of.split, fold, not_fold: None }.of(&loaded.set)?;
    Ok(match (args.inline, args.compare) {
        (true, _) => crate::judge::inline(&parts, loaded, &sessions),
        (false, true) => beside.judge(&parts, loaded, &sessions, others)?,
        (false, false) => crate::judge::judge(&parts, loaded, &sessions),
    })
}

/// Each fold's sessions by a model that learned from the other folds: no user task was seen in fitting. Learns from what
/// results ordinarily say, whatever view is measured.
fn out_of_fold(
    args: &Measure,
    config: &Config,
    loaded: &Loaded,
    folds: u8,
    beside: &mut Beside,
) -> Result<Vec<ScoreLine>, Failure> {
    let key = crate::parts::key_for_data_sets(config)?;
    let ordinary = match &args.of.results {
        Some(_) => Some(source::load(&args.of.source, &args.of.set, None, args.of.hidden)?),
        None => None,
    };
    let mut lines = Vec::new();
    for fold in 0..folds {
        let others = Selection { split: Split::Train, fold: None, not_fold: Some(fold) };
        let train = sealed(ordinary.as_ref().unwrap_or(loaded), &others, &key)?;
        lines.extend(scored(args, config, loaded, learn(&train, SEED)?, (Some(fold), &others), beside)?);
    }
    Ok(lines)
}

/// Seed of the fits of [`out_of_fold`]: that of `vedette fit`.
const SEED: u64 = 7;

/// Scores by session, with the truth about each. A session without a label is left out.
pub fn joined(lines: &[ScoreLine], labels: &datasets::Labels) -> Vec<Scored> {
    let calls = lines.iter().map(|line| (line.session.as_str(), line.seq, line));
    let scored = |(label, calls): (&SessionLabel, Vec<&ScoreLine>)| Scored {
        risks: calls.iter().map(|line| line.risk.get()).collect(),
        p_values: calls.iter().map(|line| line.p_value.get()).collect(),
        first_flagged: calls.iter().position(|line| line.flagged),
        ..truth(label)
    };
    by_session(calls, labels).into_iter().map(scored).collect()
}

/// The same of scores alone: session, place in it, score.
fn joined_by<'c>(calls: impl Iterator<Item = (&'c str, u64, f64)>, labels: &datasets::Labels) -> Vec<Scored> {
    let scored = |(label, risks)| Scored { risks, ..truth(label) };
    by_session(calls, labels).into_iter().map(scored).collect()
}

/// What is said of the calls of each labelled session, in their order.
fn by_session<'c, 'l, T>(
    calls: impl Iterator<Item = (&'c str, u64, T)>,
    labels: &'l datasets::Labels,
) -> Vec<(&'l SessionLabel, Vec<T>)> {
    let mut sessions: HashMap<&str, Vec<(u64, T)>> = HashMap::new();
    for (session, seq, said) in calls {
        sessions.entry(session).or_default().push((seq, said));
    }
    let mut of = |label: &'l SessionLabel| {
        let mut calls = sessions.remove(label.session.as_str())?;
        calls.sort_by_key(|(seq, _)| *seq);
        Some((label, calls.into_iter().map(|(_, said)| said).collect()))
    };
    labels.sessions.iter().filter_map(&mut of).collect()
}

/// A session of which nothing is said yet.
fn truth(label: &SessionLabel) -> Scored {
    Scored {
        label: word(&label.label),
        outcome: label.outcome.as_str().to_owned(),
        task: format!("{}/{}", label.app.as_deref().unwrap_or("None"), label.user_task.as_deref().unwrap_or("None")),
        from_seq: label.attack_from_seq.map(|seq| seq as usize),
        goal_seq: label.attack_goal_seq.map(|seq| seq as usize),
        risks: Vec::new(),
        p_values: Vec::new(),
        first_flagged: None,
    }
}

/// The label's word, as in the files.
fn word(label: &datasets::labels::Label) -> String {
    use datasets::labels::Label;
    match label {
        Label::Benign => "benign",
        Label::Injection => "injection",
        Label::Extraction => "extraction",
        Label::Attack => "attack",
        Label::Anomaly => "anomaly",
    }
    .to_owned()
}
