//! A checkpoint as bytes.
//!
//! ```text
//! 8  magic "VDTCKPT\n"
//! 4  format version, little-endian, as every number here
//! 8  offset
//! 1  1 when there is a model, else 0
//! 32 the model's SHA-256, or zeros
//! 8  length of the state
//! …  the state
//! 32 SHA-256 of everything before
//! ```

use super::Checkpoint;
use schema::Digest;

/// Newest version this build reads, and the one it writes.
pub(super) const VERSION: u32 = 1;

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

impl Checkpoint {
    /// The bytes of this build's format.
    pub fn to_bytes(&self) -> Vec<u8> {
        to_bytes(self)
    }

    /// Reads every format there has been. Bytes of any origin are safe to give.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormatError> {
        from_bytes(bytes)
    }
}

fn to_bytes(checkpoint: &Checkpoint) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + checkpoint.state.len() + DIGEST_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&checkpoint.offset.to_le_bytes());
    bytes.push(u8::from(checkpoint.model.is_some()));
    bytes.extend_from_slice(&checkpoint.model.map_or([0; DIGEST_BYTES], |model| model.0));
    bytes.extend_from_slice(&(checkpoint.state.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&checkpoint.state);
    let digest = Digest::of(&bytes);
    bytes.extend_from_slice(&digest.0);
    bytes
}

fn from_bytes(bytes: &[u8]) -> Result<Checkpoint, FormatError> {
    const SHORT: FormatError = FormatError::Torn("it is too short");
    let mut rest = bytes;
    if take::<8>(&mut rest).ok_or(SHORT)? != *MAGIC {
        return Err(FormatError::Torn("it does not begin as a checkpoint does"));
    }
    // Before the checksum: a newer version may be laid out otherwise from here on.
    let version = u32::from_le_bytes(take(&mut rest).ok_or(SHORT)?);
    if version > VERSION {
        return Err(FormatError::NewerVersion(version));
    }
    let (body, digest) = bytes.split_last_chunk::<DIGEST_BYTES>().ok_or(SHORT)?;
    if Digest::of(body).0 != *digest {
        return Err(FormatError::Torn("its checksum differs"));
    }
    let offset = i64::from_le_bytes(take(&mut rest).ok_or(SHORT)?);
    let [has_model] = take::<1>(&mut rest).ok_or(SHORT)?;
    let model = Digest(take(&mut rest).ok_or(SHORT)?);
    let length = u64::from_le_bytes(take(&mut rest).ok_or(SHORT)?);
    let (state, _) = rest.split_last_chunk::<DIGEST_BYTES>().ok_or(SHORT)?;
    if state.len() as u64 != length {
        return Err(FormatError::Torn("its length differs from what it states"));
    }
    Ok(Checkpoint { offset, model: (has_model == 1).then_some(model), state: state.to_vec() })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

const MAGIC: &[u8; 8] = b"VDTCKPT\n";
const DIGEST_BYTES: usize = 32;
const HEAD_BYTES: usize = 8 + 4 + 8 + 1 + DIGEST_BYTES + 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example() -> Checkpoint {
        Checkpoint { offset: 1_042, model: Some(Digest::of(b"model")), state: b"{\"s-1\":3}".to_vec() }
    }

    #[test]
    fn checkpoints_of_version_1_are_read_for_ever() {
        let golden = include_bytes!("../../tests/golden/checkpoint-v1");
        assert_eq!(from_bytes(golden), Ok(example()));
        assert_eq!(to_bytes(&example()), golden, "the format changed: give it a new version and keep reading this one");
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = to_bytes(&example());
        bytes[8] = 9;
        assert_eq!(from_bytes(&bytes), Err(FormatError::NewerVersion(9)));
    }

    #[test]
    fn every_single_flipped_bit_and_every_cut_is_noticed() {
        let bytes = to_bytes(&example());
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
        fn what_is_written_is_read(offset: i64, model: Option<[u8; 32]>, state: Vec<u8>) {
            let checkpoint = Checkpoint { offset, model: model.map(Digest), state };
            prop_assert_eq!(from_bytes(&to_bytes(&checkpoint)), Ok(checkpoint));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = from_bytes(&bytes);
        }
    }
}
