//! The authority's server: TLS and HTTP around [`Desk`], and one writer that gathers renewals.
//!
//! Connections beyond [`Limits::connections`] wait in the listener's queue; jobs beyond
//! [`Limits::queue`] are told to come back. What is admitted is answered.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio_rustls::TlsAcceptor;

use super::wire::BODY_BYTES_MAX;
use crate::desk::peer::End;
use crate::desk::{Desk, Plan, REFUSED_HEADER, Route};
use crate::http::{Method, Request, Response};
use crate::ledger::{Answer, Job, LedgerError};
use crate::time::Millis;

/// Bounds of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at once.
    pub connections: usize,
    /// Jobs that wait for the ledger.
    pub queue: usize,
    /// Jobs in one transaction.
    pub batch: usize,
    /// For a handshake, and for a whole connection to say something.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 128, queue: 1_024, batch: 128, patience: Duration::from_secs(15) }
    }
}

type Asked = (Job, oneshot::Sender<Result<Answer, LedgerError>>);

/// Serves until the future is dropped.
///
/// # Errors
/// Any error of the listener; errors of connections end that connection only.
pub async fn serve(desk: Arc<Desk>, listener: TcpListener, tls: ServerConfig, limits: Limits) -> std::io::Result<()> {
    let (queue, jobs) = mpsc::sync_channel(limits.queue.max(1));
    let writer = desk.clone();
    // A thread, not a task: the transaction blocks on fsync. It ends when the last sender is gone.
    std::thread::Builder::new().name("ledger".into()).spawn(move || write(&writer, &jobs, limits.batch))?;
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let places = Arc::new(Semaphore::new(limits.connections.max(1)));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return Ok(()) };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Out of descriptors, or the client gave up: give others a moment to end.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let (desk, queue, acceptor) = (desk.clone(), queue.clone(), acceptor.clone());
        tokio::spawn(async move {
            desk.meters.accepted.add(1);
            desk.meters.connections.up();
            connection(&desk, queue, acceptor, stream, limits.patience).await;
            desk.meters.connections.down();
            drop(place);
        });
    }
}

async fn connection(
    desk: &Arc<Desk>,
    queue: SyncSender<Asked>,
    acceptor: TlsAcceptor,
    stream: TcpStream,
    patience: Duration,
) {
    let _ = stream.set_nodelay(true); // only slower without
    let Ok(Ok(tls)) = tokio::time::timeout(patience, acceptor.accept(stream)).await else {
        return desk.meters.handshakes_refused.add(1);
    };
    let certificate = tls.get_ref().1.peer_certificates().and_then(|c| c.first());
    let end = Arc::new(End::of(certificate.map(|c| c.as_ref()), &desk.known));
    let service = service_fn(move |request| {
        let (desk, queue, end) = (desk.clone(), queue.clone(), end.clone());
        async move { Ok::<_, Infallible>(outgoing(counted(&desk, &queue, &end, request).await)) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(64 * 1024);
    // An error here is the client's: it went away, or spoke nonsense and was told so.
    let _ = http.serve_connection(TokioIo::new(tls), service).await;
}

async fn counted(desk: &Desk, queue: &SyncSender<Asked>, end: &End, request: hyper::Request<Incoming>) -> Response {
    let began = stopwatch();
    let (route, response) = match incoming(request).await {
        Ok(request) => {
            let route = Route::of(&request);
            (route.map_or("none", Route::name), answer(desk, queue, end, route, request).await)
        }
        Err(refused) => ("unread", refused),
    };
    desk.meters.answered(route, response.status, response.header(REFUSED_HEADER), began.elapsed());
    response
}

async fn answer(desk: &Desk, queue: &SyncSender<Asked>, end: &End, route: Option<Route>, request: Request) -> Response {
    let now = wall_clock();
    let minds = route.is_none_or(Route::minds_revocation);
    // A ledger that cannot say counts as revoked: nothing opens on its failure.
    let revoked = |serial: &str| minds && desk.ledger.is_revoked(serial).unwrap_or(true);
    let peer = end.peer(&desk.known, revoked, now);
    let job = match desk.plan(&peer, &request, now) {
        Plan::Done(response) => return response,
        Plan::Noted(response, job) => {
            // Nobody waits for it, and where there is no room it is told again tomorrow.
            let _ = enqueue(desk, queue, (job, oneshot::channel().0));
            return response;
        }
        Plan::Job(job) => job,
    };
    let (reply, answer) = oneshot::channel();
    if !enqueue(desk, queue, (job, reply)) {
        return Response::text(503, "too many at once").with("retry-after", "30");
    }
    match answer.await {
        Ok(answer) => desk.finish(answer),
        Err(_) => Response::text(503, "the ledger has stopped").with("retry-after", "60"),
    }
}

/// Whether there was room.
fn enqueue(desk: &Desk, queue: &SyncSender<Asked>, asked: Asked) -> bool {
    // Counted first: the writer may take it before we are back.
    desk.meters.waiting.up();
    let sent = queue.try_send(asked).is_ok();
    if !sent {
        desk.meters.waiting.down();
    }
    sent
}

/// Gathers jobs and carries them out, one transaction and one fsync for all that wait.
///
/// A commit costs nearly a millisecond of CPU however many jobs are in it. So while jobs come in
/// company, the writer waits a moment for more; one that comes alone is never kept waiting.
fn write(desk: &Desk, jobs: &Receiver<Asked>, batch: usize) {
    let mut gather = Duration::ZERO;
    while let Ok(first) = jobs.recv() {
        let mut asked = vec![first];
        while asked.len() < batch.max(1) {
            // From the last arrival, so a lull ends the wait.
            let Ok(next) = jobs.recv_timeout(gather) else { break };
            asked.push(next);
        }
        gather = if asked.len() > 1 { GATHER } else { Duration::ZERO };
        let (jobs, replies): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
        let began = stopwatch();
        let applied = desk.apply(&jobs, wall_clock());
        desk.meters.batch(jobs.len(), began.elapsed());
        jobs.iter().for_each(|_| desk.meters.waiting.down());
        match applied {
            Ok(answers) => replies.into_iter().zip(answers).for_each(|(reply, answer)| {
                let _ = reply.send(Ok(answer)); // the client may have gone; it asks again
            }),
            Err(error) => {
                desk.meters.ledger_failures.add(1);
                let why = error.to_string();
                replies.into_iter().for_each(|reply| {
                    let _ = reply.send(Err(LedgerError::Batch(why.clone())));
                });
            }
        }
    }
}

async fn incoming(request: hyper::Request<Incoming>) -> Result<Request, Response> {
    let (head, body) = request.into_parts();
    let method = match head.method {
        hyper::Method::GET => Method::Get,
        hyper::Method::POST => Method::Post,
        _ => return Err(Response::text(405, "GET or POST")),
    };
    let text = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()))
    };
    let headers = head.headers.iter().filter_map(text).collect();
    let body = tokio::time::timeout(BODY_PATIENCE, read_body(body)).await;
    let body = body.unwrap_or_else(|_| Err(Response::text(408, "the body did not come")))?;
    let query = head.uri.query().unwrap_or_default().to_owned();
    Ok(Request { method, path: head.uri.path().to_owned(), query, headers, body })
}

/// Reads a body up to its limit. What is too large is still read for a while, and thrown away: a
/// client that is writing when the connection closes would never see why.
async fn read_body(mut body: Incoming) -> Result<Vec<u8>, Response> {
    let (mut kept, mut read) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Response::text(400, "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        read += data.len();
        if read <= BODY_BYTES_MAX {
            kept.extend_from_slice(&data);
        } else if read > DISCARD_BYTES_MAX {
            break;
        }
    }
    if read > BODY_BYTES_MAX { Err(Response::text(413, "the body is too large")) } else { Ok(kept) }
}

/// How long the writer waits for one more job while jobs come in company.
const GATHER: Duration = Duration::from_millis(5);
/// How long a whole body may take.
const BODY_PATIENCE: Duration = Duration::from_secs(30);
/// How much of a body that is too large is read before the connection is closed.
const DISCARD_BYTES_MAX: usize = 1024 * 1024;

fn outgoing(response: Response) -> hyper::Response<Full<Bytes>> {
    let mut out = hyper::Response::new(Full::new(Bytes::from(response.body)));
    *out.status_mut() =
        hyper::StatusCode::from_u16(response.status).unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in response.headers {
        let name = hyper::header::HeaderName::try_from(name);
        let value = hyper::header::HeaderValue::try_from(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            out.headers_mut().append(name, value);
        }
    }
    out
}

/// Of meters alone: nothing is decided by it.
#[expect(clippy::disallowed_methods, reason = "the rim: everything below takes `now`")]
fn stopwatch() -> Instant {
    Instant::now()
}

/// The server's clock, read at the rim. A clock before 1970 is 1970.
#[expect(clippy::disallowed_methods, reason = "the rim: everything below takes `now`")]
pub fn wall_clock() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
