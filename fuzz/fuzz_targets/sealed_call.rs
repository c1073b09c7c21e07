//! Any bytes as a call that a device has sealed: refused with a reason, or a call within every bound that reads back the
//! same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::Millis;
use schema::decode::{Received, sealed};

fuzz_target!(|bytes: &[u8]| {
    let received = Received { at: Millis(1_795_343_040_062), id: "agent.sealed/0/0".to_owned() };
    let Ok(call) = sealed::decode(bytes, &received) else { return };
    let written = serde_json::to_vec(&call).expect("what was read can be written");
    assert_eq!(sealed::decode(&written, &received).expect("what we write, we read"), call);
});
