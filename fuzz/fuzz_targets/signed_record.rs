//! Any bytes as something that is signed and passed around, or as an answer of the authority: refused, or what it says.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = cert_manager::trust::Trust::start(bytes);
    let _ = cert_manager::trust::parse_root_document(bytes);
    let _ = cert_manager::envelope::parse_envelope(bytes);
    let _ = cert_manager::bundle::parse_manifest(bytes);
    let _ = cert_manager::revocation::parse_status_list(bytes);
    let _ = cert_manager::receipt::parse_receipt(bytes);
    let _ = cert_manager::est::client::parse_head(bytes);
});
