//! What several targets do alike.

use schema::decode::{Decoder, Format, Received, Routes};
use schema::limits::RECORD_CALLS_MAX;
use schema::{Millis, TenantKey};

/// Any bytes as a record of `format`: every part is counted, a call seals, and a record once read is read the same again.
pub fn decode(format: Format, bytes: &[u8]) {
    let routes = Routes::new(&["POST /hotels/{id}/reserve", "/users/{name}"]).expect("routes");
    let decoder = Decoder { format, routes };
    let received = Received { at: Millis(1_795_343_040_062), id: "topic/0/7".to_owned() };
    let (out, again) = (decoder.decode(bytes, &received), decoder.decode(bytes, &received));
    assert!(out.calls.len() <= RECORD_CALLS_MAX);
    assert_eq!(out.dead, again.dead);
    let key = TenantKey::new([7; 32]);
    for (call, again) in out.calls.iter().zip(&again.calls) {
        assert_eq!(schema::seal(call, &key), schema::seal(again, &key));
    }
}
