//! Any bytes as lines of a device's log of calls: refused with the line, or one piece of a chain.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = cert_manager::agent::calls::check_chain(bytes);
});
