//! `vedette policy`: a gateway asks whether a call may go through.

use crate::cli::PolicyCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::pipeline::Parts;
use crate::webhook::Owner;
use ::policy::server::AppState;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Serves until asked to end.
pub async fn run(args: &PolicyCommand, config: &Config) -> Result<(), Failure> {
    let mut config = config.clone();
    if let Some(path) = &args.policies {
        config.policy.file.clone_from(path);
    }
    let detector = crate::parts::detector(&config, args.model.as_deref())?;
    let parts = crate::parts::for_traffic(&config, detector)?;
    let address = args.listen.as_ref().unwrap_or(&config.policy.listen);
    let grpc = args.listen_grpc.as_ref().unwrap_or(&config.policy.listen_grpc);
    let (listener, grpc_listener) = (listen(address).await?, listen(grpc).await?);
    eprintln!(
        "policy: answering at http://{address}/v1/decide, for Envoy by gRPC at {grpc}, in {:?} mode; Ctrl-C ends it",
        parts.mode
    );
    // Both doors share one state, so that a session is one whichever way its calls come.
    let state = Arc::new(state(parts));
    let http = ::policy::server::serve(listener, Arc::clone(&state), crate::shutdown::asked());
    tokio::try_join!(http, ::policy::server::serve_grpc(grpc_listener, state, crate::shutdown::asked()))?;
    Ok(())
}

/// Takes `address`, which must be on the loopback: answers are in plain text.
pub async fn listen(address: &str) -> Result<TcpListener, Failure> {
    let failed = |source| Failure::Listen { address: address.to_owned(), source };
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(address).await.map_err(failed)?.collect();
    if !addresses.iter().all(|address| address.ip().is_loopback()) {
        return Err(Failure::NotLoopback { address: address.to_owned() });
    }
    TcpListener::bind(addresses.as_slice()).await.map_err(failed)
}

/// Answers over HTTP on `listener` until `shutdown` ends.
pub async fn serve(
    listener: TcpListener,
    parts: Arc<Parts>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Failure> {
    Ok(::policy::server::serve(listener, state(parts), shutdown).await?)
}

fn state(parts: Arc<Parts>) -> AppState {
    let (policies, mode) = ((*parts.policies).clone(), parts.mode);
    AppState::new(Arc::new(Owner::new(parts)), policies, mode)
}
