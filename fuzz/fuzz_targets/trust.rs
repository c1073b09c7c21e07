//! Any bytes as a root document, signed or not: refused, or a document within its limits.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = cert_manager::trust::Trust::start(bytes);
    let _ = cert_manager::trust::parse_root_document(bytes);
    let _ = cert_manager::bundle::parse_manifest(bytes);
});
