//! Answers of the door, on a Kafka inside the process and on none.

use super::*;
use axum::body::to_bytes;
use ingest::mock::MockKafka;
use ingest::read_back::Reader;
use ingest::topics::TopicSpec;
use schema::topics;

const CALL: &str = r#"{"at":1,"session":"s","tool":"t","id":"c"}"#;

fn kafka() -> MockKafka {
    MockKafka::start(&[topics::CALLS, topics::SEALED, topics::DEAD].map(|name| TopicSpec::new(name, 1))).unwrap()
}

fn door(cluster: impl Into<Cluster>) -> Door {
    let cluster = &cluster.into();
    let calls = Some(topics::CALLS.to_owned());
    Door::new(Settings { cluster, key: TenantKey::new([7; 32]), keys: None, calls }).unwrap()
}

/// Status, `Retry-After`, body.
async fn send(door: &Door, headers: &[(&str, &str)], body: impl Into<Body>) -> (u16, Option<String>, String) {
    let mut request = Request::post("/v1/calls").body(body.into()).unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(axum::http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    let response = Door::calls(State(door.clone()), request).await;
    let retry = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let (status, body) = (response.status().as_u16(), to_bytes(response.into_body(), 1 << 20).await.unwrap());
    (status, retry, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn taken_means_that_kafka_has_it() {
    let kafka = kafka();
    let door = door(kafka.bootstrap());
    let (status, _, body) = send(&door, &[("content-type", "application/x-ndjson; charset=utf-8")], CALL).await;
    assert_eq!((status, body.as_str()), (202, r#"{"calls":1,"repeated":0,"dead":0}"#));
    let record = Reader::start(kafka.bootstrap(), topics::CALLS).await.unwrap().next().await.unwrap();
    assert_eq!((record.payload.as_slice(), record.key.as_deref()), (CALL.as_bytes(), Some(&b"s"[..])));
    assert_eq!(door.in_flight_bytes(), 0);
}

#[tokio::test]
async fn what_cannot_be_taken_is_a_problem_that_says_why() {
    let kafka = kafka();
    let door = door(kafka.bootstrap());
    for (headers, body, status, word) in [
        (&[("content-type", "text/csv")][..], CALL, 415, "application/x-ndjson"),
        (&[("content-encoding", "br")], CALL, 415, "zstd"),
        (&[("content-encoding", "zstd")], CALL, 400, "is not Zstd"),
    ] {
        let (found, _, said) = send(&door, headers, body).await;
        assert!(found == status && said.contains(word) && said.contains("urn:vedette:problem:"), "{found} {said}");
    }
    let (status, _, said) = send(&door, &[], vec![b' '; BODY_BYTES_MAX + 1]).await;
    assert!(status == 413 && said.contains("8388608"), "{status} {said}");
    let bomb = ruzstd::encoding::compress_to_vec(
        vec![b' '; INFLATED_BYTES_MAX + 1].as_slice(),
        ruzstd::encoding::CompressionLevel::Fastest,
    );
    let (status, _, said) = send(&door, &[("content-encoding", "zstd")], bomb).await;
    assert!(status == 413 && said.contains("inflates to more"), "{status} {said}");
    let (status, _, said) = send(&door, &[], "{}\n".repeat(LINES_MAX + 1)).await;
    assert!(status == 413 && said.contains(r#""lines":[{"line":50001,"reason":"oversize""#), "{status} {said}");
    assert_eq!(door.in_flight_bytes(), 0);
}

#[tokio::test]
async fn where_more_is_in_hand_than_may_be_the_sender_is_asked_to_come_back() {
    let kafka = kafka();
    let door = door(kafka.bootstrap());
    let held = Arc::clone(&door.0.room).acquire_many_owned(65_536).await.unwrap();
    let (status, retry, said) = send(&door, &[], CALL).await;
    assert_eq!((status, retry.as_deref()), (429, Some("1")), "{said}");
    drop(held);
    assert_eq!(send(&door, &[], CALL).await.0, 202);
    assert_eq!((door.meters().requests(Outcome::Busy), door.meters().requests(Outcome::Taken)), (1, 1));
}

#[tokio::test]
async fn while_kafka_is_away_nothing_is_promised_and_nothing_remembered_as_taken() {
    let away = door(Cluster::new("127.0.0.1:1").with("message.timeout.ms", "300"));
    for _ in 0..2 {
        let (status, retry, said) = send(&away, &[], CALL).await;
        assert_eq!((status, retry.as_deref()), (503, Some("5")), "{said}");
        assert!(said.contains("did not acknowledge"), "{said}");
    }
}
