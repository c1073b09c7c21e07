//! What names a caller, and what collectors answer.

use super::*;
use crate::outlets::tests::receiver;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

#[test]
fn a_caller_is_known_by_a_traceparent_and_by_nothing_else() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";
    for (version, more) in [("00", ""), ("01", ""), ("01", "-what-comes-later")] {
        let (trace, span) = caller(&format!("{version}-{TRACE}-{SPAN}-01{more}")).unwrap();
        assert_eq!((trace[0], trace[15], span[0], span[7]), (0x0a, 0x9c, 0xb7, 0x31));
    }
    let (no_trace, no_span) = ("0".repeat(32), "0".repeat(16));
    for none in [
        String::new(),
        TRACE.to_owned(),
        format!("00-{TRACE}"),
        format!("00-{TRACE}-{SPAN}"),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-01-more"),
        format!("00-{no_trace}-{SPAN}-01"),
        format!("00-{TRACE}-{no_span}-01"),
        format!("00-+{}-{SPAN}-01", &TRACE[1..]),
        format!("00-{TRACE}-{SPAN}-é"),
        format!("0-0{TRACE}-{SPAN}-01"),
    ] {
        assert_eq!(caller(&none), None, "{none}");
    }
}

#[tokio::test]
async fn a_collector_is_asked_again_where_it_wants_to_be_and_believed_where_it_does_not() {
    let partly = ExportTracePartialSuccess { rejected_spans: 1, error_message: "too old".into() };
    let partly = ExportTraceServiceResponse { partial_success: Some(partly) }.encode_to_vec();
    let of_one = || vec![span("alert", None, "t/s-1", "one", Millis(5), Millis(6))];
    for (answer, expected) in [
        (("200 OK", vec![]), "taken"),
        (("202 Accepted", vec![]), "taken"),
        (("200 OK", b"\xff".to_vec()), "taken"),
        (("200 OK", partly), "refused"),
        (("400 Bad Request", vec![]), "refused"),
        (("500 Internal Server Error", vec![]), "refused"),
        (("502 Bad Gateway", vec![]), "again"),
        (("429 Too Many Requests\r\nretry-after: 3", vec![]), "later"),
    ] {
        let (url, received) = receiver(vec![answer.clone()]);
        let ended = match Collector::new(&url, b"", String::new()).unwrap().export("k", of_one()).await {
            Attempt::Done => "taken",
            Attempt::Again(_, wait) => {
                if wait.is_some() {
                    "later"
                } else {
                    "again"
                }
            }
            Attempt::Refused(_) => "refused",
        };
        assert_eq!((received.iter().count(), ended), (1, expected), "{answer:?}");
    }
}

#[test]
fn a_collector_is_named_without_the_path_of_a_signal() {
    for url in ["http://127.0.0.1:4318", "http://127.0.0.1:4318/"] {
        let collector = Collector::new(url, b"", String::new()).unwrap();
        assert_eq!(collector.receiver.path(), "/v1/traces");
    }
    assert_eq!(
        Collector::new("http://collector.example:4318", b"", String::new()).unwrap_err(),
        AddressError::PlainText
    );
}
