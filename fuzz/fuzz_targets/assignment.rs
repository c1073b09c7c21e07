//! Any bytes as what a member of a consumer group was given: refused, or no more partitions than the bytes can say.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some(partitions) = ingest::owners::assignment::partitions(bytes) {
        assert!(partitions.len() * 4 <= bytes.len());
        assert!(partitions.iter().all(|partition| partition.topic.len() <= bytes.len()));
    }
});
