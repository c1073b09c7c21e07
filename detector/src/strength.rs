//! How much a sentence reads like an instruction: a logistic over structural cues, with its neighbours.
//!
//! The weights are grammar's: how orders are formed, not what they are about.

use schema::{Cues, Sentence};
use serde::{Deserialize, Serialize};

/// Weights of the cues, in logits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Strength {
    bias: f64,
    weights: [f64; Cues::COUNT as usize],
}

/// Strength from which a session counts as exposed.
pub(crate) const EXPOSED: f64 = 0.5;

/// Part of a neighbour's strength that a sentence inherits when the neighbour addresses the reader.
const NEIGHBOUR: f64 = 0.9;

impl Default for Strength {
    fn default() -> Self {
        let mut weights = [0.0; Cues::COUNT as usize];
        for (cue, weight) in [
            (Cues::IMPERATIVE, 2.0),
            (Cues::ADDRESSES, 1.0),
            (Cues::MODAL, 1.5),
            (Cues::AUTHOR, 0.4),
            (Cues::STEPS, 0.5),
            (Cues::PROSE, 0.7),
            (Cues::HANDLE, 0.3),
            (Cues::FIELD, -0.8),
            (Cues::QUESTION, -0.2),
            (Cues::HIDDEN, 1.5),
            (Cues::ENCODED, 1.5),
            (Cues::CAPITALS, 0.3),
        ] {
            if let Some(slot) = weights.get_mut(cue.0.trailing_zeros() as usize) {
                *slot = weight;
            }
        }
        Self { bias: -2.4, weights }
    }
}

impl Strength {
    /// Strength of one sentence by itself, 0..1.
    pub(crate) fn of(&self, cues: Cues) -> f64 {
        let logit = self
            .weights
            .iter()
            .enumerate()
            .fold(self.bias, |sum, (bit, weight)| if cues.0 >> bit & 1 == 1 { sum + weight } else { sum });
        sigmoid(logit)
    }

    /// Strength of each sentence of a text, in order: its own, or most of a neighbour's that addresses the reader.
    pub(crate) fn of_text(&self, sentences: &[Sentence]) -> Vec<f64> {
        let own: Vec<f64> = sentences.iter().map(|s| self.of(s.cues)).collect();
        let lends = |at: usize| match (sentences.get(at), own.get(at)) {
            (Some(s), Some(strength)) if s.cues.has(Cues::ADDRESSES) || s.cues.has(Cues::IMPERATIVE) => {
                NEIGHBOUR * strength
            }
            _ => 0.0,
        };
        own.iter()
            .enumerate()
            .map(|(at, strength)| strength.max(lends(at + 1)).max(at.checked_sub(1).map_or(0.0, lends)))
            .collect()
    }
}

/// Logistic function, by libm for equal bits everywhere.
pub(crate) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-logit))
}
