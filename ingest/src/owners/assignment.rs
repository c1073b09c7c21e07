//! What a member of a consumer group was given, as the group's leader wrote it down.
//!
//! Source: Apache Kafka, `ConsumerProtocolAssignment.json`, versions 0 to 3, which differ in nothing: `version` (int16),
//! `assigned_partitions` (array of `topic` (string) and `partitions` (array of int32)), `user_data` (bytes). Numbers are
//! big-endian, an array and a string begin with their length (int32, int16).

use crate::Partition;
use std::sync::Arc;

/// The partitions; `None` where `bytes` are no assignment. A member that was given nothing has no bytes at all.
pub fn partitions(bytes: &[u8]) -> Option<Vec<Partition>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let rest = &mut &*bytes;
    int16(rest)?;
    let mut partitions = Vec::new();
    for _ in 0..int32(rest)? {
        let name = usize::try_from(int16(rest)?).ok()?;
        let (name, after) = rest.split_at_checked(name)?;
        *rest = after;
        let topic: Arc<str> = std::str::from_utf8(name).ok()?.into();
        // As many as there are bytes for: nothing is made room for on a number's word.
        for _ in 0..int32(rest)? {
            partitions.push(Partition { topic: Arc::clone(&topic), number: int32(rest)? });
        }
    }
    Some(partitions)
}

fn int16(rest: &mut &[u8]) -> Option<i16> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(i16::from_be_bytes(*bytes))
}

fn int32(rest: &mut &[u8]) -> Option<i32> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(i32::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two topics, and an empty `user_data`.
    const TWO_TOPICS: &[u8] = b"\0\0\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\0\0\0\0\x05\0\x02bc\0\0\0\x01\0\0\0\x01\0\0\0\0";

    #[test]
    fn what_was_given_is_read_by_topic() {
        let expected = [("a", 0), ("a", 5), ("bc", 1)].map(|(topic, number)| Partition::new(topic, number));
        assert_eq!(partitions(TWO_TOPICS), Some(expected.to_vec()));
        assert_eq!(partitions(b""), Some(vec![]));
        assert_eq!(partitions(b"\0\x01\0\0\0\0\xff\xff\xff\xff"), Some(vec![]), "nothing, and no user data");
    }

    #[test]
    fn what_is_cut_off_or_lies_about_its_length_is_no_assignment() {
        // All of it up to the user data, which nobody reads.
        for length in 1..TWO_TOPICS.len() - 4 {
            assert_eq!(partitions(&TWO_TOPICS[..length]), None, "{length}");
        }
        assert_eq!(partitions(b"\0\0\x7f\xff\xff\xff\0\x01a\x7f\xff\xff\xff\0\0\0\0"), None);
        assert_eq!(partitions(b"\0\0\0\0\0\x01\xff\xff\0\0\0\0"), None, "a name of negative length");
        assert_eq!(partitions(b"\0\0\0\0\0\x01\0\x01\xff\0\0\0\0"), None, "a name that is no text");
    }
}
