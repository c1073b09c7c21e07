//! Figures as a person reads them.

use super::{Compared, Figures};
use std::fmt::Write as _;

/// The figures, a dozen lines and one for each user task.
pub fn table(figures: &Figures) -> String {
    let mut out = String::new();
    // INVARIANT: writing to a `String` does not fail.
    let _ = write_table(&mut out, figures);
    out
}

fn write_table(out: &mut String, figures: &Figures) -> std::fmt::Result {
    let counted: Vec<String> = figures.sessions.iter().map(|(outcome, n)| format!("{outcome} {n}")).collect();
    writeln!(out, "sessions: {}", counted.join(", "))?;
    writeln!(out)?;
    if figures.attacks.sessions.0 > 0 {
        let (roc, pr) = (percent(figures.attacks.roc_auc), percent(figures.attacks.pr_auc));
        writeln!(out, "all attacks against all honest sessions: ROC area {roc}, precision-recall area {pr}")?;
        for (share, outcomes) in &figures.attacks.at {
            for (outcome, caught) in outcomes {
                let calls = number(caught.calls_to_detection);
                writeln!(
                    out,
                    "  {:>5} of honest sessions flagged: {outcome:<18} {} of {:>5} caught, {calls} calls to detection",
                    percent(share.parse().ok()).trim(),
                    percent(Some(caught.caught)),
                    caught.sessions,
                )?;
            }
        }
        writeln!(out)?;
    }
    if figures.benign.values().any(|group| group.auc_succeeded.is_some()) {
        writeln!(out, "hijacks that succeeded, in % (in time: at or before the call that carries the goal)")?;
        writeln!(
            out,
            "honest    flagged   ROC     PR | flagged at all  in time  at first | by task (tasks) | calls | threshold"
        )?;
        for (name, group) in &figures.benign {
            for (share, at) in &group.at {
                writeln!(
                    out,
                    "{name:<9} {:>7} {} {} | {:>14}  {:>7}  {:>8} | {:>7} ({:>4})  | {:>5} | {}",
                    percent(share.parse().ok()).trim(),
                    percent(group.auc_succeeded),
                    percent(group.pr_auc_succeeded),
                    percent(at.any),
                    percent(at.goal),
                    percent(at.from),
                    percent(at.goal_by_task),
                    at.tasks,
                    number(at.calls_to_detection),
                    at.threshold.map_or("-".into(), |threshold| format!("{threshold:.6}")),
                )?;
            }
        }
        writeln!(out)?;
        if let Some((share, at)) = figures.benign.get("pooled").and_then(|group| group.at.last_key_value()) {
            writeln!(
                out,
                "in time by user task, {} of all honest sessions flagged",
                percent(share.parse().ok()).trim()
            )?;
            for (task, (goal, hijacks)) in &at.goal_per_task {
                writeln!(out, "  {task:<32} {} of {hijacks}", percent(Some(*goal)))?;
            }
            writeln!(out)?;
        }
    }
    write_compared(out, &figures.compared)?;
    for promise in &figures.promises {
        writeln!(
            out,
            "promised: at most{} % of clean sessions flagged; measured:{} %{}; hijacks in time:{} %{}",
            percent(Some(promise.promised)),
            percent(promise.measured),
            between(promise.interval),
            percent(promise.goal),
            between(promise.goal_interval),
        )?;
        for (outcome, share) in &promise.flagged {
            writeln!(out, "  flagged of {outcome:<18} {}", percent(Some(*share)))?;
        }
    }
    Ok(())
}

/// Several methods on the same sessions: hijacks in time where there are any, else all attacks.
fn write_compared(out: &mut String, compared: &[Compared]) -> std::fmt::Result {
    let Some(first) = compared.first() else { return Ok(()) };
    let hijacks = first.auc_succeeded.is_some();
    let of = if hijacks { "hijacks in time" } else { "all attacks caught" };
    writeln!(out, "several methods on the same sessions, in % ({of})")?;
    let flagged = first.in_time.keys().map(|share| format!("{:>7} flagged", percent(share.parse().ok()).trim()));
    writeln!(out, "{:<28} {:>7}{}", "method", "ROC", flagged.collect::<String>())?;
    for row in compared {
        let (area, caught) = match hijacks {
            true => (row.auc_succeeded, row.in_time.values().copied().collect::<Vec<_>>()),
            false => (row.auc_attacks, row.caught.values().copied().collect()),
        };
        let caught = caught.into_iter().map(|share| format!("{:>15}", percent(share)));
        writeln!(out, "{:<28} {:>7}{}", row.method, percent(area), caught.collect::<String>())?;
    }
    writeln!(out)
}

fn percent(share: Option<f64>) -> String {
    share.map_or("    - ".into(), |share| format!("{:6.1}", share * 100.0))
}

fn between(interval: Option<(f64, f64)>) -> String {
    interval.map_or_else(String::new, |(low, high)| format!(" ({:.1} to {:.1} over tasks)", 100.0 * low, 100.0 * high))
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value}"))
}
