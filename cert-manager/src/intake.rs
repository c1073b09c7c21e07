//! The device's Unix socket: programs write calls, one JSON record a line, and read one line back for each:
//! `{"n":17}` once it is sealed and synced, or `{"error":"…"}`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cert_manager::agent::calls::{CallError, CallLog};
use cert_manager::agent::storage::Disk;
use cert_manager::est::server::wall_clock;
use serde::Serialize;

/// The log, as the socket's threads and the uploader share it.
pub type Log = Arc<Mutex<CallLog<Disk>>>;

/// Programs connected at once; one more is turned away.
pub const CONNECTIONS_MAX: usize = 4;
/// Longest record, in bytes.
pub const RECORD_BYTES_MAX: u64 = 1024 * 1024;
/// Name of the socket in the device's folder.
pub const SOCKET: &str = "calls.sock";

/// Listens in `folder`; `arrived` is told of calls that came.
pub fn listen(folder: &Path, log: Log, arrived: SyncSender<()>) -> io::Result<()> {
    let path = folder.join(SOCKET);
    // Left by an agent that was killed: a socket file outlives its process.
    match std::fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    // The owner's group may write calls; who may enter the folder is the owner's to say.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
    let builder = std::thread::Builder::new().name("calls".to_owned()).stack_size(STACK_BYTES);
    builder.spawn(move || accept(&listener, &log, &arrived))?;
    Ok(())
}

fn accept(listener: &UnixListener, log: &Log, arrived: &SyncSender<()>) {
    let connected = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            std::thread::sleep(Duration::from_millis(100)); // out of descriptors: let others end
            continue;
        };
        if connected.fetch_add(1, Ordering::AcqRel) >= CONNECTIONS_MAX {
            connected.fetch_sub(1, Ordering::AcqRel);
            let _ = reply(&stream, &Said::Error(format!("more than {CONNECTIONS_MAX} programs connected")));
            continue;
        }
        let (log, arrived, place) = (log.clone(), arrived.clone(), connected.clone());
        let builder = std::thread::Builder::new().name("calls".to_owned()).stack_size(STACK_BYTES);
        let served = builder.spawn(move || {
            let _ = serve(&stream, &log, &arrived); // the program went away
            place.fetch_sub(1, Ordering::AcqRel);
        });
        if served.is_err() {
            connected.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// What is answered to one line.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    #[serde(rename = "n")]
    Taken(u64),
    Error(String),
}

fn serve(stream: &UnixStream, log: &Log, arrived: &SyncSender<()>) -> io::Result<()> {
    // A program that never reads its answers is not waited for.
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    let mut lines = BufReader::with_capacity(16 * 1024, stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        (&mut lines).take(RECORD_BYTES_MAX + 1).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        if line.len() as u64 > RECORD_BYTES_MAX {
            return reply(stream, &Said::Error(format!("a record over {RECORD_BYTES_MAX} bytes; closing")));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let taken = take(log, &line);
        let said = match &taken {
            Ok(n) => Said::Taken(*n),
            Err(error) => Said::Error(error.to_string()),
        };
        if taken.is_ok() {
            let _ = arrived.try_send(()); // full: it knows already
        }
        reply(stream, &said)?;
    }
}

fn take(log: &Log, line: &[u8]) -> Result<u64, CallError> {
    // A log is changed by appends only, so one left by a thread that panicked is still whole.
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    let n = log.push(line.trim_ascii(), wall_clock())?;
    log.sync()?;
    Ok(n)
}

fn reply(mut stream: &UnixStream, said: &Said) -> io::Result<()> {
    let mut line = serde_json::to_vec(said).unwrap_or_default(); // INVARIANT: plain data serialises
    line.push(b'\n');
    stream.write_all(&line)
}

/// Enough to seal a record of the largest size and depth.
const STACK_BYTES: usize = 512 * 1024;
