//! Any bytes as a certification request (RFC 2986), as it comes in an EST body: refused, or a proved key.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = cert_manager::est::csr::parse_csr(bytes);
    if let Ok(der) = cert_manager::est::wire::decode_body(bytes) {
        let _ = cert_manager::est::csr::parse_csr(&der);
    }
});
