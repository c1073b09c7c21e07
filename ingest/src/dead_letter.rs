//! What is kept of a record that could not be read.

use crate::{Output, Record};
use schema::decode::DecodeError;
use schema::{DeadLetter, RECORD_VERSION, TenantKey, topics};

/// The dead letter of `record`: where it stands, why it was set aside, its length and keyed digest, never its bytes.
///
/// Keyed by [`Record::id`], so that a letter written twice is seen to be one.
pub fn dead_letter(key: &TenantKey, record: &Record, error: &DecodeError) -> Output {
    let letter = DeadLetter {
        v: RECORD_VERSION,
        topic: record.topic.to_string(),
        partition: record.partition,
        offset: record.offset,
        reason: error.reason,
        detail: error.detail.clone(),
        bytes: record.payload.len() as u64,
        digest: format!("{:016x}", key.digest(&record.payload).0),
    };
    // INVARIANT: strings and integers only, so the letter is always representable.
    let payload = serde_json::to_vec(&letter).unwrap_or_default();
    Output { topic: topics::DEAD.to_owned(), key: record.id().into_bytes(), payload }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::{DeadReason, Millis};

    #[test]
    fn a_dead_letter_says_why_and_where_and_holds_no_byte_of_the_record() {
        let record = Record {
            topic: "agent.calls".into(),
            partition: 3,
            offset: 1042,
            at: Millis(0),
            key: None,
            payload: b"{\"password\":\"hunter2".to_vec(),
        };
        let error = DecodeError { reason: DeadReason::Malformed, detail: "ends at byte 20".to_owned() };
        let letter = dead_letter(&TenantKey::new([7; 32]), &record, &error);
        assert_eq!(letter.topic, "agent.calls.dead");
        assert_eq!(letter.key, b"agent.calls/3/1042");
        let text = String::from_utf8(letter.payload).unwrap();
        assert!(!text.contains("hunter2") && !text.contains("password"), "{text}");
        let read: DeadLetter = serde_json::from_str(&text).unwrap();
        assert_eq!((read.partition, read.offset, read.reason, read.bytes), (3, 1042, DeadReason::Malformed, 20));
        assert_eq!(read.digest.len(), 16);
        let other = dead_letter(&TenantKey::new([8; 32]), &record, &error);
        assert_ne!(text.as_bytes(), other.payload, "the digest is keyed");
    }
}
