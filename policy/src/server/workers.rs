//! Threads that serve connections, each its own: a connection stays on one of them, so its answers leave together and no
//! thread wakes another for it. A thread that serves many streams of one connection answers them in one write.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

/// Threads that take connections in turn. They end when the last clone of this is gone.
#[derive(Clone)]
pub struct Workers(Arc<Threads>);

struct Threads {
    handles: Vec<Handle>,
    next: AtomicUsize,
    /// Dropped first: tells the threads to end.
    end: Option<watch::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// So many threads.
    ///
    /// Errors: the machine has no more threads or descriptors.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let (end, ending) = watch::channel(());
        let (mut handles, mut threads) = (Vec::new(), Vec::new());
        for _ in 0..count.get() {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            let mut ending = ending.clone();
            // An error: the sender is gone, which is the sign.
            let run = move || drop(runtime.block_on(ending.changed()));
            threads.push(std::thread::Builder::new().name("policy".to_owned()).spawn(run)?);
        }
        Ok(Self(Arc::new(Threads { handles, next: AtomicUsize::new(0), end: Some(end), threads })))
    }

    /// Runs `connection` on the next thread.
    pub(super) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let turn = self.0.next.fetch_add(1, Ordering::Relaxed) % self.0.handles.len().max(1);
        if let Some(handle) = self.0.handles.get(turn) {
            handle.spawn(connection);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        drop(self.end.take());
        let own = std::thread::current().id();
        for thread in self.threads.drain(..).filter(|thread| thread.thread().id() != own) {
            if thread.join().is_err() {
                tracing::error!("a thread that served connections broke off");
            }
        }
    }
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Workers({})", self.0.handles.len())
    }
}
