//! Whatever comes from outside, nothing panics and nothing outgrows its bound.

use crate::common::NOW;
use policy::PolicySet;
use policy::server::grpc_timeout;
use policy::sighting::{CALLS_MAX, EVENT_BYTES_MAX, Seen, Sse, outcome, sight};
use proptest::prelude::*;

/// Bytes that are near to JSON-RPC more often than noise is.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let words = "(\\[|\\]|\\{|\\}|,|:|\"jsonrpc\"|\"2.0\"|\"method\"|\"tools/call\"|\"params\"|\"name\"|\"arguments\"|\"a\"|1e999|-|\\\\u0000|null){0,30}";
    prop_oneof![words.prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #[test]
    fn a_request_is_calls_or_an_error(
        body in body(), method in "\\PC{0,20}", path in "\\PC{0,300}", host in "\\PC{0,300}",
        header in proptest::option::of("\\PC{0,300}"), told in proptest::option::of("\\PC{0,20}"),
    ) {
        let seen = Seen {
            at: NOW, id: header.as_deref(), method: &method, path: &path, host: &host,
            header: &|_| header.as_deref(), told: &|_| told.as_deref(), peer: None, body: &body,
        };
        if let Ok(calls) = sight(&seen, "test/0") {
            prop_assert!(calls.len() <= CALLS_MAX);
        }
    }

    #[test]
    fn a_response_is_read_whatever_it_is(status in any::<u16>(), body in body(), chunk in 1usize..50) {
        let _ = outcome(status, &body);
        let mut sse = Sse::default();
        for piece in body.chunks(chunk) {
            prop_assert!(sse.push(piece).iter().all(|event| event.len() <= EVENT_BYTES_MAX));
        }
    }

    #[test]
    fn a_timeout_is_a_time_or_nothing(text in "\\PC{0,12}") {
        let _ = grpc_timeout(&text);
    }

    #[test]
    fn a_policy_file_is_a_set_or_an_error_with_a_place(
        text in "(permit|forbid|@id\\(\"a\"\\)|@ladder\\(\"deny\"\\)|\\(principal, action, resource\\)|when|\\{|\\}|context\\.|exposed|true|;| |\n|é){0,25}",
    ) {
        if let Err(error) = PolicySet::parse(&text) {
            prop_assert!(error.place().is_none_or(|(line, column)| line >= 1 && column >= 1));
        }
    }
}

#[test]
fn a_batch_over_the_limit_is_refused_and_not_cut() {
    let call = r#"{"jsonrpc":"2.0","method":"tools/call","params":{"name":"pay"}}"#;
    let body = format!("[{}]", vec![call; CALLS_MAX + 1].join(","));
    let seen = Seen {
        at: NOW,
        id: None,
        method: "POST",
        path: "/mcp",
        host: "bank",
        header: &|_| None,
        told: &|_| None,
        peer: None,
        body: body.as_bytes(),
    };
    assert!(sight(&seen, "test/0").unwrap_err().to_string().contains("33 calls"));
}
