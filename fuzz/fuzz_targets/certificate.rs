//! Any bytes as a certificate, a request for one, or a message of them: refused, or facts.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = cert_manager::facts::parse_certificate(bytes);
    let _ = cert_manager::est::csr::parse_csr(bytes);
    let _ = cert_manager::est::wire::parse_certs_only(bytes);
    let _ = cert_manager::est::wire::decode_body(bytes);
    let _ = cert_manager::pem::certificates(bytes);
});
