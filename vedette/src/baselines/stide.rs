//! STIDE: the share of a session's recent windows of calls that no ordinary session has.
//! Source: Forrest, Hofmeyr, Somayaji, Longstaff, "A sense of self for Unix processes", S&P 1996; the locality frame is of
//! Hofmeyr, Forrest, Somayaji, "Intrusion detection using sequences of system calls", J. Comput. Secur. 6(3), 1998.

use super::last;
use schema::NameHash;
use std::collections::{HashSet, VecDeque};

/// Calls of a window, as in both papers.
pub(super) const WINDOW: usize = 6;
/// Windows of a locality frame, ibid. 1998.
const FRAME: usize = 20;

/// Every window of the sessions learned from. A session's first windows are padded, so that short ones have some.
pub struct Stide {
    seen: HashSet<[NameHash; WINDOW]>,
}

impl Stide {
    pub(super) fn learn(sessions: &[Vec<NameHash>]) -> Self {
        let windows = |tools: &Vec<NameHash>| (0..tools.len()).map(|at| last(tools, at)).collect::<Vec<_>>();
        Self { seen: sessions.iter().flat_map(windows).collect() }
    }

    /// Of each call: windows of the frame that ends there and were never seen, as a share of a whole frame.
    pub(super) fn scores(&self, tools: &[NameHash]) -> Vec<f64> {
        let mut frame = VecDeque::with_capacity(FRAME);
        let mut missed = 0;
        let score = |at: usize| {
            let miss = usize::from(!self.seen.contains(&last(tools, at)));
            let gone = if frame.len() == FRAME { frame.pop_front().unwrap_or(0) } else { 0 };
            frame.push_back(miss);
            missed = missed + miss - gone;
            missed as f64 / FRAME as f64
        };
        (0..tools.len()).map(score).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::tools;
    use super::*;

    #[test]
    fn a_window_is_missed_from_the_odd_call_on_until_that_leaves_it() {
        let stide = Stide::learn(&[tools("abababababab")]);
        assert_eq!(stide.scores(&tools("ababab")), [0.0; 6]);
        // x is in six windows.
        let odd = stide.scores(&tools("abxabababab"));
        let expected = [0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.0, 6.0, 6.0].map(|missed| missed / 20.0);
        assert_eq!(odd, expected);
    }

    #[test]
    fn what_was_missed_leaves_the_frame_after_twenty_calls() {
        let stide = Stide::learn(&[tools(&"ab".repeat(20))]);
        let odd = stide.scores(&tools(&format!("x{}", "ab".repeat(20))));
        assert_eq!((odd[0], odd[5], odd[19]), (0.05, 0.3, 0.3));
        // The windows with the odd call are the first six; the last of them leaves with call 25.
        assert_eq!((odd[20], odd[24], odd[25]), (0.25, 0.05, 0.0));
    }

    #[test]
    fn nothing_learned_is_nothing_seen() {
        assert_eq!(Stide::learn(&[]).scores(&tools("ab")), [0.05, 0.1]);
    }
}
