//! Decisions on their way to a collector that is there, and to one that is not.

use super::*;
use crate::outlets::tests::{PATIENCE, receiver};
use crate::pipeline::{Judged, Pipeline};
use ::policy::{Fallback, PolicySet, Scored, fall_back};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use schema::{CallId, Millis, Mode, PolicyId, TraceParent};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A decision about a call of the built-in world.
fn logged(n: u64, fallback: Fallback, mode: Mode) -> Logged {
    let detector = detector::Detector::learning();
    let parts = crate::parts::for_data_sets(&crate::config::Config::default(), detector).unwrap();
    let mut raw = datasets::world::generate(3, 4).0.calls.swap_remove(0);
    raw.traceparent = Some(TraceParent::new(CALLER).unwrap());
    let Judged { call, verdict, .. } = Pipeline::new(parts).judge(&raw).unwrap();
    let why = PolicyId::new("fallback:deadline").unwrap();
    let decision = fall_back(CallId::new("c-1").unwrap(), fallback, why, &PolicySet::default(), mode);
    let scored = Some(Arc::new(Scored::new(call, verdict, None)));
    Logged { decision, scored, circumstances: Default::default(), at: Millis(n), door: "native", route: None }
}

fn collector(url: &str) -> Collector {
    Collector::new(url, b"", "policy/x".into()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stopped_is_told_in_the_callers_trace() {
    let (url, received) = receiver(vec![("200 OK", vec![])]);
    let spans = Spans::start(collector(&url));
    let teller = spans.teller();
    teller.tell(&logged(1, Fallback::Allow, Mode::Enforce));
    teller.tell(&Logged { scored: None, ..logged(2, Fallback::Deny, Mode::Enforce) });
    teller.tell(&logged(3, Fallback::Deny, Mode::Enforce));
    let (_, body) = tokio::task::spawn_blocking(move || received.recv_timeout(PATIENCE).unwrap()).await.unwrap();
    drop(teller);
    spans.close().await;
    let mut request = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
    let mut sent = request.resource_spans.pop().unwrap().scope_spans.pop().unwrap().spans;
    let span = sent.pop().unwrap();
    assert!(sent.is_empty());
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (3_000_000, 3_000_000));
    assert_eq!(Some((span.trace_id, span.parent_span_id)), caller(CALLER).map(|(t, s)| (t.to_vec(), s.to_vec())));
    assert!(span.attributes.contains(&text("vedette.decision", "deny")));
}

#[test]
fn a_decision_in_shadow_says_what_it_would_have_done() {
    let span = of_decision(&logged(1, Fallback::Deny, Mode::Shadow)).unwrap();
    for word in [text("vedette.decision", "allow"), text("vedette.would", "deny"), text("vedette.mode", "shadow")] {
        assert!(span.attributes.contains(&word), "{word:?}: {:?}", span.attributes);
    }
    assert!(of_decision(&logged(1, Fallback::Allow, Mode::Shadow)).is_none());
}

#[tokio::test]
async fn a_collector_that_is_away_keeps_nobody_waiting_and_no_more_than_there_is_room_for() {
    // A port that was free a moment ago, and that nobody listens on.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let spans = Spans::start(collector(&url));
    let teller = spans.teller();
    let one = logged(1, Fallback::Deny, Mode::Enforce);
    for _ in 0..QUEUE_MAX + 5 {
        teller.tell(&one);
    }
    // Nothing else ran meanwhile: what is waited for is what there is room for.
    assert_eq!(teller.waiting.load(Ordering::Relaxed), QUEUE_MAX as u64);
    drop(teller);
    spans.close().await;
}
