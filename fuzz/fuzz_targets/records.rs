//! Any bytes as a record of one of our topics: refused, or a record that is written back as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::{Call, DeadLetter, Decision, Member, ModelChange, ModelRecord, QueryRecord, Standing, Verdict};

fn check<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(record) = serde_json::from_slice::<T>(bytes) else { return };
    let written = serde_json::to_vec(&record).expect("what was read can be written");
    let again: T = serde_json::from_slice(&written).expect("what we write, we read");
    assert_eq!(again, record);
}

fuzz_target!(|bytes: &[u8]| {
    check::<Call>(bytes);
    check::<Verdict>(bytes);
    check::<Decision>(bytes);
    check::<Standing>(bytes);
    check::<QueryRecord>(bytes);
    check::<DeadLetter>(bytes);
    check::<ModelRecord>(bytes);
    check::<ModelChange>(bytes);
    check::<Member>(bytes);
});
