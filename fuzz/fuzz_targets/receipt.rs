//! Any bytes as a signed receipt: refused, or one that is written as it was read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(receipt) = cert_manager::receipt::parse_receipt(bytes) {
        assert_eq!(receipt.bytes(), bytes, "what was read is what was signed");
    }
});
