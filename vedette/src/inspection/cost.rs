//! What a log cannot show costs, in README's figures.

/// In time at 5 % and at 1 % of benign sessions flagged, in percent, on agentdojo.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct InTime {
    /// At 5 %.
    pub at_5: f64,
    /// At 1 %.
    pub at_1: f64,
}

/// The figures of README's table, from README itself, so that the two cannot part. Row by what the log carries.
pub fn in_time(carries: &str) -> Option<InTime> {
    let row = README.lines().find(|line| line.strip_prefix("| ").is_some_and(|rest| rest.starts_with(carries)))?;
    let (at_5, at_1) = row.split('|').nth(2)?.trim().split_once(" / ")?;
    Some(InTime { at_5: at_5.parse().ok()?, at_1: at_1.parse().ok()? })
}

/// Everything.
pub const ALL: &str = "calls, missions and results";
/// Without what the users asked.
pub const NO_MISSIONS: &str = "calls and results, no missions";
/// Without what came back.
pub const NO_RESULTS: &str = "calls and missions, no results";

const README: &str = include_str!("../../../README.md");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readmes_table_has_the_rows_that_inspect_quotes() {
        for row in [ALL, NO_MISSIONS, NO_RESULTS] {
            let found =
                in_time(row).unwrap_or_else(|| panic!("README's table has no row `{row}` with `a / b` figures"));
            assert!((0.0..=100.0).contains(&found.at_5) && found.at_1 <= found.at_5, "{row}: {found:?}");
        }
        assert!(in_time(ALL).unwrap().at_5 > in_time(NO_RESULTS).unwrap().at_5);
        assert_eq!(in_time("tea leaves"), None);
    }
}
