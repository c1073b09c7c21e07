//! Any bytes as a body of `POST /v1/calls`, in each coding: refused, or no more lines and bytes than there may be, each line a
//! record for Kafka.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::{Millis, TenantKey};
use vedette::door::inflate::{Coding, inflate};
use vedette::door::lines::{LINES_MAX, Reading};

fuzz_target!(|bytes: &[u8]| {
    let key = TenantKey::new([7; 32]);
    for coding in [Coding::Identity, Coding::Gzip, Coding::Zstd] {
        let Ok(body) = inflate(bytes, coding, 1 << 20, |_| true) else { continue };
        assert!(body.len() <= 1 << 20);
        let reading = Reading { at: Millis(1_795_343_040_062), device: None, key: &key, calls: "agent.calls" };
        let Ok(lines) = reading.lines(&body) else { continue };
        assert!(lines.len() <= LINES_MAX);
        assert!(lines.iter().all(|line| !line.output.payload.is_empty()));
    }
});
