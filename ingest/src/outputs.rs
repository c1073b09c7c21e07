//! What operators want written, as bytes one after the other: a batch holds tens of thousands of short records, and one
//! allocation each would cost more than writing them.

use crate::Output;

/// Records to be written, in their order.
#[derive(Debug, Default, Clone)]
pub struct Outputs {
    /// Keys and payloads; a record lies in one chunk.
    chunks: Vec<Vec<u8>>,
    /// Chunks that hold any; the others are from before.
    used: usize,
    records: Vec<Place>,
    /// Names that `records` point at: a handful.
    topics: Vec<String>,
    bytes: u64,
}

/// One of [`Outputs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written<'a> {
    /// Topic to write to.
    pub topic: &'a str,
    /// As [`Output::key`].
    pub key: &'a [u8],
    /// As [`Output::payload`].
    pub payload: &'a [u8],
    /// The partition it has to go to; `None`: by its key.
    pub partition: Option<i32>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    topic: usize,
    partition: Option<i32>,
    chunk: usize,
    key: usize,
    payload: usize,
    end: usize,
}

impl Outputs {
    /// Adds a record.
    pub fn push(&mut self, topic: &str, key: &[u8], payload: &[u8]) {
        self.write(topic, key, |out| out.extend_from_slice(payload));
    }

    /// Adds a record without a key to one partition of `topic`.
    pub fn push_to(&mut self, topic: &str, partition: i32, payload: &[u8]) {
        self.write(topic, b"", |out| out.extend_from_slice(payload));
        if let Some(place) = self.records.last_mut() {
            place.partition = Some(partition);
        }
    }

    /// Adds a record whose payload is what `write` appends.
    pub fn write(&mut self, topic: &str, key: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let topic = self.topics.iter().position(|known| known == topic).unwrap_or_else(|| {
            self.topics.push(topic.to_owned());
            self.topics.len() - 1
        });
        let last = self.used.checked_sub(1).and_then(|last| self.chunks.get(last));
        if last.is_none_or(|chunk| chunk.len() > CHUNK_BYTES - ROOM_BYTES) {
            if self.used == self.chunks.len() {
                self.chunks.push(Vec::with_capacity(CHUNK_BYTES));
            }
            self.used += 1;
        }
        let Some(chunk) = self.used.checked_sub(1).and_then(|last| self.chunks.get_mut(last)) else { return };
        let key_at = chunk.len();
        chunk.extend_from_slice(key);
        let payload_at = chunk.len();
        write(chunk);
        self.bytes += (chunk.len() - key_at) as u64;
        let (end, chunk) = (chunk.len(), self.used - 1);
        self.records.push(Place { topic, partition: None, chunk, key: key_at, payload: payload_at, end });
    }

    /// The records.
    pub fn iter(&self) -> impl Iterator<Item = Written<'_>> {
        self.records.iter().filter_map(|place| {
            let chunk = self.chunks.get(place.chunk)?;
            Some(Written {
                topic: self.topics.get(place.topic)?,
                key: chunk.get(place.key..place.payload)?,
                payload: chunk.get(place.payload..place.end)?,
                partition: place.partition,
            })
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of keys and payloads.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Forgets all of them, and keeps the memory they lay in: what is written next finds it warm.
    pub fn clear(&mut self) {
        self.chunks.retain_mut(|chunk| {
            chunk.clear();
            chunk.capacity() <= CHUNK_BYTES // one that grew held a record of unusual size
        });
        self.used = 0;
        self.records.clear();
        self.bytes = 0;
    }
}

/// Whatever chunks and tables they lie in.
impl PartialEq for Outputs {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Outputs {}

impl Extend<Output> for Outputs {
    fn extend<T: IntoIterator<Item = Output>>(&mut self, outputs: T) {
        outputs.into_iter().for_each(|output| self.push(&output.topic, &output.key, &output.payload));
    }
}

impl Written<'_> {
    /// The record by itself.
    pub fn to_output(self) -> Output {
        Output { topic: self.topic.to_owned(), key: self.key.to_vec(), payload: self.payload.to_vec() }
    }

    /// Bytes of key and payload.
    pub fn bytes(&self) -> u64 {
        (self.key.len() + self.payload.len()) as u64
    }
}

const CHUNK_BYTES: usize = 256 * 1024;
/// Nearly every record fits what is left of a chunk; one that does not makes its chunk grow.
const ROOM_BYTES: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_pushed_is_there_in_order(
            records in proptest::collection::vec(("[ab]", proptest::collection::vec(any::<u8>(), 0..9), 0usize..20_000), 0..60),
            before in 0usize..60,
        ) {
            let mut outputs = Outputs::default();
            let expected: Vec<Output> = records
                .into_iter()
                .map(|(topic, key, length)| Output { topic, key, payload: vec![7; length] })
                .collect();
            // Whatever was written before.
            outputs.extend(expected.iter().take(before).cloned());
            outputs.clear();
            outputs.extend(expected.clone());
            prop_assert_eq!(outputs.bytes(), expected.iter().map(Output::bytes).sum::<u64>());
            prop_assert_eq!(outputs.len(), expected.len());
            prop_assert_eq!(outputs.iter().map(Written::to_output).collect::<Vec<_>>(), expected);
            outputs.clear();
            prop_assert!(outputs.is_empty() && outputs.bytes() == 0 && outputs == Outputs::default());
        }
    }
}
