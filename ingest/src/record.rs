//! What goes into an operator and what comes out.

use crate::checkpoint::{Entries, Scope};
use crate::{Outputs, RestoreError};
use schema::{Digest, Millis};
use std::sync::Arc;

/// One partition of one input topic: the unit of ownership, order and parallelism.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub number: i32,
}

impl Partition {
    /// Partition `number` of `topic`.
    pub fn new(topic: &str, number: i32) -> Self {
        Self { topic: topic.into(), number }
    }
}

impl std::fmt::Display for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.number)
    }
}

/// One record of an input topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Topic it was read from.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Its offset: rises within a partition, with gaps.
    pub offset: i64,
    /// The record's Kafka timestamp (of its creation or of its append, as the topic is set); 0 where it has none.
    pub at: Millis,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; empty for a tombstone.
    pub payload: Vec<u8>,
}

impl Record {
    /// Bytes of key and value.
    pub fn bytes(&self) -> u64 {
        (self.payload.len() + self.key.as_ref().map_or(0, Vec::len)) as u64
    }

    /// Whether it is one of ours that only says that time has passed ([`NUDGE`]).
    pub fn is_nudge(&self) -> bool {
        self.payload == NUDGE
    }

    /// `topic/partition/offset`, e.g. `agent.calls/3/1042`: names the record for good.
    pub fn id(&self) -> String {
        // Asked of every record: in one piece, and without the formatter.
        let mut id = String::with_capacity(self.topic.len() + 2 + 2 * DIGITS_MAX);
        id.push_str(&self.topic);
        for number in [i64::from(self.partition), self.offset] {
            id.push('/');
            push_number(number, &mut id);
        }
        id
    }
}

/// What an engine writes to a partition of its input that has been quiet while its operator waits for time to pass
/// ([`Operator::waits`]): the log's own clock goes on with it, so that a replay sees what the live run saw.
pub const NUDGE: &[u8] = br#"{"v":1,"nudge":true}"#;

/// Most characters of a number of 64 bits.
const DIGITS_MAX: usize = 20;

fn push_number(number: i64, out: &mut String) {
    if number < 0 {
        out.push('-');
    }
    let (mut rest, mut digits) = (number.unsigned_abs(), [0u8; DIGITS_MAX]);
    let mut from = DIGITS_MAX;
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = (rest % 10) as u8;
        (rest, from) = (rest / 10, at);
        if rest == 0 {
            break;
        }
    }
    out.extend(digits.iter().skip(from).map(|digit| char::from(b'0' + digit)));
}

/// One record to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Topic to write to.
    pub topic: String,
    /// Key: records of equal keys keep their order. Empty: no key.
    pub key: Vec<u8>,
    /// Value. Empty: a tombstone, which on a compacted topic deletes the key.
    pub payload: Vec<u8>,
}

impl Output {
    /// Bytes of key and value.
    pub fn bytes(&self) -> u64 {
        (self.payload.len() + self.key.len()) as u64
    }
}

/// The fold over one partition. The engine makes one a partition and feeds it every record once, in order.
///
/// `apply` must depend on nothing but the state and the record: no clock, no randomness, no other partition. Replays
/// after a crash rely on it: the same records from the same state must give the same state and the same outputs.
pub trait Operator: Send {
    /// Told once, before anything else: the first offset that will be read, and the first whose outputs are wanted. What
    /// lies between was answered by an earlier owner and is folded in silence. Default: nothing depends on it.
    fn begin(&mut self, _from: i64, _live_from: i64) {}

    /// Moves the state past `record` and adds to `out` what to write. Never fails: what cannot be read becomes a
    /// [dead letter](crate::dead_letter).
    fn apply(&mut self, record: &Record, out: &mut Outputs);

    /// Whether something waits for time to pass, which it does by records only: where none come, the engine writes a
    /// [`NUDGE`]. Default: nothing ever does.
    fn waits(&self) -> bool {
        false
    }

    /// What is to be written once a batch, after the answers to its records: for topics of which only the last record
    /// of a key counts. Default: nothing.
    fn complete(&mut self, _out: &mut Outputs) {}

    /// The state, or what of it is new, for a checkpoint. Default: there is no state.
    fn entries(&mut self, _scope: Scope) -> Entries {
        Entries::default()
    }

    /// Takes in entries of a checkpoint, possibly made by an older build; called once a segment, oldest first, before
    /// the first record. Default: accepts none.
    fn restore(&mut self, entries: &Entries) -> Result<(), RestoreError> {
        if entries.is_empty() { Ok(()) } else { Err(RestoreError::new("this operator keeps no state")) }
    }

    /// Digest of the model in force, stored beside the state. Default: no model.
    fn model(&self) -> Option<Digest> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_record_is_named_by_topic_partition_and_offset(partition: i32, offset: i64) {
            let topic: Arc<str> = "agent.calls".into();
            let record = Record { topic, partition, offset, at: Millis(0), key: None, payload: Vec::new() };
            prop_assert_eq!(record.id(), format!("agent.calls/{partition}/{offset}"));
        }
    }
}
