//! A body as it came to the lines it holds, within bounds: what is small on the wire may be huge in memory.

use ruzstd::decoding::StreamingDecoder;
use std::io::Read;

/// How a body was made small (RFC 9110, section 8.4.1; zstd: RFC 8878).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Coding {
    /// The coding a `Content-Encoding` names; none for one that is not read here.
    pub fn named(name: &str) -> Option<Self> {
        match name.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Identity),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// Why a body is not read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InflateError {
    /// Longer than it may be.
    #[error("the body inflates to more than {max} bytes")]
    TooLong {
        /// The limit.
        max: usize,
    },
    /// No room for it at the moment.
    #[error("there is no room for the body at the moment")]
    NoRoom,
    /// Not what its coding makes.
    #[error("the body is not {0:?}, or ends early")]
    Broken(Coding),
}

/// What `body` inflates to, at most `max` bytes. `grant` is asked before so many bytes more are taken; where it says no,
/// that is the end.
pub fn inflate(
    body: &[u8],
    coding: Coding,
    max: usize,
    grant: impl FnMut(usize) -> bool,
) -> Result<Vec<u8>, InflateError> {
    let mut sink = Sink { out: Vec::new(), coding, max, grant };
    match coding {
        Coding::Identity => sink.take(body)?,
        Coding::Gzip => sink.take(flate2::read::MultiGzDecoder::new(body))?,
        Coding::Zstd => {
            // Frames may follow each other (RFC 8878, section 3.1).
            let mut rest = sink.frame(body)?;
            while !rest.is_empty() {
                rest = sink.frame(rest)?;
            }
        }
    }
    Ok(sink.out)
}

struct Sink<G> {
    out: Vec<u8>,
    coding: Coding,
    max: usize,
    grant: G,
}

impl<G: FnMut(usize) -> bool> Sink<G> {
    fn take(&mut self, mut input: impl Read) -> Result<(), InflateError> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = match input.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => return Err(InflateError::Broken(self.coding)),
            };
            if self.out.len() + read > self.max {
                return Err(InflateError::TooLong { max: self.max });
            }
            if !(self.grant)(read) {
                return Err(InflateError::NoRoom);
            }
            self.out.extend_from_slice(piece.get(..read).unwrap_or_default());
        }
    }

    /// One zstd frame, and what follows it.
    fn frame<'a>(&mut self, frame: &'a [u8]) -> Result<&'a [u8], InflateError> {
        let broken = || InflateError::Broken(Coding::Zstd);
        // A frame names its own window, and memory for it is taken at once.
        match window(frame).ok_or_else(broken)? {
            Window::Named(log) if log > WINDOW_LOG_MAX => return Err(broken()),
            Window::Whole(bytes) if bytes > self.max as u64 => return Err(InflateError::TooLong { max: self.max }),
            _ => {}
        }
        let mut decoder = StreamingDecoder::new(frame).map_err(|_| broken())?;
        self.take(&mut decoder)?;
        let (rest, decoder) = decoder.into_parts();
        match (decoder.get_checksum_from_data(), decoder.get_calculated_checksum()) {
            (Some(told), Some(found)) if told != found => Err(broken()),
            _ => Ok(rest),
        }
    }
}

/// How much a frame's decoder has to remember.
enum Window {
    /// So many bytes, as a power of two (rounded up).
    Named(u32),
    /// All of the content.
    Whole(u64),
}

/// What a frame's header says (RFC 8878, sections 3.1.1.1.1 to 3.1.1.1.4).
fn window(frame: &[u8]) -> Option<Window> {
    let rest = frame.strip_prefix(&MAGIC)?;
    let (descriptor, rest) = rest.split_first()?;
    let single_segment = descriptor & 0b10_0000 != 0;
    if !single_segment {
        let window = rest.first()?;
        return Some(Window::Named(10 + u32::from(window >> 3) + u32::from(window & 7 != 0)));
    }
    let dictionary = [0, 1, 2, 4].get(usize::from(descriptor & 0b11))?;
    let (bytes, more) = [(1, 0), (2, 256), (4, 0), (8, 0)].get(usize::from(descriptor >> 6))?;
    let size = rest.get(*dictionary..dictionary + bytes)?;
    Some(Window::Whole(size.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)).saturating_add(*more)))
}

const PIECE_BYTES: usize = 64 * 1024;
const MAGIC: [u8; 4] = 0xfd2f_b528_u32.to_le_bytes();
/// 8 MiB, what decoders of the format are recommended to support (RFC 8878, section 3.1.1.1.2).
const WINDOW_LOG_MAX: u32 = 23;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;

    fn packed(bytes: &[u8], coding: Coding) -> Vec<u8> {
        match coding {
            Coding::Identity => bytes.to_vec(),
            Coding::Zstd => ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest),
            Coding::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    const ALL: [Coding; 3] = [Coding::Identity, Coding::Gzip, Coding::Zstd];

    #[test]
    fn a_body_comes_out_as_it_went_in_and_no_longer_than_it_may() {
        let text = b"{\"at\":1}\n".repeat(20_000);
        for coding in ALL {
            let body = packed(&text, coding);
            assert_eq!(inflate(&body, coding, text.len(), |_| true).unwrap(), text, "{coding:?}");
            let max = text.len() - 1;
            assert_eq!(inflate(&body, coding, max, |_| true), Err(InflateError::TooLong { max }), "{coding:?}");
            let mut left = 100_000;
            let grant = |more| {
                let fits = more <= left;
                left -= if fits { more } else { 0 };
                fits
            };
            assert_eq!(inflate(&body, coding, text.len(), grant), Err(InflateError::NoRoom), "{coding:?}");
        }
    }

    #[test]
    fn a_torn_body_is_no_shorter_body() {
        let text = b"{\"at\":1}\n".repeat(2_000);
        for coding in [Coding::Gzip, Coding::Zstd] {
            let body = packed(&text, coding);
            let torn = inflate(&body[..body.len() - 3], coding, text.len(), |_| true);
            assert_eq!(torn, Err(InflateError::Broken(coding)));
            assert_eq!(inflate(&text, coding, text.len(), |_| true), Err(InflateError::Broken(coding)));
        }
        // Magic, descriptor, then a window of 1 GiB; and content of 2^40 bytes in one segment.
        let greedy = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa0, 0x01, 0x00, 0x00];
        assert_eq!(inflate(&greedy, Coding::Zstd, 10, |_| true), Err(InflateError::Broken(Coding::Zstd)));
        let long = [0x28, 0xb5, 0x2f, 0xfd, 0b1110_0000, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0];
        assert_eq!(inflate(&long, Coding::Zstd, 10, |_| true), Err(InflateError::TooLong { max: 10 }));
    }

    #[test]
    fn frames_may_follow_each_other_and_nothing_else_may() {
        let frame = packed(b"{}\n", Coding::Zstd);
        assert_eq!(inflate(&frame.repeat(2), Coding::Zstd, 10, |_| true).unwrap(), b"{}\n{}\n");
        let tail = [frame.as_slice(), b"x"].concat();
        assert_eq!(inflate(&tail, Coding::Zstd, 10, |_| true), Err(InflateError::Broken(Coding::Zstd)));
    }

    #[test]
    fn codings_have_the_names_of_the_registry() {
        let named = ["gzip", "X-GZIP", "zstd", "identity", "br", "gzip, zstd"].map(Coding::named);
        let (gzip, zstd) = (Some(Coding::Gzip), Some(Coding::Zstd));
        assert_eq!(named, [gzip, gzip, zstd, Some(Coding::Identity), None, None]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for coding in ALL {
                let _ = inflate(&bytes, coding, 1_000, |_| true);
            }
        }
    }
}
