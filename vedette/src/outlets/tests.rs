//! Alerts to a file and to a receiver that is not always there. How they are read from Kafka is not tested here.

use super::*;
use schema::Millis;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc;

fn alert(n: i64) -> Record {
    let payload = format!("{{\"n\":{n}}}").into_bytes();
    Record { topic: topics::ALERTS.into(), partition: 0, offset: n, at: Millis(1), key: Some(b"s".to_vec()), payload }
}

async fn delivered(outlet: &Outlet, meters: &Meters) {
    for n in 0..3 {
        outlet.deliver(&alert(n), meters).await;
    }
}

/// Nothing that is waited for takes as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A receiver that gives these answers in turn, status with headers and body, one a connection, and tells what it was sent:
/// key and body.
pub(crate) fn receiver(answers: Vec<(&'static str, Vec<u8>)>) -> (String, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, received) = mpsc::channel();
    std::thread::spawn(move || {
        for (answer, told) in answers {
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
            sender.send((key, body)).unwrap();
            let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: {}\r\n\r\n", told.len());
            stream.get_mut().write_all(&[answer.as_bytes(), &told].concat()).unwrap();
        }
    });
    (url, received)
}

#[tokio::test]
async fn a_receiver_gets_every_alert_until_it_takes_it_and_in_order() {
    let answers = [
        "503 Service Unavailable\r\nretry-after: 0",
        "200 OK",
        "429 Too Many Requests\r\nretry-after: 0",
        "409 Conflict",
        "400 Bad Request",
    ];
    let (url, received) = receiver(answers.map(|answer| (answer, Vec::new())).to_vec());
    let meters = Meters::default();
    delivered(&Outlet::Webhook(Box::new(Webhook::new(&url, b"").unwrap())), &meters).await;
    let sent: Vec<(String, Vec<u8>)> = received.iter().collect();
    let expected = [0, 0, 1, 1, 2].map(|n| (format!("agent.alerts/0/{n}"), alert(n).payload));
    assert_eq!(sent, expected);
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    assert_eq!((read(&meters.delivered), read(&meters.retried), read(&meters.refused)), (2, 2, 1));
}

#[tokio::test]
async fn a_file_gets_one_line_an_alert() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("alerts.jsonl");
    writable(&path).unwrap();
    delivered(&Outlet::File(path.clone()), &Meters::default()).await;
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
