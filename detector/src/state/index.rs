//! Where each token of the kept results stands. It follows from the results, so it is not written with them, until a
//! token that had more places than are kept lost some of them: what is left then depends on what was there before.

use super::{Place, Seen};
use crate::fp::{FpMap, sorted};
use crate::limits::POSTINGS_MAX;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Places by token.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Index {
    postings: FpMap<Postings>,
    /// It does not follow from the results.
    own: bool,
}

/// Where a token stands: the first places, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Postings {
    #[serde(rename = "p", with = "super::encoding::places")]
    pub(crate) places: Places,
    #[serde(rename = "n")]
    pub(crate) count: u32,
}

/// Most tokens stand in one or two.
pub(crate) type Places = smallvec::SmallVec<[Place; 2]>;

impl Index {
    /// What follows from `results`.
    pub(super) fn of(results: &[Seen]) -> Self {
        let mut index = Self::default();
        for seen in results {
            for (kept, at) in seen.sentences.iter().zip(0u16..) {
                let place = Place { call: seen.call, sentence: at };
                kept.tokens.iter().for_each(|token| index.add(token.fp.0, place));
            }
        }
        index
    }

    pub(crate) fn get(&self, fp: u64) -> Option<&Postings> {
        self.postings.get(&fp)
    }

    /// Tokens that stand anywhere.
    pub(super) fn len(&self) -> usize {
        self.postings.len()
    }

    /// Makes room for `more` tokens.
    pub(super) fn reserve(&mut self, more: usize) {
        self.postings.reserve(more);
    }

    /// A token stands at `place`, no earlier than those before.
    pub(super) fn add(&mut self, fp: u64, place: Place) {
        let postings = self.postings.entry(fp).or_default();
        postings.count = postings.count.saturating_add(1);
        if postings.places.len() < POSTINGS_MAX && postings.places.last() != Some(&place) {
            postings.places.push(place);
        }
    }

    /// One token of the result of `call` is gone, and soon all of them.
    pub(super) fn forget(&mut self, fp: u64, call: u32) {
        let Some(postings) = self.postings.get_mut(&fp) else { return };
        // Perhaps there were more places, which would have been kept had these not stood first.
        self.own |= postings.places.len() >= POSTINGS_MAX;
        postings.count -= 1;
        postings.places.retain(|place| place.call != call);
        if postings.count == 0 {
            self.postings.remove(&fp);
            self.own &= !self.postings.is_empty();
        }
    }
}

impl Serialize for Index {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        match self.own {
            true => sorted::serialize(&self.postings, out),
            false => [(); 0].as_slice().serialize(out),
        }
    }
}

/// Until the results it follows from are known, nothing; see [`SessionState`](super::SessionState)'s.
impl<'de> Deserialize<'de> for Index {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let postings: FpMap<Postings> = sorted::deserialize(input)?;
        let own = !postings.is_empty();
        Ok(Self { postings, own })
    }
}

#[cfg(test)]
mod tests {
    use crate::state::SessionState;
    use crate::strength::Strengths;
    use proptest::prelude::*;
    use schema::decode::{Received, native};
    use schema::{Call, Cues, Fp, Millis, Sentence, TenantKey, Text, Token, TokenKind, seal};

    fn call() -> Call {
        let record = br#"{"session":"s","at":1,"tool":"read"}"#;
        seal(&native::decode(record, &Received { at: Millis(1), id: "0".into() }).unwrap(), &TenantKey::new([7; 32]))
    }

    fn read(state: &mut SessionState, call: &Call, result: &[Vec<u64>]) {
        let at = state.calls();
        state.push_call(call);
        let sentence = |(tokens, number): (&Vec<u64>, u32)| Sentence {
            number,
            cues: Cues::default(),
            tokens: tokens.iter().map(|fp| Token { fp: Fp(*fp), kind: TokenKind::Word }).collect(),
        };
        let text = Text { bytes: 0, sentences: result.iter().zip(0..).map(sentence).collect(), cut: 0 };
        state.push_result(at, call, 0.5, &text, &vec![Strengths::default(); result.len()]);
    }

    proptest! {
        /// More results than are kept, of few different words: places are lost with the oldest.
        #[test]
        fn a_state_is_read_as_it_was_written_and_goes_on_alike(
            results in proptest::collection::vec(proptest::collection::vec(proptest::collection::vec(0u64..30, 0..4), 1..3), 0..110),
            at in 0usize..110,
        ) {
            let (call, mut state) = (call(), SessionState::default());
            let (before, after) = results.split_at(at.min(results.len()));
            before.iter().for_each(|result| read(&mut state, &call, result));
            let mut again: SessionState = postcard::from_bytes(&postcard::to_allocvec(&state).unwrap()).unwrap();
            prop_assert_eq!(&again, &state);
            for result in after {
                read(&mut state, &call, result);
                read(&mut again, &call, result);
            }
            prop_assert_eq!(&again, &state);
            prop_assert_eq!(postcard::to_allocvec(&again).unwrap(), postcard::to_allocvec(&state).unwrap());
        }
    }

    #[test]
    fn what_an_older_build_wrote_is_taken_as_it_stands() {
        let (call, mut state) = (call(), SessionState::default());
        (0..50).for_each(|n| read(&mut state, &call, &[vec![1, n % 3]]));
        assert!(state.index.own, "the test is to write the index");
        let again: SessionState = postcard::from_bytes(&postcard::to_allocvec(&state).unwrap()).unwrap();
        assert_eq!(again.index, state.index);
    }
}
