//! The lines of a body, each to the record that Kafka gets: a call as it came, a call its device has sealed, or the dead
//! letter of what is neither.

use ingest::{Output, Record};
use policy::server::BadLine;
use schema::decode::{DecodeError, Received, native, sealed};
use schema::{Device, Millis, Principal, Session, TenantKey, topics};

/// How lines are read.
pub struct Reading<'a> {
    /// When they came.
    pub at: Millis,
    /// The device that the sender's certificate names: whatever a call says, it came from there.
    pub device: Option<&'a Device>,
    /// For digests of lines.
    pub key: &'a TenantKey,
    /// Where calls go.
    pub calls: &'a str,
}

/// One line, read.
pub struct Line {
    /// Tells it from any other line: equal for the same bytes under the same key only.
    pub digest: u64,
    /// What Kafka gets.
    pub output: Output,
    /// Whether it is a sealed call.
    pub sealed: bool,
    /// Why it is no call.
    pub bad: Option<BadLine>,
}

impl Reading<'_> {
    /// Every line that is not blank, in order; the number of the first one beyond [`LINES_MAX`] where there are too many.
    pub fn lines(&self, body: &[u8]) -> Result<Vec<Line>, u64> {
        let numbered = (1..).zip(body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii));
        let mut lines = Vec::new();
        for (number, line) in numbered.filter(|(_, line)| !line.is_empty()) {
            if lines.len() >= LINES_MAX {
                return Err(number);
            }
            lines.push(self.line(number, line));
        }
        Ok(lines)
    }

    fn line(&self, number: u64, line: &[u8]) -> Line {
        let digest = self.key.digest(line).0;
        let received = Received { at: self.at, id: format!("{DOOR}/{digest:016x}") };
        let sealed = sealed::is_sealed(line);
        let read = if sealed { self.sealed(line, &received) } else { self.plain(line, &received) };
        match read {
            Ok(output) => Line { digest, output, sealed, bad: None },
            Err(error) => {
                let output = self.dead(number, line, &error);
                let bad = BadLine { line: number, reason: error.reason, detail: error.detail };
                Line { digest, output, sealed, bad: Some(bad) }
            }
        }
    }

    fn plain(&self, line: &[u8], received: &Received) -> Result<Output, DecodeError> {
        let mut call = native::decode(line, received)?;
        // One without an id gets its line's digest, so that the same line again is the same call again.
        let mut same = call.id.as_str() != received.id;
        if let Some(device) = self.device
            && call.device.as_ref() != Some(device)
        {
            call.device = Some(device.clone());
            same = false;
        }
        let payload = if same { line.to_vec() } else { native::encode(&call) };
        Ok(output(self.calls, key(call.principal.as_ref(), &call.session), payload))
    }

    fn sealed(&self, line: &[u8], received: &Received) -> Result<Output, DecodeError> {
        let mut call = sealed::decode(line, received)?;
        if let Some(device) = self.device
            && call.device.as_ref() != Some(device)
        {
            call.device = Some(device.clone());
        }
        // Written anew: whatever else the line holds ends here.
        let payload = serde_json::to_vec(&call).unwrap_or_default(); // INVARIANT: a sealed call is plain data
        Ok(output(topics::SEALED, key(call.principal.as_ref(), &call.session), payload))
    }

    fn dead(&self, number: u64, line: &[u8], error: &DecodeError) -> Output {
        let record = Record {
            topic: DOOR.into(),
            partition: NO_PARTITION,
            offset: i64::try_from(number).unwrap_or(i64::MAX),
            at: self.at,
            key: None,
            payload: line.to_vec(),
        };
        let letter = ingest::dead_letter(self.key, &record, error);
        // The same bytes sent again are seen to be the same letter.
        Output { key: format!("{DOOR}/{:016x}", self.key.digest(line).0).into_bytes(), ..letter }
    }
}

/// What calls are keyed by, so that everything one answers for stays in order: the principal where there is one, else
/// the session.
pub fn key<'a>(principal: Option<&'a Principal>, session: &'a Session) -> &'a str {
    principal.map_or(session.as_str(), |principal| principal.as_str())
}

fn output(topic: &str, key: &str, payload: Vec<u8>) -> Output {
    Output { topic: topic.to_owned(), key: key.as_bytes().to_vec(), payload }
}

/// Most lines of one body.
pub const LINES_MAX: usize = 50_000;
/// Where a dead letter's line came from, in place of a topic.
pub const DOOR: &str = "http:/v1/calls";
/// A body has none; a dead letter's offset is the number of the line.
const NO_PARTITION: i32 = -1;

#[cfg(test)]
mod tests {
    use super::*;
    use schema::{Call, DeadLetter, DeadReason, RawCall};

    const AT: Millis = Millis(1_795_343_040_062);

    fn read(body: &str, device: Option<&str>) -> Vec<Line> {
        let (device, key) = (device.map(|name| name.parse().unwrap()), TenantKey::new([7; 32]));
        Reading { at: AT, device: device.as_ref(), key: &key, calls: "calls" }.lines(body.as_bytes()).unwrap()
    }

    fn call(line: &Line) -> RawCall {
        native::decode(&line.output.payload, &Received { at: AT, id: "x".into() }).unwrap()
    }

    const PLAIN: &str = r#"{"id":"c-1","at":1795343040000,"session":"s","tool":"t","args":{"q":"hunter2"}}"#;

    fn sealed_line() -> String {
        let raw = native::decode(PLAIN.as_bytes(), &Received { at: AT, id: "x".into() }).unwrap();
        let mut call = serde_json::to_value(schema::seal(&raw, &TenantKey::new([9; 32]))).unwrap();
        call["edge"] = serde_json::json!({"n": 1, "lost": 0});
        call.to_string()
    }

    #[test]
    fn a_call_goes_on_as_it_came_and_keyed_as_the_engine_expects() {
        let lines = read(&format!("\n{PLAIN}\r\n\n"), None);
        assert_eq!(lines.len(), 1);
        assert_eq!((lines[0].output.topic.as_str(), lines[0].output.payload.as_slice()), ("calls", PLAIN.as_bytes()));
        assert_eq!(lines[0].output.key, b"s");
        let of_principal = PLAIN.replace("\"tool\"", "\"principal\":\"user:1\",\"tool\"");
        assert_eq!(read(&of_principal, None)[0].output.key, b"user:1");
    }

    #[test]
    fn a_call_without_an_id_is_named_by_its_bytes() {
        let line = PLAIN.replace("\"id\":\"c-1\",", "");
        let lines = read(&format!("{line}\n{line}\n{}", line.replace("hunter2", "other")), None);
        let ids: Vec<String> = lines.iter().map(|line| call(line).id.to_string()).collect();
        assert!(ids[0].starts_with("http:/v1/calls/") && ids[0] == ids[1] && ids[1] != ids[2], "{ids:?}");
    }

    #[test]
    fn the_device_is_the_one_of_the_certificate_whatever_a_line_says() {
        let forged = PLAIN.replace("\"tool\"", "\"device\":\"dev-1\",\"tool\"");
        for line in [PLAIN, &forged] {
            assert_eq!(call(&read(line, Some("dev-9"))[0]).device.unwrap().as_str(), "dev-9");
        }
        let sealed: Call = serde_json::from_slice(&read(&sealed_line(), Some("dev-9"))[0].output.payload).unwrap();
        assert_eq!(sealed.device.unwrap().as_str(), "dev-9");
    }

    #[test]
    fn a_sealed_call_goes_to_the_topic_of_sealed_calls_and_nothing_beside_it_does() {
        let line = &read(&sealed_line().replacen('{', "{\"note\":\"hunter2\",", 1), None)[0];
        assert!(line.sealed && line.bad.is_none());
        assert_eq!((line.output.topic.as_str(), line.output.key.as_slice()), (topics::SEALED, &b"s"[..]));
        let payload = String::from_utf8(line.output.payload.clone()).unwrap();
        assert!(!payload.contains("hunter2") && !payload.contains("edge"), "{payload}");
    }

    #[test]
    fn what_is_no_call_becomes_a_dead_letter_that_names_line_and_reason_and_no_byte_of_it() {
        let lines = read(&format!("{PLAIN}\n{{\"at\":1,\"tool\":\"hunter2\n"), None);
        let bad = lines[1].bad.clone().unwrap();
        assert_eq!((bad.line, bad.reason), (2, DeadReason::Malformed));
        let letter: DeadLetter = serde_json::from_slice(&lines[1].output.payload).unwrap();
        assert_eq!((letter.topic.as_str(), letter.partition, letter.offset), (DOOR, -1, 2));
        assert!(!String::from_utf8_lossy(&lines[1].output.payload).contains("hunter2"));
        assert_eq!(lines[1].output.topic, topics::DEAD);
    }

    #[test]
    fn too_many_lines_are_refused_by_the_first_one_too_many() {
        let key = TenantKey::new([7; 32]);
        let reading = Reading { at: AT, device: None, key: &key, calls: "calls" };
        assert_eq!(reading.lines("{}\n".repeat(LINES_MAX + 1).as_bytes()).err(), Some(LINES_MAX as u64 + 1));
    }
}
