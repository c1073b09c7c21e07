//! Any text as `vedette.toml`: refused with a report, or a configuration within its bounds.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = vedette::config::parse("vedette.toml", text) {
        let _ = format!("{error:?}");
    }
});
