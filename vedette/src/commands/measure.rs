//! `vedette measure`: what a model catches of a labelled set, when, and at what price.

use crate::cli::{Measure, Split};
use crate::commands::fit::{learn, sealed};
use crate::config::{ALPHA, Config};
use crate::failure::Failure;
use crate::figures::{Scored, figures, table};
use crate::scores::ScoreLine;
use crate::source::{self, Loaded, Selection};
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
    let loaded = source::load(&args.source, &args.set, args.results.as_deref(), args.hidden)?;
    let lines = match (&args.model, args.folds) {
        (Some(model), _) => scored(args, config, &loaded, crate::parts::model(model)?, args.fold)?,
        (None, folds) => out_of_fold(args, config, &loaded, folds.unwrap_or_default())?,
    };
    let labels = source::labels(&args.source, &args.set)?;
    let figures = figures(&joined(&lines, &labels), &SHARES, &ALPHAS);
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&figures).map_err(std::io::Error::other)?)?;
    } else {
        out.write_all(table(&figures).as_bytes())?;
    }
    Ok(())
}

fn scored(
    args: &Measure,
    config: &Config,
    loaded: &Loaded,
    model: Model,
    fold: Option<u8>,
) -> Result<Vec<ScoreLine>, Failure> {
    let parts = crate::parts::for_data_sets(config, Detector::new(model))?;
    let sessions = Selection { split: args.split, fold, not_fold: None }.of(&loaded.set)?;
    Ok(if args.inline {
        crate::judge::inline(&parts, loaded, &sessions)
    } else {
        crate::judge::judge(&parts, loaded, &sessions)
    })
}

/// Each fold's sessions by a model that learned from the other folds: no user task was seen in fitting. Learns from what
/// results ordinarily say, whatever view is measured.
fn out_of_fold(args: &Measure, config: &Config, loaded: &Loaded, folds: u8) -> Result<Vec<ScoreLine>, Failure> {
    let key = crate::parts::key_for_data_sets(config)?;
    let ordinary = match &args.results {
        Some(_) => Some(source::load(&args.source, &args.set, None, args.hidden)?),
        None => None,
    };
    let mut lines = Vec::new();
    for fold in 0..folds {
        let others = Selection { split: Split::Train, fold: None, not_fold: Some(fold) };
        let train = sealed(ordinary.as_ref().unwrap_or(loaded), &others, &key)?;
        lines.extend(scored(args, config, loaded, learn(&train, SEED)?, Some(fold))?);
    }
    Ok(lines)
}

/// Seed of the fits of [`out_of_fold`]: that of `vedette fit`.
const SEED: u64 = 7;

/// Scores by session, with the truth about each. A session without a label is left out.
pub fn joined(lines: &[ScoreLine], labels: &datasets::Labels) -> Vec<Scored> {
    let mut calls: HashMap<&str, Vec<&ScoreLine>> = HashMap::new();
    for line in lines {
        calls.entry(&line.session).or_default().push(line);
    }
    let mut scored = |label: &SessionLabel| {
        let mut calls = calls.remove(label.session.as_str())?;
        calls.sort_by_key(|line| line.seq);
        Some(Scored {
            label: word(&label.label),
            outcome: label.outcome.as_str().to_owned(),
            task: format!(
                "{}/{}",
                label.app.as_deref().unwrap_or("None"),
                label.user_task.as_deref().unwrap_or("None")
            ),
            from_seq: label.attack_from_seq.map(|seq| seq as usize),
            goal_seq: label.attack_goal_seq.map(|seq| seq as usize),
            risks: calls.iter().map(|line| line.risk.get()).collect(),
            p_values: calls.iter().map(|line| line.p_value.get()).collect(),
            first_flagged: calls.iter().position(|line| line.flagged),
        })
    };
    labels.sessions.iter().filter_map(&mut scored).collect()
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
