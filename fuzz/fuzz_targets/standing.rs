//! Any bytes as what an engine tells of a session: refused, or a standing within every bound that reads back the same; and any
//! sketch as a session's state, by which a call is judged.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::StandingRecord;

fuzz_target!(|bytes: &[u8]| {
    let _ = detector::SessionState::from_sketch(bytes);
    let Ok(record) = StandingRecord::read(bytes) else { return };
    let written = serde_json::to_vec(&record).expect("what was read can be written");
    assert_eq!(StandingRecord::read(&written).expect("what we write, we read"), record);
    let _ = record.sketch.as_deref().and_then(detector::SessionState::from_sketch);
});
