//! Any bytes as what an interrupted `vedette fit --topic` left: of another reading, or whole lines that are read the same again,
//! each further than the one before and none beyond what is read.
#![no_main]

use ingest::stretch::Stretch;
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use vedette::commands::fit::kept::{Begun, Held};

fuzz_target!(|bytes: &[u8]| {
    let (topic, format) = ("agent.calls".to_owned(), "native".to_owned());
    let asked = Begun { topic, since: None, format, key: 7, stretches: [].into() };
    let read = |bytes| Held::read(bytes, Path::new("model.reading"), &asked).expect("memory");
    let (held, whole) = read(bytes);
    let (again, all) = read(&bytes[..whole as usize]);
    assert_eq!((&again, all), (&held, whole));
    assert_eq!(held.by_partition.values().map(|calls| calls.len() as u64).sum::<u64>(), held.calls);
    let Some(begun) = held.begun else { return };
    for (partition, next) in &held.next {
        let stretch = begun.stretches[partition];
        let left = Stretch { from: *next, ..stretch };
        assert!(left.len() < stretch.len());
    }
});
