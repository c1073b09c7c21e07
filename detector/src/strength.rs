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
        sigmoid(self.logit(cues))
    }

    /// Whether a sentence of that kind by itself exposes a session to it.
    pub(crate) fn exposes(&self, cues: Cues) -> bool {
        self.logit(cues) >= 0.0 // where the logistic function is `EXPOSED`
    }

    fn logit(&self, cues: Cues) -> f64 {
        let weights = self.weights.iter().enumerate();
        weights.fold(self.bias, |sum, (bit, weight)| if cues.0 >> bit & 1 == 1 { sum + weight } else { sum })
    }

    /// Strengths of each sentence of a text, in order.
    pub(crate) fn of_text(&self, sentences: &[Sentence]) -> Vec<Strengths> {
        let own: Vec<f64> = sentences.iter().map(|s| self.of(s.cues)).collect();
        let at = |at: Option<usize>| at.and_then(|at| Some((sentences.get(at)?.cues, *own.get(at)?)));
        let (orders, requests) =
            (|c: Cues| c.has(Cues::ADDRESSES) || c.has(Cues::IMPERATIVE), |c: Cues| c.has(Cues::MODAL));
        own.iter()
            .enumerate()
            .map(|(n, strength)| {
                let (mut near, mut block) = (*strength, 0.0);
                for distance in 1..=BLOCK {
                    let share = 1.0 - 0.2 * (distance - 1) as f64;
                    for (cues, other) in
                        [at(n.checked_sub(distance)), at(n.checked_add(distance))].into_iter().flatten()
                    {
                        block += share * other * if orders(cues) || requests(cues) { 1.0 } else { 0.5 };
                        if distance == 1 && orders(cues) {
                            near = near.max(NEIGHBOUR * other);
                        }
                    }
                }
                let passage = 1.0 - libm::exp(-(NEAR_RATE * near + BLOCK_RATE * block));
                Strengths { own: *strength, near, block, passage }
            })
            .collect()
    }
}

/// How instruction-like a sentence of a text is, 0..1 each but `block`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Strengths {
    /// By itself.
    pub(crate) own: f64,
    /// Its own, or most of a direct neighbour's that addresses the reader or orders.
    pub(crate) near: f64,
    /// Of the sentences around, summed.
    pub(crate) block: f64,
    /// Of the passage: the sentence and those around. An order amid orders is stronger than one amid facts.
    pub(crate) passage: f64,
}

/// Sentences before and after that make a passage.
const BLOCK: usize = 3;
/// What a sentence and what its surroundings add to the passage's strength.
const NEAR_RATE: f64 = 1.2;
const BLOCK_RATE: f64 = 0.35;

/// Logistic function, by libm for equal bits everywhere.
pub(crate) fn sigmoid(logit: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-logit))
}
