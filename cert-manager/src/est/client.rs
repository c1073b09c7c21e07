//! The agent's way to the authority: blocking TLS, one connection kept for as long as the identity
//! stays the same. No runtime: the device is asleep nearly always.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConnection, StreamOwned};

use crate::agent::channel::{Channel, ChannelError, Identity};
use crate::digest::Digest;
use crate::http::{Method, Request, Response};
use crate::time::Millis;
use crate::tls::{client_config, floor::FloorVerifier};

/// Largest response head, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Largest response body, in bytes.
pub const RESPONSE_BYTES_MAX: usize = 1024 * 1024;
/// How long to wait for a connection, and for each read and write.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Where the authority is: `https://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    host: String,
    port: u16,
}

/// Text that is not `https://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not `https://HOST[:PORT]`")]
pub struct ServerError(String);

impl std::str::FromStr for Server {
    type Err = ServerError;

    fn from_str(text: &str) -> Result<Self, ServerError> {
        let bad = || ServerError(text.to_owned());
        let rest = text.strip_prefix("https://").ok_or_else(bad)?.trim_end_matches('/');
        // An IPv6 address stands in brackets, so the port begins after the last colon outside them.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| bad())?),
            _ => (rest, 443),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:".contains(&b));
        if host.is_empty() || !plain { Err(bad()) } else { Ok(Self { host: host.to_owned(), port }) }
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "https://[{}]:{}", self.host, self.port),
            false => write!(f, "https://{}:{}", self.host, self.port),
        }
    }
}

/// TLS to the authority.
#[derive(Debug)]
pub struct TlsChannel {
    server: Server,
    anchors: Vec<Vec<u8>>,
    floor: Millis,
    open: Option<Open>,
    wire_bytes: u64,
    handshakes: u64,
}

#[derive(Debug)]
struct Open {
    stream: StreamOwned<ClientConnection, Counted>,
    identity: Option<Digest>,
}

impl TlsChannel {
    /// A channel that trusts nobody yet: see [`Channel::believe`].
    pub fn new(server: Server) -> Self {
        Self { server, anchors: Vec::new(), floor: Millis(0), open: None, wire_bytes: 0, handshakes: 0 }
    }

    /// Bytes sent and received so far, TLS included, TCP and IP not.
    pub fn wire_bytes(&self) -> u64 {
        self.wire_bytes + self.open.as_ref().map_or(0, |open| open.stream.sock.bytes)
    }

    /// Handshakes so far.
    pub fn handshakes(&self) -> u64 {
        self.handshakes
    }

    /// Ends the connection: the device goes to sleep.
    pub fn close(&mut self) {
        if let Some(mut open) = self.open.take() {
            open.stream.conn.send_close_notify();
            let _ = open.stream.flush(); // the other end may be gone, which is the same
            self.wire_bytes += open.stream.sock.bytes;
        }
    }

    fn tcp(&self) -> io::Result<TcpStream> {
        let mut last = io::Error::new(ErrorKind::NotFound, "no address");
        for address in (self.server.host.as_str(), self.server.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn connect(&mut self, identity: Option<&Identity>) -> Result<Open, ChannelError> {
        let tcp = self.tcp().map_err(|e| ChannelError::Unreachable(e.to_string()))?;
        let ready = tcp
            .set_read_timeout(Some(PATIENCE))
            .and_then(|()| tcp.set_write_timeout(Some(PATIENCE)))
            .and_then(|()| tcp.set_nodelay(true));
        ready.map_err(failed)?;
        let verifier = Arc::new(FloorVerifier::new(&self.anchors, self.floor).map_err(failed)?);
        let config = Arc::new(client_config(verifier, identity).map_err(failed)?);
        let connection = ClientConnection::new(config, self.server_name()?).map_err(failed)?;
        let stream = StreamOwned::new(connection, Counted { tcp, bytes: 0 });
        self.handshakes += 1;
        Ok(Open { stream, identity: identity.map(|i| i.key.id()) })
    }

    fn server_name(&self) -> Result<ServerName<'static>, ChannelError> {
        ServerName::try_from(self.server.host.clone()).map_err(failed)
    }
}

impl Channel for TlsChannel {
    fn exchange(&mut self, identity: Option<&Identity>, request: &Request) -> Result<Response, ChannelError> {
        let wanted = identity.map(|i| i.key.id());
        if self.open.as_ref().is_some_and(|open| open.identity != wanted) {
            self.close();
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.connect(identity)?,
        };
        let head = head(request, &self.server);
        let response = send(&mut open.stream, &head, &request.body).and_then(|()| receive(&mut open.stream));
        match response {
            Ok((response, keep)) => {
                self.open = Some(open);
                if !keep {
                    self.close();
                }
                Ok(response)
            }
            // Not tried again here: the rotation repeats a request by its id, after its own wait.
            Err(error) => {
                self.wire_bytes += open.stream.sock.bytes;
                Err(failed(error))
            }
        }
    }

    fn knock(&mut self) -> bool {
        self.tcp().is_ok()
    }

    fn believe(&mut self, anchors: &[Vec<u8>], floor: Millis) {
        if self.anchors == anchors && self.floor == floor {
            return;
        }
        self.anchors = anchors.to_vec();
        self.floor = floor;
        // What was believed before may be certainly expired now: the open connection is checked again.
        let name = self.server_name();
        let good = self.open.as_ref().and_then(|open| open.stream.conn.peer_certificates()).is_some_and(|chain| {
            let verifier = FloorVerifier::new(anchors, floor);
            let checked = verifier.ok().zip(name.ok()).zip(chain.split_first());
            checked.is_some_and(|((verifier, name), (leaf, rest))| believes(&verifier, leaf, rest, &name))
        });
        if !good {
            self.close();
        }
    }
}

fn believes(
    verifier: &FloorVerifier,
    leaf: &CertificateDer<'_>,
    rest: &[CertificateDer<'_>],
    name: &ServerName<'_>,
) -> bool {
    let unused = UnixTime::since_unix_epoch(Duration::ZERO);
    verifier.verify_server_cert(leaf, rest, name, &[], unused).is_ok()
}

/// A TCP stream that counts its bytes.
#[derive(Debug)]
struct Counted {
    tcp: TcpStream,
    bytes: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.tcp.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

impl Write for Counted {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.tcp.write(buffer)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

fn head(request: &Request, server: &Server) -> String {
    let method = match request.method {
        Method::Get => "GET",
        Method::Post => "POST",
    };
    let query = if request.query.is_empty() { String::new() } else { format!("?{}", request.query) };
    let mut head = format!("{method} {}{query} HTTP/1.1\r\nhost: {}:{}\r\n", request.path, server.host, server.port);
    for (name, value) in &request.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if request.method == Method::Post {
        head.push_str(&format!("content-length: {}\r\n", request.body.len()));
    }
    head + "\r\n"
}

fn send(stream: &mut impl Write, head: &str, body: &[u8]) -> io::Result<()> {
    // One write: head and body in one TLS record.
    stream.write_all(&[head.as_bytes(), body].concat())?;
    stream.flush()
}

/// Reads one response; the flag says whether the connection may be used again.
fn receive(stream: &mut impl Read) -> io::Result<(Response, bool)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4_096];
    let split = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        if bytes.len() > HEAD_BYTES_MAX {
            return Err(io::Error::new(ErrorKind::InvalidData, "response head too large"));
        }
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(chunk.get(..read).unwrap_or_default());
    };
    let mut body = bytes.split_off(split);
    let (mut response, length, keep) =
        parse_head(&bytes).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "not an HTTP response"))?;
    if length > RESPONSE_BYTES_MAX {
        return Err(io::Error::new(ErrorKind::InvalidData, "response body too large"));
    }
    while body.len() < length {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        body.extend_from_slice(chunk.get(..read).unwrap_or_default());
    }
    body.truncate(length);
    response.body = body;
    Ok((response, keep))
}

/// Reads the head of a response: status, headers, length of the body, and whether the connection
/// stays open. A body must say its length: the authority's always do.
pub fn parse_head(head: &[u8]) -> Option<(Response, usize, bool)> {
    if head.len() > HEAD_BYTES_MAX + 4_096 {
        return None;
    }
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n");
    let mut status = lines.next()?.splitn(3, ' ');
    let version = status.next().filter(|v| v.starts_with("HTTP/1."))?;
    let code: u16 = status.next()?.parse().ok().filter(|code| (200..600).contains(code))?;
    let mut response = Response::empty(code);
    for line in lines.take_while(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        response.headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    if response.header("transfer-encoding").is_some() {
        return None;
    }
    let length = match response.header("content-length") {
        Some(text) => text.parse().ok()?,
        None => 0,
    };
    let keep = version == "HTTP/1.1" && !response.header("connection").is_some_and(|v| v.eq_ignore_ascii_case("close"));
    Some((response, length, keep))
}

fn failed(error: impl std::fmt::Display) -> ChannelError {
    ChannelError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_server_is_https_a_host_and_a_port() {
        for (text, full) in [
            ("https://ca.example", "https://ca.example:443"),
            ("https://127.0.0.1:8443/", "https://127.0.0.1:8443"),
            ("https://[::1]:8443", "https://[::1]:8443"),
            ("https://[::1]", "https://[::1]:443"),
        ] {
            assert_eq!(text.parse::<Server>().unwrap().to_string(), full);
        }
        for bad in ["", "http://x", "https://", "https://x:port", "https://a/b", "https://a\r\nb"] {
            assert_eq!(bad.parse::<Server>(), Err(ServerError(bad.to_owned())));
        }
    }

    #[test]
    fn a_response_is_read_whatever_the_pieces_it_comes_in() {
        let text = b"HTTP/1.1 202 Accepted\r\nRetry-After: 5\r\nContent-Length: 3\r\n\r\nabc";
        for size in 1..text.len() {
            let mut pieces =
                text.chunks(size).fold(Box::new(io::empty()) as Box<dyn Read>, |all, p| Box::new(all.chain(p)));
            let (response, keep) = receive(&mut pieces).unwrap();
            assert_eq!((response.status, response.header("retry-after"), keep), (202, Some("5"), true));
            assert_eq!(response.body, b"abc");
        }
        for bad in [
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/2 200\r\n\r\n",
            "",
        ] {
            assert!(receive(&mut bad.as_bytes()).is_err(), "{bad}");
        }
        let endless = [b"HTTP/1.1 200 OK\r\n".as_slice(), &vec![b'x'; 64 * 1024]].concat();
        assert!(receive(&mut endless.as_slice()).is_err());
    }

    proptest! {
        #[test]
        fn no_head_makes_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_head(&bytes);
            let _ = parse_head(&[b"HTTP/1.1 200 OK\r\n", bytes.as_slice()].concat());
        }
    }
}
