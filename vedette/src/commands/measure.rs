//! `vedette measure`: what a model catches of a labelled set, when, and at what price.

use crate::cli::Measure;
use crate::config::{ALPHA, Config};
use crate::failure::Failure;
use crate::figures::{Scored, figures, table};
use crate::scores::ScoreLine;
use crate::source::{self, Selection};
use datasets::labels::SessionLabel;
use detector::Detector;
use std::collections::HashMap;
use std::io::Write as _;

/// Shares of honest sessions flagged at which hijacks are counted.
const SHARES: [f64; 2] = [0.05, 0.01];

/// Scores, joins the labels, prints.
pub fn run(args: &Measure, config: &Config) -> Result<(), Failure> {
    let parts = crate::parts::for_data_sets(config, Detector::new(crate::parts::model(&args.model)?))?;
    let loaded = source::load(&args.source, &args.set, args.results.as_deref(), args.hidden)?;
    let sessions = Selection { split: args.split, fold: args.fold, not_fold: None }.of(&loaded.set)?;
    let lines = crate::judge::judge(&parts, &loaded, &sessions);
    let labels = source::labels(&args.source, &args.set)?;
    let figures = figures(&joined(&lines, &labels), &SHARES, ALPHA);
    let mut out = std::io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&figures).map_err(std::io::Error::other)?)?;
    } else {
        out.write_all(table(&figures).as_bytes())?;
    }
    Ok(())
}

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
