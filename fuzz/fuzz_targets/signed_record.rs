//! Any bytes as a root document, a receipt, or an answer of the authority: refused, or what was signed.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = cert_manager::trust::Trust::start(bytes);
    let _ = cert_manager::receipt::parse_receipt(bytes);
    let _ = cert_manager::est::client::parse_head(bytes);
});
