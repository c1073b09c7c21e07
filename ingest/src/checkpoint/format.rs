//! One segment of a checkpoint as bytes.
//!
//! ```text
//! 8  magic "VDTCKPT\n"
//! 4  format version, little-endian, as every number here
//! 8  offset
//! 8  offset of the checkpoint it adds to, or -1      (since version 2)
//! 1  1 when there is a model, else 0
//! 32 the model's SHA-256, or zeros
//! 8  length of the entries                           (until version 2)
//! …  the entries, by strictly rising key             (version 2: in any order; version 1: a state of one piece;
//!                                                     since version 4 without what follows from the rest of a state)
//! 32 SHA-256 of everything before
//! ```

use super::{Checkpoint, Entries, entries};
use schema::Digest;

/// Newest version this build reads, and the one it writes.
pub(super) const VERSION: u32 = 4;
/// The first whose entries rise, and whose head does not say how long they are: it can be written as it comes.
pub(super) const RISING: u32 = 3;

/// Why bytes are no checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// Cut, changed or foreign.
    #[error("the checkpoint is torn: {0}")]
    Torn(&'static str),
    /// Written by a newer build.
    #[error("the checkpoint has format version {0}; this build reads up to {VERSION}")]
    NewerVersion(u32),
}

/// What a segment says of itself before its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) version: u32,
    pub(super) offset: i64,
    pub(super) since: Option<i64>,
    pub(super) model: Option<Digest>,
}

impl Head {
    /// In this build's format.
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        let Checkpoint { offset, since, model, .. } = *checkpoint;
        Self { version: VERSION, offset, since, model }
    }

    /// The head of this build's format.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.offset.to_le_bytes());
        bytes.extend_from_slice(&self.since.unwrap_or(NOTHING).to_le_bytes());
        bytes.push(u8::from(self.model.is_some()));
        bytes.extend_from_slice(&self.model.map_or([0; DIGEST_BYTES], |model| model.0));
        bytes
    }

    /// Takes the head of any version off the front.
    pub(super) fn take(rest: &mut &[u8]) -> Result<Self, FormatError> {
        if take::<8>(rest).ok_or(SHORT)? != *MAGIC {
            return Err(FormatError::Torn("it does not begin as a checkpoint does"));
        }
        // A newer version may be laid out otherwise from here on.
        let version = u32::from_le_bytes(take(rest).ok_or(SHORT)?);
        if version > VERSION {
            return Err(FormatError::NewerVersion(version));
        }
        let offset = i64::from_le_bytes(take(rest).ok_or(SHORT)?);
        let since = match version {
            1 => None,
            _ => Some(i64::from_le_bytes(take(rest).ok_or(SHORT)?)).filter(|since| *since != NOTHING),
        };
        let [has_model] = take::<1>(rest).ok_or(SHORT)?;
        let model = Digest(take(rest).ok_or(SHORT)?);
        Ok(Self { version, offset, since, model: (has_model == 1).then_some(model) })
    }
}

impl Checkpoint {
    /// The bytes of this build's format.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Head::of(self).to_bytes();
        self.entries.rising().into_iter().for_each(|entry| entries::write(entry, &mut bytes));
        let digest = Digest::of(&bytes);
        bytes.extend_from_slice(&digest.0);
        bytes
    }

    /// Reads every format there has been. Bytes of any origin are safe to give.
    pub fn from_bytes(mut bytes: Vec<u8>) -> Result<Self, FormatError> {
        let mut rest = bytes.as_slice();
        let Head { version, offset, since, model } = Head::take(&mut rest)?;
        let (body, digest) = bytes.split_last_chunk::<DIGEST_BYTES>().ok_or(SHORT)?;
        if Digest::of(body).0 != *digest {
            return Err(FormatError::Torn("its checksum differs"));
        }
        if version < RISING {
            let length = u64::from_le_bytes(take(&mut rest).ok_or(SHORT)?);
            if rest.len() as u64 != length + DIGEST_BYTES as u64 {
                return Err(FormatError::Torn("its length differs from what it states"));
            }
        }
        let (from, to) = (bytes.len() - rest.len(), body.len());
        if from > to {
            return Err(SHORT);
        }
        // In place: a state may be large.
        bytes.truncate(to);
        bytes.drain(..from);
        let entries = if version == 1 { Entries::whole(&bytes) } else { Entries::read(bytes)? };
        Ok(Self { offset, since, model, entries })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

const SHORT: FormatError = FormatError::Torn("it is too short");
const MAGIC: &[u8; 8] = b"VDTCKPT\n";
pub(super) const DIGEST_BYTES: usize = 32;
/// Of this build's format.
pub(super) const HEAD_BYTES: usize = 8 + 4 + 8 + 8 + 1 + DIGEST_BYTES;
/// In the place of an offset: there is nothing it adds to.
const NOTHING: i64 = -1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn from_bytes(bytes: &[u8]) -> Result<Checkpoint, FormatError> {
        Checkpoint::from_bytes(bytes.to_vec())
    }

    fn example() -> Checkpoint {
        let mut entries = Entries::default();
        entries.push(b"s-1", Some(b"3"));
        entries.push(b"s-2", None);
        Checkpoint { offset: 1_042, since: Some(940), model: Some(Digest::of(b"model")), entries }
    }

    #[test]
    fn checkpoints_of_version_1_are_read_for_ever() {
        let golden = include_bytes!("../../tests/golden/checkpoint-v1");
        let entries = Entries::whole(b"{\"s-1\":3}");
        assert_eq!(from_bytes(golden), Ok(Checkpoint { since: None, entries, ..example() }));
    }

    #[test]
    fn checkpoints_of_version_2_are_read_for_ever() {
        assert_eq!(from_bytes(include_bytes!("../../tests/golden/checkpoint-v2")), Ok(example()));
    }

    #[test]
    fn checkpoints_of_version_3_are_read_for_ever() {
        assert_eq!(from_bytes(include_bytes!("../../tests/golden/checkpoint-v3")), Ok(example()));
    }

    #[test]
    fn checkpoints_of_version_4_are_read_for_ever_and_are_what_is_written() {
        let golden = include_bytes!("../../tests/golden/checkpoint-v4");
        assert_eq!(from_bytes(golden), Ok(example()));
        let written = example().to_bytes();
        assert_eq!(written, golden, "the format changed: give it a new version and keep reading this one");
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = example().to_bytes();
        bytes[8] = 9;
        assert_eq!(from_bytes(&bytes), Err(FormatError::NewerVersion(9)));
    }

    #[test]
    fn every_single_flipped_bit_and_every_cut_is_noticed() {
        let bytes = example().to_bytes();
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(from_bytes(&flipped).is_err(), "bit {at}");
        }
        for length in 0..bytes.len() {
            assert!(from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(offset: i64, since in proptest::option::of(0i64..), model: Option<[u8; 32]>, state: Vec<u8>) {
            let checkpoint = Checkpoint { offset, since, model: model.map(Digest), entries: Entries::whole(&state) };
            prop_assert_eq!(from_bytes(&checkpoint.to_bytes()), Ok(checkpoint));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = from_bytes(&bytes);
        }
    }
}
