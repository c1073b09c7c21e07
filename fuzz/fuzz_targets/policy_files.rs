//! Any text as an allowlist, a scenario file, a list of keys or a line of the decision log: refused, or read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

/// Parsed once: that takes far longer than what is tried.
static POLICIES: LazyLock<policy::PolicySet> = LazyLock::new(policy::PolicySet::default);

fuzz_target!(|text: &str| {
    if let Ok(list) = policy::Allowlist::parse(text) {
        assert_eq!(policy::Allowlist::parse(&list.write()).as_ref(), Ok(&list));
    }
    let _ = policy::scenario::run(text, &POLICIES);
    let _ = policy::server::Keys::parse(text);
    let _ = policy::Chain::default().read(text, 1);
    let _ = serde_json::from_str::<policy::Mission>(text);
});
