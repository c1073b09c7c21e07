//! step-ca beside ours: its default key type (P-256) and store (badger v2), `POST /renew` over mutual TLS, a new
//! connection each time, as many clients at once as our server admits.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cert_manager::agent::channel::Identity;
use cert_manager::authority::{Authority, self_signed_authority, subordinate_authority};
use cert_manager::est::server::wall_clock;
use cert_manager::facts::Serial;
use cert_manager::ledger::Grant;
use cert_manager::time::{Millis, Span, Validity};
use cert_manager::tls::{client_config, floor::FloorVerifier};
use rcgen::{KeyPair, PublicKeyData};
use rustls::{ClientConfig, ClientConnection, StreamOwned};

const RENEWALS: usize = 2_000;
const AT_ONCE: usize = 64;

/// CPU milliseconds of a renewal and renewals a second; `None` when step-ca is not there.
pub fn measure() -> Option<(f64, f64)> {
    let Some(binary) = std::env::var_os("STEP_CA") else {
        println!("STEP_CA is not set: step-ca is not measured");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let (root, intermediate) = authorities(folder.path());
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let config = serde_json::json!({
        "root": path("root.crt"), "crt": path("intermediate.crt"), "key": path("intermediate.key"),
        "address": format!("127.0.0.1:{port}"), "dnsNames": ["127.0.0.1"], "logger": {"format": "text"},
        "db": {"type": "badgerv2", "dataSource": path("db")},
        "authority": {"provisioners": [{"type": "ACME", "name": "acme"}]},
    });
    std::fs::write(folder.path().join("ca.json"), config.to_string()).unwrap();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let mut command = Command::new(binary);
    command.arg(folder.path().join("ca.json")).env("STEPPATH", folder.path());
    let mut server = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    let figures = run(&server, port, &root, &intermediate, folder.path());
    server.kill().unwrap();
    server.wait().unwrap();
    Some(figures)
}

fn run(server: &Child, port: u16, root: &[u8], intermediate: &Authority, folder: &Path) -> (f64, f64) {
    let life = Validity { from: wall_clock() - Span::minutes(5), until: wall_clock() + Span::days(1) };
    let clients: Vec<Arc<ClientConfig>> = (0..AT_ONCE)
        .map(|n| {
            let key = KeyPair::generate().unwrap();
            let name = format!("dev-{n}").parse().unwrap();
            let serial = Serial::new(&[&[0x40; 15][..], &[n as u8 + 1]].concat()).unwrap();
            let spki = key.subject_public_key_info();
            let certificate = intermediate.issue((&name, "default"), &spki, Grant::Full, &serial, life).unwrap();
            let chain = vec![certificate, intermediate.certificate().to_vec()];
            let verifier = Arc::new(FloorVerifier::new(&[root.to_vec()], Millis(0)).unwrap());
            Arc::new(client_config(verifier, Some(&Identity { chain, key: key.into() })).unwrap())
        })
        .collect();
    // It is up when a renewal works; that one also warms it.
    let patience = Instant::now();
    while renew(port, &clients[0]).is_none() {
        assert!(
            patience.elapsed() < Duration::from_secs(60),
            "{}",
            std::fs::read_to_string(folder.join("log")).unwrap()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    let (before, began, left) = (super::cpu_ms(server.id()), Instant::now(), AtomicUsize::new(RENEWALS));
    std::thread::scope(|scope| {
        for client in &clients {
            scope.spawn(|| {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok() {
                    assert!(renew(port, client).is_some(), "{}", std::fs::read_to_string(folder.join("log")).unwrap());
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    ((super::cpu_ms(server.id()) - before) / RENEWALS as f64, RENEWALS as f64 / seconds)
}

/// One renewal on a connection of its own.
fn renew(port: u16, client: &Arc<ClientConfig>) -> Option<()> {
    let tcp = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let tls = ClientConnection::new(client.clone(), "127.0.0.1".try_into().unwrap()).unwrap();
    let mut stream = StreamOwned::new(tls, tcp);
    let request = b"POST /renew HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(request).ok()?;
    let mut answer = Vec::new();
    // Some servers end without a close_notify; what counts is the answer.
    let _ = stream.read_to_end(&mut answer);
    answer.starts_with(b"HTTP/1.1 201").then_some(())
}

/// A root and an intermediate as `step ca init` makes them, P-256 both.
fn authorities(folder: &Path) -> (Vec<u8>, Authority) {
    let life = Validity { from: wall_clock() - Span::minutes(5), until: wall_clock() + Span::days(3_650) };
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let root = self_signed_authority("bench root", &root_key, life).unwrap();
    let above = Authority::new(root.clone(), root_key, None).unwrap();
    let certificate = subordinate_authority("bench ca", &key.subject_public_key_info(), &above, life).unwrap();
    for (name, der) in [("root.crt", &root), ("intermediate.crt", &certificate)] {
        std::fs::write(folder.join(name), cert_manager::pem::encode("CERTIFICATE", der)).unwrap();
    }
    std::fs::write(folder.join("intermediate.key"), key.serialize_pem()).unwrap();
    (root, Authority::new(certificate, key, None).unwrap())
}
