//! A TLS server that takes calls as `POST /v1/calls` promises to: 429 first, then 202.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};

use cert_manager::authority::Authority;
use cert_manager::est::server::wall_clock;
use cert_manager::time::Span;
use cert_manager::{pem, tls};
use rcgen::KeyPair;
use rustls::{ServerConnection, StreamOwned};

/// Who sent what: the client certificate, and the lines.
pub type Delivery = (Vec<u8>, Vec<u8>);

/// Starts a door with a certificate of the authority in `folder`; gives its URL and what it takes.
pub fn open(folder: &Path) -> (String, Receiver<Delivery>) {
    let certificate = pem::certificates(&std::fs::read(folder.join("authority-1.pem")).unwrap()).unwrap().remove(0);
    let key = KeyPair::from_pem(&std::fs::read_to_string(folder.join("authority-1.key")).unwrap()).unwrap();
    let authority = Authority::new(certificate.clone(), key, None).unwrap();
    let make = move |now| {
        let (key, life) = (KeyPair::generate().ok()?, authority.validity(Span::days(1), now));
        let leaf = authority.issue_server(&["127.0.0.1".to_owned()], &key, life).ok()?;
        Some((vec![leaf], key.into(), life))
    };
    let own = tls::own::OwnPair::new(make, wall_clock).unwrap();
    let config = tls::server_config(own, &[certificate], Default::default()).unwrap();
    let config = std::sync::Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut busy = true;
        for tcp in listener.incoming() {
            let mut stream =
                BufReader::new(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), tcp.unwrap()));
            while let Some(body) = request(&mut stream) {
                let answer = match std::mem::take(&mut busy) {
                    true => "HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
                    false => "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n",
                };
                let conn = &stream.get_ref().conn;
                let peer = conn.peer_certificates().map(|c| c[0].to_vec()).unwrap_or_default();
                if answer.contains("202") {
                    let mut lines = Vec::new();
                    flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut lines).unwrap();
                    sender.send((peer, lines)).unwrap();
                }
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    (url, receiver)
}

/// The body of the next request; `None` when the client has gone.
fn request(stream: &mut impl BufRead) -> Option<Vec<u8>> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).unwrap_or(0) == 0 {
            return None;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = text.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(body)
}
