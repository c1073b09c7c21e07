//! When to end: Ctrl-C, or a service manager's SIGTERM.

/// Returns when the process is asked to end. Where signals cannot be had it never does, and a kill is all that is left.
pub async fn asked() {
    #[cfg(unix)]
    if let Ok(mut terminate) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            () = interrupt() => {}
            _ = terminate.recv() => {}
        }
        return;
    }
    interrupt().await;
}

async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
