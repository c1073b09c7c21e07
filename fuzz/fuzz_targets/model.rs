//! Any bytes as a model file: refused, or a model that is written back as it was read. The fuzzer cannot guess a
//! checksum, so the content is also tried under a right one.
#![no_main]

use detector::Model;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Model::from_bytes(bytes);
    let mut file = b"VEDETTEM".to_vec();
    file.extend_from_slice(&1u32.to_le_bytes());
    file.extend_from_slice(&schema::Digest::of(bytes).0);
    file.extend_from_slice(bytes);
    if let Ok(model) = Model::from_bytes(&file) {
        let _ = model.to_bytes();
    }
});
