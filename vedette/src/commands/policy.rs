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
    let listener = listen(address).await?;
    eprintln!("policy: answering at http://{address}/v1/decide in {:?} mode; Ctrl-C ends it", parts.mode);
    serve(listener, parts, crate::shutdown::asked()).await
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

/// Answers on `listener` until `shutdown` ends.
pub async fn serve(
    listener: TcpListener,
    parts: Arc<Parts>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let (policies, mode) = ((*parts.policies).clone(), parts.mode);
    let state = AppState::new(Arc::new(Owner::new(parts)), policies, mode);
    Ok(::policy::server::serve(listener, state, shutdown).await?)
}
