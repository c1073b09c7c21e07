//! This replica's place among others that share sessions with it.

use super::{CertificateFiles, bind, tls};
use crate::cli::policy::PolicyCommand;
use crate::config::{self, Config};
use crate::failure::{Failure, MembersFailure};
use crate::hop::{self, Hop, host_and_port};
use crate::members::Membership;
use crate::webhook::Owner;
use ::policy::server::{self, AppState, Endpoint, ServeError, Tls, Workers};
use ingest::acked::Acked;
use ingest::cluster::Cluster;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A replica that can be asked and has not said so yet.
pub(super) struct Share {
    membership: Arc<Membership>,
    cluster: Cluster,
    settings: config::Members,
    listener: TcpListener,
    tls: Option<Tls>,
}

/// A replica among others.
pub(super) struct Sharing {
    hearing: JoinHandle<()>,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Share {
    /// Takes the address that others are to ask at; nothing where none is configured.
    pub(super) async fn take(args: &PolicyCommand, config: &Config, owner: &Owner) -> Result<Option<Self>, Failure> {
        let mut settings = config.policy.members.clone();
        let named = |set: &mut String, named: &Option<String>| named.iter().for_each(|named| set.clone_from(named));
        named(&mut settings.listen, &args.members_listen);
        named(&mut settings.address, &args.members_address);
        if settings.listen.is_empty() {
            return Ok(None);
        }
        let Some(brokers) = &args.brokers else { return Err(MembersFailure::NoKafka.into()) };
        if config.seal.key_file.as_os_str().is_empty() {
            return Err(MembersFailure::NoKey.into());
        }
        let cluster = config.kafka.cluster(Some(brokers))?;
        let tls = tls(&settings.tls)?;
        let listener = bind(&settings.listen, tls.is_some()).await?;
        let unusable = |source| Failure::Listen { address: settings.listen.clone(), source };
        let bound = listener.local_addr().map_err(unusable)?;
        let address = match settings.address.is_empty() {
            false => settings.address.clone(),
            true if bound.ip().is_unspecified() => {
                return Err(MembersFailure::Address { address: bound.to_string() }.into());
            }
            true => bound.to_string(),
        };
        if host_and_port(&address).is_none() {
            return Err(MembersFailure::Address { address }.into());
        }
        let membership = Arc::new(Membership::new(&address, owner.key(), settings.misses_max));
        Ok(Some(Self { membership, cluster, settings, listener, tls }))
    }

    /// What asks whoever owns a session.
    pub(super) fn scorer(&self, owner: Arc<Owner>) -> Hop {
        Hop::new(owner, Arc::clone(&self.membership), self.tls.clone())
    }

    /// Answers others and says so, until the process is asked to end. Comes back once it is known who else there is, or
    /// after a while without that: whoever asks is answered all the same.
    pub(super) async fn begin(
        self,
        owner: Arc<Owner>,
        state: Arc<AppState>,
        workers: Workers,
    ) -> Result<Sharing, Failure> {
        let Self { membership, cluster, settings, listener, tls } = self;
        let producer = Acked::new(&cluster)?;
        if let Some(tls) = tls.clone() {
            tokio::spawn(CertificateFiles::new(tls, &settings.tls).run());
        }
        eprintln!(
            "policy: sharing sessions with other replicas, which ask at {}",
            membership.watch().borrow().own().address
        );
        let router = hop::router(owner, Arc::clone(&membership), state);
        let mut watch = membership.watch();
        let hearing = {
            let membership = Arc::clone(&membership);
            tokio::spawn(async move { membership.listen(&cluster).await })
        };
        let every = settings.beat();
        let telling = tokio::spawn(async move { membership.tell(&producer, every, crate::shutdown::asked()).await });
        // Others ask until they have heard that this one leaves.
        let left = async move { drop(telling.await) };
        let endpoint = Endpoint { listener, tls, workers: Some(workers) };
        let serving = tokio::spawn(server::listen(endpoint, router, hop::LIMITS, left));
        let settled = async { drop(watch.wait_for(|members| members.settled()).await) };
        tokio::select! {
            settled = tokio::time::timeout(SETTLE_MAX, settled) => if settled.is_err() {
                tracing::warn!("it is not known which other replicas there are: this one answers whatever it is asked");
            },
            () = crate::shutdown::asked() => {}
        }
        Ok(Sharing { hearing, serving })
    }
}

impl Sharing {
    /// Waits until this replica has left and answered what it was asked. The process was asked to end by then.
    pub(super) async fn end(self) -> Result<(), Failure> {
        let served = self.serving.await;
        self.hearing.abort();
        match served {
            Ok(served) => Ok(served?),
            Err(_) => Ok(()), // it was broken off
        }
    }

    /// The same without waiting: the doors have ended of themselves. Others find out.
    pub(super) async fn break_off(self) -> Result<(), Failure> {
        self.serving.abort();
        self.end().await
    }
}

/// Longest wait for the others' records before the first question is answered.
const SETTLE_MAX: Duration = Duration::from_secs(5);
