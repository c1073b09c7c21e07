//! Any bytes as a certs-only CMS message (RFC 5652, RFC 7030 section 4.1.3): refused, or its certificates.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = cert_manager::est::wire::parse_certs_only(bytes);
});
