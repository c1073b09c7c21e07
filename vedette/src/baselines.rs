//! What the detector is measured beside (`vedette measure --compare`): methods of the literature that see which tools a
//! session calls and in what order, and the number of its calls. Nothing that judges traffic uses them.

mod markov; // chains of a fixed order
mod stide; // windows that were never seen

use markov::Markov;
use schema::NameHash;
use stide::Stide;

/// One method, learned from ordinary sessions.
pub enum Baseline {
    /// Windows that were never seen.
    Stide(Stide),
    /// A chain of fixed order.
    Markov(Markov),
    /// How many calls there were: what any score that only grows would show by itself.
    Length,
}

impl Baseline {
    /// Every method, learned from `sessions`: their tools, in order.
    pub fn all(sessions: &[Vec<NameHash>]) -> Vec<Self> {
        let chains = ORDERS.map(|order| Self::Markov(Markov::learn(sessions, order)));
        [Self::Stide(Stide::learn(sessions))].into_iter().chain(chains).chain([Self::Length]).collect()
    }

    /// As tables call it.
    pub fn name(&self) -> String {
        match self {
            Self::Stide(_) => format!("STIDE, windows of {}", stide::WINDOW),
            Self::Markov(chain) => format!("Markov chain of order {}", chain.order()),
            Self::Length => "number of calls".to_owned(),
        }
    }

    /// The score of each call of a session, from the calls up to it; higher is more anomalous, in the method's own unit.
    pub fn scores(&self, tools: &[NameHash]) -> Vec<f64> {
        match self {
            Self::Stide(stide) => stide.scores(tools),
            Self::Markov(chain) => chain.scores(tools),
            Self::Length => (1..=tools.len()).map(|calls| calls as f64).collect(),
        }
    }
}

/// Orders of the chains.
const ORDERS: [usize; 3] = [1, 2, 3];

/// Stands before a session's first call.
const START: NameHash = NameHash(0);

/// The last `N` of `tools[..=at]`, padded at the front.
fn last<const N: usize>(tools: &[NameHash], at: usize) -> [NameHash; N] {
    let mut window = [START; N];
    let newest_first = tools.iter().take(at + 1).rev();
    window.iter_mut().rev().zip(newest_first).for_each(|(slot, tool)| *slot = *tool);
    window
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn tools(names: &str) -> Vec<NameHash> {
        names.chars().map(|name| NameHash::of("tool", &name.to_string())).collect()
    }

    #[test]
    fn a_window_is_padded_where_the_session_is_young() {
        let abc = tools("abc");
        assert_eq!(last::<2>(&abc, 0), [START, abc[0]]);
        assert_eq!(last::<2>(&abc, 2), [abc[1], abc[2]]);
    }

    #[test]
    fn every_method_scores_every_call() {
        let methods = Baseline::all(&[tools("abab"), tools("abc")]);
        let names: Vec<String> = methods.iter().map(Baseline::name).collect();
        assert_eq!(
            names,
            [
                "STIDE, windows of 6",
                "Markov chain of order 1",
                "Markov chain of order 2",
                "Markov chain of order 3",
                "number of calls"
            ]
        );
        for method in &methods {
            for session in ["", "a", "abxabc"] {
                let scores = method.scores(&tools(session));
                assert_eq!(scores.len(), session.len(), "{}", method.name());
                assert!(scores.iter().all(|score| score.is_finite()), "{}", method.name());
            }
        }
        assert_eq!(methods.last().unwrap().scores(&tools("aaa")), [1.0, 2.0, 3.0]);
    }
}
