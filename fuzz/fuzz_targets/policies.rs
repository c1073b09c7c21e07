//! Any text as a policy file: refused with its place, or a set.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = policy::PolicySet::parse(text);
});
