//! Looks from time to time whether every partition has an owner, and sees to it that it gets one.
//!
//! A rebalance in which a partition changes hands has two halves (KIP-429): its owner gives it up and joins once more, then
//! it is given to another. A static member (KIP-345) that is killed in between comes back under its old name, the group
//! gives it what it had after the first half, and that is no rebalance: the partition it gave up is nobody's, and nobody
//! is told. So whoever sees that joins the group for a moment, under no name: that is a rebalance.

use super::{Delivery, EngineConfig, Membership, Meters};
use crate::client::{log, settings};
use crate::cluster::Cluster;
use crate::owners::{Looker, Owners};
use crate::{IngestError, Partition};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::KafkaError;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Begins to watch, where that is wanted; ends when what comes back is dropped.
pub(super) fn start(config: &EngineConfig) -> Result<Option<Sender<()>>, IngestError> {
    let Some(every) = config.look_every.filter(|_| config.delivery == Delivery::ExactlyOnce) else { return Ok(None) };
    let looker = Looker::new(&config.cluster, &config.group, &config.inputs)?;
    let (stop, stopped) = channel();
    let watch = Watch {
        looker,
        every,
        cluster: config.cluster.clone(),
        group: config.group.clone(),
        topics: config.inputs.clone(),
        mends: config.membership != Membership::Dynamic,
        meters: Arc::clone(&config.meters),
    };
    // Not joined: one that waits for a broker's answer must not keep an engine from ending.
    std::thread::Builder::new()
        .name("watch".to_owned())
        .spawn(move || watch.run(&stopped))
        .map_err(|source| IngestError::Thread { what: "watch over the group", source })?;
    Ok(Some(stop))
}

struct Watch {
    looker: Looker,
    every: Duration,
    cluster: Cluster,
    group: String,
    topics: Vec<String>,
    /// Without static members whoever is killed is missed, and that is a rebalance: it need only be told.
    mends: bool,
    meters: Arc<Meters>,
}

impl Watch {
    fn run(&self, stopped: &Receiver<()>) {
        let mut patience = Patience::default();
        while stopped.recv_timeout(jittered(self.every)) == Err(RecvTimeoutError::Timeout) {
            let seen = match self.looker.look() {
                Ok(seen) => seen,
                Err(error) => {
                    tracing::debug!(%error, "who owns which partitions is not known");
                    continue;
                }
            };
            let unowned = match &seen {
                Owners::Settled { unowned, .. } => unowned.clone(),
                Owners::Nobody | Owners::Forming(_) => Default::default(),
            };
            self.meters.note_unowned(&unowned);
            if !patience.is_over(unowned.keys().cloned().collect()) {
                continue;
            }
            let waiting: u64 = unowned.values().sum();
            let partitions: Vec<String> = unowned.keys().map(ToString::to_string).collect();
            if !self.mends {
                tracing::warn!(group = self.group, ?partitions, waiting, "partitions are nobody's");
                continue;
            }
            tracing::warn!(
                group = self.group,
                ?partitions,
                waiting,
                "partitions are nobody's: the group is made to give them out again"
            );
            match self.knock(stopped) {
                Ok(()) => self.meters.rejoin_forced(),
                Err(error) => tracing::warn!(%error, "the group could not be made to give partitions out"),
            }
        }
    }

    /// Joins the group under no name and leaves it again: two rebalances, after which what nobody owned is somebody's.
    fn knock(&self, stopped: &Receiver<()>) -> Result<(), IngestError> {
        let mut settings = settings(&self.cluster);
        settings
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "latest")
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "10000");
        settings.remove("group.instance.id");
        let visitor: BaseConsumer<Visitor> = settings
            .create_with_context(Visitor::default())
            .map_err(|source| IngestError::Client { what: "joining the group", source })?;
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        visitor.subscribe(&topics).map_err(|source| IngestError::Read { topics: self.topics.clone(), source })?;
        let since = Instant::now();
        while !visitor.context().admitted.load(Ordering::SeqCst) {
            if since.elapsed() > KNOCK_MAX || stopped.try_recv() == Err(mpsc::TryRecvError::Disconnected) {
                break; // it is asked for again, if it is still needed
            }
            // What it reads is nobody's: it answers nothing and commits nothing.
            drop(visitor.poll(POLL));
        }
        // Said aloud: one that was given nothing is dropped without a word, and missed only when its session ends.
        visitor.unsubscribe();
        Ok(())
    }
}

/// Somebody who joins to be counted, and does nothing with what it is given.
#[derive(Default)]
struct Visitor {
    /// The group has given partitions out, with it among the members.
    admitted: AtomicBool,
}

impl ClientContext for Visitor {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(%error, reason, "kafka client error");
    }
}

impl ConsumerContext for Visitor {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(_) = rebalance {
            self.admitted.store(true, Ordering::SeqCst);
        }
    }
}

/// Partitions change hands all the time; only what stays without an owner is amiss.
#[derive(Debug, Default)]
struct Patience {
    unowned: Vec<Partition>,
    times: u32,
}

impl Patience {
    /// Whether these same partitions have been nobody's for several looks in a row; then counting begins anew.
    fn is_over(&mut self, unowned: Vec<Partition>) -> bool {
        if unowned.is_empty() || unowned != self.unowned {
            *self = Self { times: u32::from(!unowned.is_empty()), unowned };
            return false;
        }
        self.times += 1;
        let over = self.times >= LOOKS;
        if over {
            *self = Self::default();
        }
        over
    }
}

/// Up to a quarter more or less, so that of several engines one looks first and the others see it mended.
fn jittered(every: Duration) -> Duration {
    let chance = RandomState::new().build_hasher().finish() % 501; // the standard library's one source of chance
    every.mul_f64(0.75 + chance as f64 / 1_000.0)
}

/// Looks at the same partitions without an owner.
const LOOKS: u32 = 3;
/// Longest wait to be let into the group: a static member that is away is waited for until its session ends (45 s).
const KNOCK_MAX: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of partitions without an owner, look by look → the looks at which patience is over.
    #[track_caller]
    fn check(looks: &[&[i32]], expected: &[usize]) {
        let mut patience = Patience::default();
        let partitions = |numbers: &[i32]| numbers.iter().map(|number| Partition::new("t", *number)).collect();
        let over = looks.iter().enumerate().filter(|(_, numbers)| patience.is_over(partitions(numbers)));
        assert_eq!(over.map(|(look, _)| look).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn only_what_stays_without_an_owner_is_amiss() {
        check(&[&[1], &[1], &[1]], &[2]);
        check(&[&[1], &[1], &[], &[1], &[1]], &[]);
        check(&[&[1], &[1, 2], &[2], &[1, 2]], &[]);
        check(&[&[], &[], &[], &[]], &[]);
    }

    #[test]
    fn what_is_not_mended_is_tried_again() {
        check(&[&[1], &[1], &[1], &[1], &[1], &[1]], &[2, 5]);
    }

    #[test]
    fn looks_are_never_further_apart_than_a_quarter_more() {
        let every = Duration::from_millis(1_000);
        assert!((0..100).map(|_| jittered(every)).all(|ms| (750..=1_251).contains(&ms.as_millis())));
    }
}
