//! From a call with its caller's trace, through the pipeline and Kafka, to a collector.

use super::*;
use crate::operator::Judge;
use crate::outlets::tests::{PATIENCE, receiver};
use crate::outlets::{Meters, Outlet};
use crate::parts;
use datasets::Split;
use detector::{Detector, FitOptions, TrainingSession};
use ingest::mock::MockKafka;
use ingest::{Operator as _, Output, Outputs};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use prost::Message as _;
use schema::{Millis, TraceParent, topics};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Ids of the trace and span that the nth call comes with.
fn of_caller(n: usize) -> (Vec<u8>, Vec<u8>) {
    ((n as u128 + 1).to_be_bytes().to_vec(), (n as u64 + 1).to_be_bytes().to_vec())
}

/// The first alert on the built-in world, and which of its calls raised it.
fn first_alert() -> (usize, Output) {
    let config = crate::config::Config::default();
    let key = parts::key_for_data_sets(&config).unwrap();
    let (set, _) = datasets::world::generate(3, 240);
    let honest = set.calls_by_session().into_iter().filter(|(meta, _)| meta.split == Split::Train);
    let sealed = |calls: Vec<usize>| calls.into_iter().map(|at| schema::seal_for_fit(&set.calls[at], &key)).collect();
    let sessions = honest.map(|(_, calls)| TrainingSession { calls: sealed(calls), pool: None }).collect::<Vec<_>>();
    let model = detector::fit(&sessions, &FitOptions { seed: 7 }).unwrap();
    let mut judge = Judge::new(parts::for_data_sets(&config, Detector::new(model)).unwrap());
    for (n, call) in set.calls.iter().enumerate() {
        let mut call = call.clone();
        call.traceparent = Some(TraceParent::new(&format!("00-{:032x}-{:016x}-00", n + 1, n + 1)).unwrap());
        let Output { topic, payload, .. } = crate::commands::replay::record(&call);
        let (topic, at) = (topic.into(), call.at);
        let mut out = Outputs::default();
        judge.apply(&Record { topic, partition: 0, offset: n as i64, at, key: None, payload }, &mut out);
        if let Some(alert) = out.iter().find(|written| written.topic == topics::ALERTS) {
            return (n, alert.to_output());
        }
    }
    panic!("no call of the world raises an alert");
}

fn outlet(url: &str) -> Outlet {
    Outlet::Traces(Box::new(Collector::new(url, b"", "vedette/0".into()).unwrap()))
}

fn finding(payload: &str) -> Record {
    let (topic, payload) = (topics::ALERTS.into(), payload.as_bytes().to_vec());
    Record { topic, partition: 0, offset: 7, at: Millis(2_000), key: None, payload }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alert_becomes_a_span_of_the_trace_of_the_call_that_raised_it() {
    let (n, alert) = first_alert();
    let kafka = MockKafka::start(&crate::topics::with_partitions(1)).unwrap();
    ingest::produce::send_all(kafka.bootstrap(), [alert.clone()]).await.unwrap();
    // A collector that is away at first: what is sent again is the same span.
    let (url, received) = receiver(vec![("503 Service Unavailable\r\nretry-after: 0", vec![]), ("200 OK", vec![])]);
    let meters = Arc::new(Meters::default());
    let running = tokio::spawn(outlet(&url).run(kafka.bootstrap().into(), "vedette".into(), Arc::clone(&meters)));
    let next = move |_| received.recv_timeout(PATIENCE).expect("the alert is sent, twice");
    let sent = tokio::task::spawn_blocking(|| (0..2).map(next).collect::<Vec<_>>()).await.unwrap();
    let taken = async {
        while meters.delivered.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, taken).await.expect("the second time it is taken");
    running.abort();
    // Its consumer leaves the group while there is a broker to tell: without one librdkafka waits for ever.
    let _ = running.await;
    assert_eq!(sent[0], sent[1]);

    let mut request = ExportTraceServiceRequest::decode(sent[0].1.as_slice()).unwrap();
    let mut resource = request.resource_spans.pop().unwrap();
    let span = resource.scope_spans.pop().unwrap().spans.pop().unwrap();
    assert_eq!((span.trace_id, span.parent_span_id), of_caller(n));
    assert!(span.span_id.len() == 8 && span.start_time_unix_nano <= span.end_time_unix_nano);
    let keys = |attributes: &[KeyValue]| attributes.iter().map(|one| one.key.clone()).collect::<Vec<_>>();
    let known: Vec<&str> = TEXTS.iter().chain(&NUMBERS).map(|(key, _)| *key).collect();
    assert_eq!(keys(&span.attributes), known, "names, numbers and places, and nothing else");
    let finding: Value = serde_json::from_slice(&alert.payload).unwrap();
    assert!(span.attributes.contains(&text("vedette.incident", finding["finding_info"]["uid"].as_str().unwrap())));
    let of_us = resource.resource.unwrap().attributes;
    assert_eq!(keys(&of_us), ["service.name", "service.version", "service.instance.id"]);
}

#[test]
fn alerts_of_calls_without_a_trace_are_one_trace_for_each_incident() {
    let of = |incident: &str, more: &str| {
        let payload = format!(r#"{{"time":5000,"finding_info":{{"uid":"{incident}"}}{more}}}"#);
        of_finding(&finding(&payload)).unwrap()
    };
    let (one, another) = (of("t/s-1", ""), of("t/s-2", ""));
    assert_eq!(one.trace_id, of("t/s-1", r#","unmapped":{"traceparent":"something else"}"#).trace_id);
    assert_ne!(one.trace_id, another.trace_id);
    assert!(one.parent_span_id.is_empty());
    // Written, by its stamp, before it was called: clocks differ.
    assert_eq!((one.start_time_unix_nano, one.end_time_unix_nano), (5_000_000_000, 5_000_000_000));
    for none in ["", "[]", "{}", r#"{"time":"5000","finding_info":{"uid":"x"}}"#, r#"{"time":5000,"finding_info":{}}"#]
    {
        assert!(of_finding(&finding(none)).is_none(), "{none}");
    }
}
