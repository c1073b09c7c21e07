//! Server-sent events as they arrive (WHATWG HTML, section 9.2.6), of which only the data matters here.

/// Longest event kept; a longer one is dropped whole and [`Sse::dropped`] counts it.
pub const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// Reads a stream chunk by chunk, wherever the chunks are cut.
#[derive(Debug, Default)]
pub struct Sse {
    line: Vec<u8>,
    data: Vec<u8>,
    over: bool,
    after_cr: bool,
    /// Events that were too long.
    pub dropped: u64,
}

impl Sse {
    /// The data of each event that `chunk` ends, in order.
    pub fn push(&mut self, chunk: &[u8]) -> Vec<Vec<u8>> {
        let mut events = vec![];
        for &byte in chunk {
            // A line ends with CR, LF or both.
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ if self.line.len() + self.data.len() >= EVENT_BYTES_MAX => self.over = true,
                _ => self.line.push(byte),
            }
        }
        events
    }

    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            if let Some(data) = line.strip_prefix(b"data:") {
                self.data.extend_from_slice(data.strip_prefix(b" ").unwrap_or(data));
                self.data.push(b'\n');
            }
            return None;
        }
        let mut data = std::mem::take(&mut self.data);
        if std::mem::take(&mut self.over) {
            self.dropped += 1;
            return None;
        }
        data.pop();
        (!data.is_empty()).then_some(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn events_are_told_apart_and_comments_skipped() {
        let mut sse = Sse::default();
        let events = sse.push(b": hello\nevent: message\ndata: {\"a\":\ndata: 1}\n\r\ndata:two\r\n\r\ndata: cut");
        assert_eq!(events, [b"{\"a\":\n1}".to_vec(), b"two".to_vec()]);
    }

    #[test]
    fn an_event_over_the_limit_is_dropped_and_the_next_one_is_read() {
        let mut sse = Sse::default();
        assert!(sse.push(b"data: ").is_empty());
        assert!(sse.push(&vec![b'x'; EVENT_BYTES_MAX + 1]).is_empty());
        assert_eq!(sse.push(b"\n\ndata: next\n\n"), [b"next".to_vec()]);
        assert_eq!(sse.dropped, 1);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_chunks_are_cut(text in "(data: ?[a-z]{0,5}|:|\r|\n){0,40}", cuts in prop::collection::vec(0usize..60, 0..6)) {
            let whole = Sse::default().push(text.as_bytes());
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let (mut sse, mut events, mut from) = (Sse::default(), vec![], 0);
            for cut in cuts.into_iter().chain([text.len()]) {
                events.extend(sse.push(&text.as_bytes()[from..cut]));
                from = cut;
            }
            prop_assert_eq!(whole, events);
        }
    }
}
