//! Any bytes as a mapping and a record under it, with a byte between them that is in no UTF-8 text; and any bytes as
//! routes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::decode::{Format, Mapping, Routes, route};

fuzz_target!(|bytes: &[u8]| {
    let Some(at) = bytes.iter().position(|byte| *byte == 0xff) else {
        if let Ok(text) = std::str::from_utf8(bytes) {
            let _ = Routes::new(&text.lines().collect::<Vec<_>>());
            let _ = route::learn(text.lines().map(|path| ("GET", path)));
        }
        return;
    };
    let (mapping, record) = bytes.split_at(at);
    let Ok(mapping) = serde_json::from_slice::<Mapping>(mapping) else { return };
    if let Ok(mapping) = mapping.check() {
        fuzz::decode(Format::Mapping(Box::new(mapping)), record.get(1..).unwrap_or_default());
    }
});
