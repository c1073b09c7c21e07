//! Any bytes as what another replica says: an answer about the call that was asked about, within its bounds, which reads
//! back the same; or a record of a replica that can be believed.
#![no_main]

use ingest::Record;
use libfuzzer_sys::fuzz_target;
use schema::decode::{Received, native};
use schema::{Millis, TenantKey, topics};
use std::sync::LazyLock;
use vedette::hop::answer::Answer;

static CALL: LazyLock<schema::Call> = LazyLock::new(|| {
    let received = Received { at: Millis(9), id: String::new() };
    let raw = native::decode(br#"{"id":"01JD","at":1,"session":"s-1","tool":"t"}"#, &received).expect("a call");
    schema::seal(&raw, &TenantKey::new([7; 32]))
});

fuzz_target!(|bytes: &[u8]| {
    if let Some(answer) = Answer::read(bytes, &CALL) {
        let written = serde_json::to_vec(&answer).expect("what was read can be written");
        assert_eq!(Answer::read(&written, &CALL), Some(answer));
    }
    let (name, topic) = (b"vedette-0.vedette:8184", topics::MEMBERS.into());
    let record =
        Record { topic, partition: 0, offset: 0, at: Millis(0), key: Some(name.to_vec()), payload: bytes.to_vec() };
    if let Ok(member) = vedette::members::parse(&record, "00c0ffee00c0ffee") {
        assert_eq!(member.address.as_bytes(), name);
    }
});
