//! Long work says how far it is: a bar on a terminal, a plain line every tenth elsewhere. Always on standard error, so
//! that what a command answers stays clean.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;

/// How far one piece of work is.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    total: u64,
    done: u64,
    shown: u64,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// `total` steps of `what` lie ahead, e.g. `scoring calls`.
    pub fn start(what: &'static str, total: usize) -> Self {
        let total = total as u64;
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            // INVARIANT: the template is a literal that a test parses; a bar of the default style is no loss.
            if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                bar.set_style(style);
            }
            bar.with_message(what)
        });
        Self { what, total, done: 0, shown: 0, bar }
    }

    /// `steps` more are done.
    pub fn advance(&mut self, steps: usize) {
        self.done += steps as u64;
        match &self.bar {
            Some(bar) => bar.set_position(self.done),
            None => {
                if let Some(line) = self.line() {
                    eprintln!("{line}");
                }
            }
        }
    }

    /// The work is over; the bar goes away.
    pub fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// A line when another tenth is reached.
    fn line(&mut self) -> Option<String> {
        let tenth = (self.done * 10).checked_div(self.total)?.min(10);
        (tenth > self.shown).then(|| {
            self.shown = tenth;
            format!("{}: {} of {}", self.what, grouped(self.done), grouped(self.total))
        })
    }
}

/// `44192` as a person reads it: `44,192`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

const TEMPLATE: &str = "{msg} {wide_bar} {human_pos} of {human_len} {eta}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_template_parses() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }

    #[test]
    fn elsewhere_than_on_a_terminal_a_line_comes_every_tenth() {
        let mut progress = Progress { what: "scoring calls", total: 2_000, done: 0, shown: 0, bar: None };
        let mut lines = Vec::new();
        for _ in 0..2_000 {
            progress.done += 1;
            lines.extend(progress.line());
        }
        assert_eq!(lines.len(), 10);
        assert_eq!(lines[9], "scoring calls: 2,000 of 2,000");
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
