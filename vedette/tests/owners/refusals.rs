//! What no replica answers: calls of others' sessions, and what is no call of ours.

use super::{Replica, in_a_session, request, sessions, two};
use crate::fitted::FITTED;
use schema::{RawCall, TenantKey};
use std::net::{SocketAddr, TcpListener};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use vedette::hop::LIMITS;
use vedette::members::{Membership, owned_by};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_goes_one_hop_whatever_replicas_believe_of_each_other() {
    let (detector, sessions) = (&FITTED.detector, sessions());
    let (one, other) = (Replica::start(detector, None).await, Replica::start(detector, None).await);
    // Nobody answers at the third; that it is asked would be seen here.
    let third = TcpListener::bind("127.0.0.1:0").unwrap();
    third.set_nonblocking(true).unwrap();
    let key = vedette::key::for_data_sets();
    one.hear(&other.membership);
    other.hear(&Membership::new(&third.local_addr().unwrap().to_string(), &key, 3));

    let call = in_a_session(&sessions[0][0], |call| one.asks_another(call) && other.asks_another(call));
    let judged = one.ask(request(&call)).await;
    assert!(judged.decision.degraded && judged.scored.is_none());
    assert_eq!(judged.decision.reasons[0].as_str(), "fallback:unreachable");
    assert_eq!(third.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "the third was asked");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_call_of_ours_is_refused_by_name() {
    let (detector, sessions) = (&FITTED.detector, sessions());
    let [one, other] = two(detector, [None, None]).await;
    let written = |raw: &RawCall, key: &TenantKey| serde_json::to_vec(&schema::seal(&request(raw), key)).unwrap();
    let key = vedette::key::for_data_sets();
    let own = in_a_session(&sessions[0][0], |call| !one.asks_another(call));
    let others = in_a_session(&sessions[0][0], |call| one.asks_another(call));
    assert_eq!(one.membership.owner(owned_by(&key, &others)).as_deref(), Some(other.address.to_string().as_str()));
    let mission = format!(r#"{{"session":"{}"}}"#, others.session);
    let cases: [(&str, Vec<u8>, u16); 8] = [
        ("/v1/members/score", written(&own, &key), 200),
        ("/v1/members/score", written(&others, &key), 421),
        ("/v1/members/result", written(&others, &key), 421),
        ("/v1/members/score", written(&own, &TenantKey::new([9; 32])), 403),
        ("/v1/members/score", b"{}".to_vec(), 400),
        ("/v1/members/score", vec![b' '; LIMITS.body_bytes_max + 1], 413),
        ("/v1/members/mission", mission.into_bytes(), 421),
        ("/v1/decide", b"{}".to_vec(), 404),
    ];
    for (path, body, status) in cases {
        assert_eq!(post(one.address, path, &body).await, status, "{path}, {} bytes", body.len());
    }
}

/// The status of an answer.
async fn post(address: SocketAddr, path: &str, body: &[u8]) -> u16 {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: v\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[9..12]).parse().unwrap()
}
