//! Any bytes as what a gateway's door sees: a request is calls or an error, a response is an outcome, a stream is
//! events, each within its bound.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::sighting::{CALLS_MAX, EVENT_BYTES_MAX, Seen, Sse, outcome, sight};
use schema::Millis;

fuzz_target!(|input: (u16, &str, &str, &str, Option<&str>, &[u8])| {
    let (status, method, path, host, header, body) = input;
    let seen = Seen {
        at: Millis(1_795_343_040_062),
        id: header,
        method,
        path,
        host,
        header: &|_| header,
        told: &|_| None,
        peer: None,
        body,
    };
    if let Ok(calls) = sight(&seen, "door/0") {
        assert!(calls.len() <= CALLS_MAX);
    }
    let _ = outcome(status, body);
    let _ = policy::server::grpc_timeout(path);
    let mut sse = Sse::default();
    for piece in body.chunks(usize::from(status % 7) + 1) {
        assert!(sse.push(piece).iter().all(|event| event.len() <= EVENT_BYTES_MAX));
    }
});
