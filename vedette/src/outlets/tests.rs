//! Alerts from a Kafka inside the process to a file and to a receiver that is not always there.

use super::*;
use ingest::Output;
use ingest::mock::MockKafka;
use ingest::topics::TopicSpec;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

fn alert(n: u32) -> Output {
    let payload = format!("{{\"n\":{n}}}").into_bytes();
    Output { topic: topics::ALERTS.to_owned(), key: b"s".to_vec(), payload }
}

async fn kafka(alerts: u32) -> MockKafka {
    let kafka = MockKafka::start(&[TopicSpec::new(topics::ALERTS, 1)]).unwrap();
    ingest::produce::send_all(kafka.bootstrap(), (0..alerts).map(alert)).await.unwrap();
    kafka
}

/// A receiver that gives these answers in turn, one a connection, and tells what it was sent: key and body.
fn receiver(answers: Vec<&'static str>) -> (String, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook/secret", listener.local_addr().unwrap());
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            let (mut key, mut length, mut line) = (String::new(), 0, String::new());
            while stream.read_line(&mut line).unwrap() > 2 {
                let header = line.trim_end().to_ascii_lowercase();
                match header.split_once(": ") {
                    Some(("idempotency-key", value)) => value.clone_into(&mut key),
                    Some(("content-length", value)) => length = value.parse().unwrap(),
                    _ => {}
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            sender.send((key, String::from_utf8(body).unwrap())).unwrap();
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, received)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_gets_every_alert_until_it_takes_it_and_in_order() {
    let kafka = kafka(3).await;
    let (url, received) = receiver(vec![
        "503 Service Unavailable\r\nretry-after: 0",
        "200 OK",
        "429 Too Many Requests\r\nretry-after: 0",
        "409 Conflict",
        "400 Bad Request",
    ]);
    let meters = Arc::new(Meters::default());
    let webhook = Outlet::Webhook(Box::new(Webhook::new(&url, b"").unwrap()));
    let running = tokio::spawn(webhook.run(kafka.bootstrap().into(), "g".to_owned(), Arc::clone(&meters)));
    let sent = tokio::task::spawn_blocking(move || (0..5).map(|_| received.recv().unwrap()).collect::<Vec<_>>());
    let sent = sent.await.unwrap();
    let expected = [0, 0, 1, 1, 2].map(|n| (format!("agent.alerts/0/{n}"), format!("{{\"n\":{n}}}")));
    assert_eq!(sent, expected);
    while meters.refused.load(Ordering::Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    assert_eq!((read(&meters.delivered), read(&meters.retried), read(&meters.refused)), (2, 2, 1));
    running.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_gets_one_line_an_alert() {
    let kafka = kafka(3).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts.jsonl");
    writable(&path).unwrap();
    let meters = Arc::new(Meters::default());
    let outlet = Outlet::File(path.clone());
    let running = tokio::spawn(outlet.run(kafka.bootstrap().into(), "g".to_owned(), Arc::clone(&meters)));
    while meters.delivered.load(Ordering::Relaxed) < 3 {
        tokio::task::yield_now().await;
    }
    running.abort();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n");
    assert!(writable(&folder.path().join("no/such/folder")).is_err());
}

#[test]
fn addresses_that_would_tell_others_or_lead_nowhere_are_refused() {
    let refused = |url| Webhook::new(url, b"").unwrap_err();
    assert_eq!(refused("http://siem.example/x"), AddressError::PlainText);
    assert_eq!(refused("https://siem.example/x"), AddressError::NoAuthorities);
    for bad in ["", "ftp://127.0.0.1", "/x", "siem"] {
        assert_eq!(refused(bad), AddressError::Url, "{bad}");
    }
    let shown = format!("{:?}", Webhook::new("http://127.0.0.1:9/hook/secret", b"").unwrap());
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn pauses_grow_and_end_growing() {
    assert_eq!([0, 1, 2, 40].map(pause).map(|pause| pause.as_millis()), [500, 1_000, 2_000, 30_000]);
}
