//! Short texts in a register, and their SipHash: most of what is fingerprinted is a stem of a few letters, for which
//! a hasher that takes pieces of any length spends its time on the way.

/// A text of at most [`Short::BYTES_MAX`] bytes; its first byte is the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short {
    bytes: u128,
    length: u8,
}

impl Short {
    /// One byte of the register is the role's.
    pub(crate) const BYTES_MAX: usize = 15;

    /// A text that fits.
    #[inline]
    pub(crate) fn new(text: &[u8]) -> Option<Self> {
        let length = u8::try_from(text.len()).ok().filter(|length| usize::from(*length) <= Self::BYTES_MAX)?;
        // Two words that overlap in the middle: no copy of a length that is not known before.
        let bytes = match (text.first_chunk::<8>(), text.last_chunk::<8>()) {
            (Some(first), Some(last)) => {
                let last = u128::from(u64::from_le_bytes(*last));
                u128::from(u64::from_le_bytes(*first)) | last << (8 * (text.len() - 8))
            }
            _ => match (text.first_chunk::<4>(), text.last_chunk::<4>()) {
                (Some(first), Some(last)) => {
                    let last = u128::from(u32::from_le_bytes(*last));
                    u128::from(u32::from_le_bytes(*first)) | last << (8 * (text.len() - 4))
                }
                _ => text.iter().rev().fold(0, |word, byte| word << 8 | u128::from(*byte)),
            },
        };
        Some(Self { bytes, length })
    }

    /// The `length` bytes of `text` from `at` on, if they fit: read at once where the text goes on after them.
    #[inline]
    pub(crate) fn within(text: &[u8], at: usize, length: usize) -> Option<Self> {
        if length > Self::BYTES_MAX {
            return None;
        }
        match text.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(bytes) => Some(Self { bytes: u128::from_le_bytes(*bytes), length: 0 }.cut_to(length)),
            None => Self::new(text.get(at..at + length)?),
        }
    }

    /// Whether it is of capitals alone; of letters of ASCII.
    #[inline]
    pub(crate) fn is_upper(self) -> bool {
        self.bytes & u128::from_le_bytes([0x20; 16]) == 0
    }

    /// The same letters in lower case; of letters of ASCII alone.
    #[inline]
    #[must_use]
    pub(crate) fn lower(self) -> Self {
        let lower = Self { bytes: u128::from_le_bytes([0x20; 16]), length: 0 }.cut_to(self.len());
        Self { bytes: self.bytes | lower.bytes, ..self }
    }

    /// The first `length` bytes.
    #[inline]
    #[must_use]
    pub(crate) fn cut_to(self, length: usize) -> Self {
        let length = length.min(Self::BYTES_MAX);
        Self { bytes: self.bytes & ((1 << (8 * length)) - 1), length: length as u8 }
    }

    /// Length in bytes.
    #[inline]
    pub(crate) fn len(self) -> usize {
        usize::from(self.length)
    }

    /// The bytes as one integer.
    #[inline]
    pub(crate) fn word(self) -> u128 {
        self.bytes
    }

    /// Whether it ends with `end`, at most three bytes.
    #[inline]
    pub(crate) fn ends_with(self, end: &[u8]) -> bool {
        let from = self.len().checked_sub(end.len());
        let bytes = from.map(|from| self.bytes >> (8 * from));
        bytes.is_some_and(|bytes| bytes == end.iter().rev().fold(0, |word, byte| word << 8 | u128::from(*byte)))
    }

    /// SipHash-2-4 of `first` and then this text.
    /// Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", INDOCRYPT 2012, section 2.
    #[inline]
    pub(super) fn hash(self, [low, high]: [u64; 2], first: u8) -> u64 {
        let message = self.bytes << 8 | u128::from(first);
        let length = self.len() + 1;
        let mut state = Sip {
            v0: low ^ 0x736f_6d65_7073_6575,
            v1: high ^ 0x646f_7261_6e64_6f6d,
            v2: low ^ 0x6c79_6765_6e65_7261,
            v3: high ^ 0x7465_6462_7974_6573,
        };
        let last = (length as u64) << 56;
        let words = [message as u64, (message >> 64) as u64, 0];
        // The length stands in the last word, which is a whole one more where the text ends with a word.
        for (word, at) in words.into_iter().zip(0..) {
            if at == length / 8 {
                state.take(word | last);
                break;
            }
            state.take(word);
        }
        state.v2 ^= 0xff;
        (0..4).for_each(|_| state.round());
        state.v0 ^ state.v1 ^ state.v2 ^ state.v3
    }
}

struct Sip {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl Sip {
    #[inline]
    fn take(&mut self, word: u64) {
        self.v3 ^= word;
        self.round();
        self.round();
        self.v0 ^= word;
    }

    #[inline]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use siphasher::sip::SipHasher24;

    #[test]
    fn a_long_text_is_no_short_one() {
        assert!(Short::new(&[b'a'; Short::BYTES_MAX]).is_some() && Short::new(&[b'a'; 16]).is_none());
        assert!(Short::within(&[b'a'; 40], 3, 16).is_none());
    }

    proptest! {
        #[test]
        fn its_hash_is_siphash(text in proptest::collection::vec(any::<u8>(), 0..=15), first: u8, low: u64, high: u64) {
            let joined: Vec<u8> = std::iter::once(first).chain(text.iter().copied()).collect();
            let expected = SipHasher24::new_with_keys(low, high).hash(&joined);
            prop_assert_eq!(Short::new(&text).unwrap().hash([low, high], first), expected);
        }

        #[test]
        fn a_word_is_read_cut_and_lowered_as_a_string_is(before in "[a-z ]{0,9}", word in "[A-Za-z]{0,15}", after in "[a-z ]{0,20}", cut in 0usize..=15) {
            let text = format!("{before}{word}{after}");
            let short = Short::within(text.as_bytes(), before.len(), word.len()).unwrap();
            prop_assert_eq!(short, Short::new(word.as_bytes()).unwrap());
            let lower = word.to_ascii_lowercase();
            prop_assert_eq!(short.lower(), Short::new(lower.as_bytes()).unwrap());
            for end in ["s", "ss", "ed", "ing"] {
                prop_assert_eq!(short.lower().ends_with(end.as_bytes()), lower.ends_with(end));
            }
            prop_assert_eq!(short.is_upper(), !word.bytes().any(|byte| byte.is_ascii_lowercase()));
            let cut = cut.min(word.len());
            prop_assert_eq!(short.cut_to(cut), Short::new(&word.as_bytes()[..cut]).unwrap());
        }
    }
}
