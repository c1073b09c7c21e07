//! Any bytes as a status list: refused, or one that says good, revoked or stale of any serial number.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(list) = cert_manager::revocation::parse_status_list(bytes) {
        let _ = list.says(bytes, cert_manager::Millis(1_795_343_040_000));
    }
});
