//! An operator's state as entries: a key, and a value or the news that it is gone.

use super::FormatError;
use std::collections::BTreeMap;

/// Entries in the order they were pushed; a later one of a key stands for the earlier. Bytes of any origin are safe to
/// [read](Entries::read).
#[derive(Debug, Clone, Default)]
pub struct Entries {
    /// Each entry lies in one chunk: 4 bytes length of the key, the key, 4 bytes length of the value or [`GONE`], the
    /// value. Little-endian. Chunks, because one piece of memory would be copied over and over as it grows.
    chunks: Vec<Vec<u8>>,
}

/// Key, and value or the news that it is gone.
pub(super) type Entry<'a> = (&'a [u8], Option<&'a [u8]>);

/// How much of a state is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All of it.
    All,
    /// What is not as it was when this was asked last (or restored).
    Changed,
}

impl Entries {
    /// One entry with an empty key: a state that is of one piece.
    pub fn whole(state: &[u8]) -> Self {
        let mut entries = Self::default();
        entries.push(b"", Some(state));
        entries
    }

    /// Adds an entry; `None`: the key is gone.
    pub fn push(&mut self, key: &[u8], value: Option<&[u8]>) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_BYTES => write((key, value), chunk),
            _ => {
                let mut chunk = Vec::with_capacity(if self.chunks.is_empty() { 0 } else { CHUNK_BYTES });
                write((key, value), &mut chunk);
                self.chunks.push(chunk);
            }
        }
    }

    /// The entries, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> + use<'_> {
        self.chunks.iter().flat_map(|chunk| {
            let mut rest = chunk.as_slice();
            std::iter::from_fn(move || next(&mut rest))
        })
    }

    /// The entries by strictly rising key, the last one of each.
    pub(super) fn rising(&self) -> Vec<Entry<'_>> {
        let mut entries: Vec<Entry<'_>> = self.iter().collect();
        if !entries.is_sorted_by(|a, b| a.0 < b.0) {
            entries.reverse();
            entries.sort_by_key(|(key, _)| *key);
            entries.dedup_by_key(|(key, _)| *key);
        }
        entries
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// As stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    /// Length as stored.
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len() as u64).sum()
    }

    /// Reads what [`Entries::to_bytes`] gave.
    pub fn read(bytes: Vec<u8>) -> Result<Self, FormatError> {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            next(&mut rest).ok_or(FormatError::Torn("an entry ends early"))?;
        }
        Ok(Self { chunks: if bytes.is_empty() { Vec::new() } else { vec![bytes] } })
    }

    /// What the segments of one history, oldest first, come to: one entry a key that is there, by rising key.
    pub fn folded<'a>(segments: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut folded = Self::default();
        last_of(segments)
            .into_iter()
            .filter(|(_, value)| value.is_some())
            .for_each(|(key, value)| folded.push(key, value));
        folded
    }

    /// The same, with the news of what is gone: for segments that others come before.
    pub fn latest<'a>(segments: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut latest = Self::default();
        last_of(segments).into_iter().for_each(|(key, value)| latest.push(key, value));
        latest
    }
}

/// Whatever chunks they lie in.
impl PartialEq for Entries {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Entries {}

fn last_of<'a>(segments: impl IntoIterator<Item = &'a Entries>) -> BTreeMap<&'a [u8], Option<&'a [u8]>> {
    segments.into_iter().flat_map(|segment| segment.iter()).collect()
}

/// Appends one entry.
pub(super) fn write((key, value): Entry<'_>, out: &mut Vec<u8>) {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(GONE - 1).to_le_bytes();
    out.extend_from_slice(&length(key));
    out.extend_from_slice(key);
    out.extend_from_slice(&value.map_or(GONE.to_le_bytes(), length));
    out.extend_from_slice(value.unwrap_or_default());
}

/// Takes one entry off the front; `None`, and nothing taken, where there is no whole one.
pub(super) fn next<'a>(rest: &mut &'a [u8]) -> Option<Entry<'a>> {
    let mut after = *rest;
    let entry = take_entry(&mut after)?;
    *rest = after;
    Some(entry)
}

fn take_entry<'a>(rest: &mut &'a [u8]) -> Option<Entry<'a>> {
    let key = take(rest)?;
    let before = *rest;
    let (length, after) = before.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*length) == GONE {
        *rest = after;
        return Some((key, None));
    }
    Some((key, Some(take(rest)?)))
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (taken, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = after;
    Some(taken)
}

/// Length of a value that is none.
const GONE: u32 = u32::MAX;
/// A chunk takes no further entry from here on.
const CHUNK_BYTES: usize = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries(pairs: &[(&str, Option<&str>)]) -> Entries {
        let mut entries = Entries::default();
        pairs.iter().for_each(|(key, value)| entries.push(key.as_bytes(), value.map(str::as_bytes)));
        entries
    }

    #[test]
    fn later_entries_stand_for_earlier_ones_and_the_gone_are_left_out() {
        let old = entries(&[("b", Some("1")), ("a", Some("2")), ("c", Some(""))]);
        let new = entries(&[("a", None), ("b", Some("3")), ("b", Some("4"))]);
        assert_eq!(Entries::folded([&old, &new]), entries(&[("b", Some("4")), ("c", Some(""))]));
    }

    #[test]
    fn entries_rise_by_key_and_the_last_of_each_stands() {
        let written = entries(&[("b", Some("1")), ("a", None), ("b", None), ("a", Some("2"))]);
        assert_eq!(written.rising(), [(&b"a"[..], Some(&b"2"[..])), (b"b", None)]);
        let rising = entries(&[("a", Some("1")), ("b", None)]);
        assert_eq!(rising.rising(), rising.iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_cut_is_noticed() {
        let whole = entries(&[("key", Some("value")), ("gone", None)]);
        let bytes = whole.to_bytes();
        let ends = [0, 4 + 3 + 4 + 5, bytes.len()]; // between entries
        for length in (0..bytes.len()).filter(|length| !ends.contains(length)) {
            assert!(Entries::read(bytes[..length].to_vec()).is_err(), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn what_is_pushed_is_read(pairs: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
            let mut written = Entries::default();
            pairs.iter().for_each(|(key, value)| written.push(key, value.as_deref()));
            let read = Entries::read(written.to_bytes()).unwrap();
            let back: Vec<_> = read.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
            prop_assert_eq!(back, pairs);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Entries::read(bytes).map(|entries| entries.iter().count());
        }
    }
}
