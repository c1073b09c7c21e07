//! Any text as what a device says it holds, or as a question for a page of the fleet: refused, or read within its bounds.
#![no_main]

use cert_manager::fleet::{PAGE_MAX, parse_query};
use cert_manager::holds::Holds;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(holds) = text.parse::<Holds>() {
        assert_eq!(holds.to_string().parse(), Ok(holds), "what was read is read again");
    }
    if let Ok(query) = parse_query(text) {
        assert!((1..=PAGE_MAX).contains(&query.limit));
    }
});
