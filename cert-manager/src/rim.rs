//! The agent's rim: clocks, sleep, the service manager, the hook. Nothing here decides anything.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use cert_manager::agent::drive::Moment;
use cert_manager::est::server::wall_clock;
use cert_manager::time::Span;

/// The process's clocks.
pub struct Clocks {
    start: Instant,
}

impl Clocks {
    /// Starts counting.
    #[expect(clippy::disallowed_methods, reason = "the rim: everything below takes a `Moment`")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// What they say.
    pub fn moment(&self) -> Moment {
        let elapsed = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Moment { local: wall_clock(), elapsed: Span(elapsed) }
    }
}

/// Sleeps, at least a second, so that no mistake becomes a busy loop.
pub fn sleep(span: Span) {
    std::thread::sleep(Duration::from_millis(span.0.max(1_000)));
}

/// Sleeps as [`sleep`] does, but no longer than until the alarm goes off; says whether it did.
pub fn wait(alarm: &Receiver<()>, span: Span) -> bool {
    match alarm.recv_timeout(Duration::from_millis(span.0.max(1_000))) {
        Ok(()) => true,
        Err(RecvTimeoutError::Timeout) => false,
        // Nobody is left to ring it.
        Err(RecvTimeoutError::Disconnected) => {
            sleep(span);
            false
        }
    }
}

/// Tells the service manager (sd_notify): `READY=1`, `STATUS=…`. No manager, no message.
pub fn notify(message: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let path = path.to_string_lossy().into_owned();
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
        // A manager that does not listen is no reason to stop.
        let _ = socket.send_to_addr(message.as_bytes(), &address);
    }
}

/// Runs the owner's program after a rotation, with the folder as its argument.
pub fn run_hook(hook: &Path, folder: &Path) {
    match Command::new(hook).arg(folder.join("current")).status() {
        Ok(status) if status.success() => {}
        Ok(status) => eprintln!("vedette-agent: the hook ended with {status}"),
        Err(error) => eprintln!("vedette-agent: the hook `{}` cannot run: {error}", hook.display()),
    }
}
