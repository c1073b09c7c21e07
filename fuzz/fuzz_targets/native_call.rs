//! Any bytes as a call record: refused with a reason, or a call that seals and reads back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use schema::decode::{Received, native};
use schema::{Millis, TenantKey};

fuzz_target!(|bytes: &[u8]| {
    let received = Received { at: Millis(1_795_343_040_062), id: "agent.calls/0/0".to_owned() };
    let Ok(raw) = native::decode(bytes, &received) else { return };
    let key = TenantKey::new([7; 32]);
    let sealed = schema::seal(&raw, &key);
    let again = native::decode(&native::encode(&raw), &received).expect("what we write, we read");
    assert_eq!(schema::seal(&again, &key), sealed);
});
