//! Who may ask, and how: mutual TLS beyond the loopback, keys, and the limits of HTTP/2.

use crate::common::http::{Scripted, decide, http, start};
use policy::PolicySet;
use policy::server::{AppState, Endpoint, Keys, Limits, Tls, serve};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use schema::{Digest, Mode};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

fn state() -> AppState {
    let mut state = AppState::new(Arc::new(Scripted::default()), PolicySet::default(), Mode::Enforce);
    state.routes.default.deadline_ms = 30_000;
    state
}

/// A certificate with its key, as PEM.
struct Pair(String, String);

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issued(by: &CertifiedIssuer<'static, KeyPair>, name: &str, serial: u64) -> Pair {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.serial_number = Some(SerialNumber::from(serial));
    let key = KeyPair::generate().unwrap();
    Pair(params.signed_by(&key, by).unwrap().pem(), key.serialize_pem())
}

fn revoking(by: &CertifiedIssuer<'static, KeyPair>, serial: u64) -> String {
    let now = rcgen::date_time_ymd(2026, 1, 1);
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: now,
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: now,
        next_update: rcgen::date_time_ymd(2099, 1, 1),
        crl_number: SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(by).unwrap().pem().unwrap()
}

async fn listening(tls: Tls) -> SocketAddr {
    // Every address of this machine: without TLS this is refused.
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
    tokio::spawn(serve(Endpoint { listener, tls: Some(tls), workers: None }, state(), std::future::pending()));
    address
}

type Open = tokio_rustls::client::TlsStream<TcpStream>;

/// A connection as `pair`.
async fn connect(at: SocketAddr, server_authority: &str, pair: Option<&Pair>) -> Option<Open> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(server_authority.as_bytes()).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match pair {
        None => builder.with_no_client_auth(),
        Some(Pair(certificate, key)) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    let stream = TcpStream::connect(at).await.unwrap();
    let name = ServerName::try_from("vedette.example").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()
}

/// The status of `/healthz`, asked with `pair`; none where the handshake or the connection ends instead.
async fn ask(at: SocketAddr, server_authority: &str, pair: Option<&Pair>) -> Option<u16> {
    let mut stream = connect(at, server_authority, pair).await?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: v\r\nconnection: close\r\n\r\n").await.ok()?;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(answer.get(9..12)?).parse().ok()
}

#[tokio::test]
async fn beyond_the_loopback_only_certificates_of_the_named_authority_get_in() {
    let (servers, gateways, strangers) = (authority("servers"), authority("gateways"), authority("strangers"));
    let Pair(certificate, key) = issued(&servers, "vedette.example", 1);
    let tls = |revoked: Option<&str>| {
        let revoked = revoked.map(str::as_bytes);
        Tls::new(certificate.as_bytes(), key.as_bytes(), gateways.pem().as_bytes(), revoked).unwrap()
    };
    let (envoy, stranger) = (issued(&gateways, "envoy", 7), issued(&strangers, "envoy", 7));
    let at = listening(tls(None)).await;
    assert_eq!(ask(at, &servers.pem(), Some(&envoy)).await, Some(200));
    assert_eq!(ask(at, &servers.pem(), None).await, None);
    assert_eq!(ask(at, &servers.pem(), Some(&stranger)).await, None);
    // A plain request is no handshake.
    assert_ne!(http(at, "GET", "/healthz", &[], b"").await.status, 200);
    // The same gateway, revoked.
    let at = listening(tls(Some(&revoking(&gateways, 7)))).await;
    assert_eq!(ask(at, &servers.pem(), Some(&envoy)).await, None);
    assert_eq!(ask(at, &servers.pem(), Some(&issued(&gateways, "nginx", 8))).await, Some(200));
}

#[tokio::test]
async fn a_client_that_is_revoked_is_out_as_soon_as_the_list_is_replaced() {
    let (servers, gateways) = (authority("servers"), authority("gateways"));
    let Pair(certificate, key) = issued(&servers, "vedette.example", 1);
    let tls = |list: Option<&[u8]>| {
        Tls::new(certificate.as_bytes(), key.as_bytes(), gateways.pem().as_bytes(), list).unwrap()
    };
    let (envoy, nginx) = (issued(&gateways, "envoy", 7), issued(&gateways, "nginx", 8));
    let in_force = tls(None);
    let at = listening(in_force.clone()).await;
    let mut open = connect(at, &servers.pem(), Some(&envoy)).await.unwrap();
    open.write_all(b"GET /healthz HTTP/1.1\r\nhost: v\r\n\r\n").await.unwrap();
    let mut head = [0; 12];
    open.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");

    // As an authority serves it.
    let pem = revoking(&gateways, 7);
    let list = rustls::pki_types::CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap();
    in_force.replace(&tls(Some(list.as_ref())));
    // The open connection ends by itself: a read comes to its end rather than waiting for ever.
    let _ = open.read_to_end(&mut Vec::new()).await;
    assert_eq!(ask(at, &servers.pem(), Some(&envoy)).await, None);
    assert_eq!(ask(at, &servers.pem(), Some(&nginx)).await, Some(200));
}

#[test]
fn certificates_that_cannot_be_used_are_refused_by_name() {
    let servers = authority("servers");
    let Pair(certificate, key) = issued(&servers, "vedette.example", 1);
    let said = |certificate: &str, key: &str, clients: &str| {
        Tls::new(certificate.as_bytes(), key.as_bytes(), clients.as_bytes(), None).unwrap_err().to_string()
    };
    assert!(said("", &key, &servers.pem()).starts_with("certificate:"));
    assert!(said(&certificate, "", &servers.pem()).starts_with("key:"));
    assert!(said(&certificate, &key, "").starts_with("clients:"));
    let other = issued(&servers, "vedette.example", 2);
    assert!(said(&certificate, &other.1, &servers.pem()).contains("together"));
}

#[tokio::test]
async fn where_keys_are_asked_for_only_known_ones_get_an_answer() {
    let mut state = state();
    state.keys = Some(Keys::parse(&format!("envoy {}", Digest::of(b"hunter2"))).unwrap());
    let at = start(state).await.address;
    assert_eq!(decide(at, "pay", &["vedette-key: hunter2"]).await.status, 200);
    assert_eq!(decide(at, "pay", &["authorization: Bearer hunter2"]).await.status, 200);
    for headers in [&[][..], &["vedette-key: hunter3"], &["authorization: Basic hunter2"]] {
        let answer = decide(at, "pay", headers).await;
        assert_eq!((answer.status, answer.json()["type"].as_str()), (401, Some("urn:vedette:problem:key")));
    }
    assert_eq!(http(at, "GET", "/healthz", &[], b"").await.status, 200);
    assert_eq!(http(at, "GET", "/metrics", &[], b"").await.status, 401);
}

#[tokio::test]
async fn headers_over_the_limit_are_refused() {
    let at = start(state().with_limits(Limits { header_bytes_max: 8 * 1024, ..Limits::default() })).await.address;
    let long = format!("x-long: {}", "x".repeat(16 * 1024));
    assert!([0, 431].contains(&decide(at, "pay", &[&long]).await.status));
}

/// RFC 9113, section 4.1: length, type, flags, stream.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn a_peer_that_opens_and_resets_streams_without_end_is_cut_off() {
    let at = start(state()).await.address;
    let mut stream = TcpStream::connect(at).await.unwrap();
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(4, 0, 0, &[]));
    // CVE-2023-44487. Headers by index of HPACK's static table: `:method: POST`, `:scheme: http`, `:path: /`.
    for n in 0..5_000u32 {
        bytes.extend(frame(1, 4, 2 * n + 1, &[0x83, 0x86, 0x84]));
        bytes.extend(frame(3, 0, 2 * n + 1, &8u32.to_be_bytes()));
    }
    // The server may close before it has all of it.
    let _ = stream.write_all(&bytes).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let mut rest = &answer[..];
    let mut last = None;
    while rest.len() >= 9 {
        let length = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
        last = Some((rest[3], rest.get(9..9 + length).unwrap_or_default().to_vec()));
        rest = rest.get(9 + length..).unwrap_or_default();
    }
    let (kind, payload) = last.unwrap();
    // GOAWAY with ENHANCE_YOUR_CALM (RFC 9113, section 7).
    assert_eq!((kind, payload.get(4..8)), (7, Some(&11u32.to_be_bytes()[..])));
}
