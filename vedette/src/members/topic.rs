//! The replicas as `agent.members` tells of them. Read from its end: whoever lives is heard within a beat, and who does
//! not is never known.

use super::Members;
use cert_manager::est::server::wall_clock;
use ingest::acked::Acked;
use ingest::cluster::Cluster;
use ingest::read_back::Reader;
use ingest::{IngestError, Output, Record};
use metrics::{counter, gauge};
use schema::{Member, Millis, RECORD_VERSION, StateId, TenantKey, topics};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// What one replica knows of all, as it changes.
#[derive(Debug)]
pub struct Membership {
    members: watch::Sender<Members>,
}

/// Why a record is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ignored {
    /// None of ours.
    #[error("it is no record of a replica")]
    Malformed,
    /// Of a build that writes other records.
    #[error("it is of a newer version than this build reads")]
    NewerVersion,
    /// A record of one replica under the name of another.
    #[error("its key names another replica than it does itself")]
    Name,
    /// A replica that seals under another key can answer for none of our sessions.
    #[error("the replica seals under another key: `seal.key_file` has to hold the same one everywhere")]
    Key,
}

impl Membership {
    /// A replica at `address`, which seals under `key`, that knows of no other.
    pub fn new(address: &str, key: &TenantKey, misses_max: u32) -> Self {
        let now = Millis(wall_clock().0);
        let own = Member {
            v: RECORD_VERSION,
            address: address.to_owned(),
            key: format!("{:016x}", key.name()),
            since: now,
            at: now,
        };
        Self { members: watch::Sender::new(Members::new(own, misses_max)) }
    }

    /// Where the sessions of that name are answered for; none: here.
    pub fn owner(&self, of: StateId) -> Option<Arc<str>> {
        self.members.borrow().owner(of).cloned()
    }

    /// What is known, as it changes.
    pub fn watch(&self) -> watch::Receiver<Members> {
        self.members.subscribe()
    }

    /// Takes one record of the topic.
    pub fn hear(&self, record: &Record) {
        let name = record.key.as_deref().and_then(|name| std::str::from_utf8(name).ok());
        let changed = |members: &mut Members| match (name, record.payload.is_empty()) {
            (Some(name), true) => Ok(members.left(name)),
            (_, _) => parse(record, &members.own.key).map(|member| members.heard(&member)),
        };
        self.members.send_modify(|members| match changed(members) {
            Ok(changed) => {
                gauge!("vedette_policy_members").set(members.count() as f64);
                if changed {
                    tracing::warn!(
                        members = members.count(),
                        "replicas came or went: some sessions have another owner"
                    );
                }
            }
            Err(why) => {
                counter!("vedette_policy_members_ignored_total", "why" => why.word()).increment(1);
                tracing::debug!(%why, "a record of a replica is ignored");
            }
        });
    }

    /// Hears of the others for ever; what breaks off is taken up again.
    pub async fn listen(&self, cluster: &Cluster) {
        loop {
            let error = self.until_it_breaks(cluster).await;
            tracing::warn!(%error, "other replicas cannot be heard of; those that are known stay so");
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn until_it_breaks(&self, cluster: &Cluster) -> IngestError {
        let mut reader = match Reader::from_end(cluster, topics::MEMBERS).await {
            Ok(reader) => reader,
            Err(error) => return error,
        };
        loop {
            match reader.next().await {
                Ok(record) => self.hear(&record),
                Err(error) => return error,
            }
        }
    }

    /// Says every so often that this replica lives, and at last, when `over` is, that it leaves. One record is under way at
    /// a time: were those that Kafka could not take to come at once, they would be rounds that nobody else could keep.
    pub async fn tell(&self, producer: &Acked, every: Duration, over: impl Future<Output = ()>) {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(over);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = &mut over => break,
            }
            let alive = [self.record(true)];
            tokio::select! {
                told = producer.send(&alive) => if let Err(error) = told {
                    tracing::warn!(%error, "other replicas are not told that this one lives");
                },
                () = &mut over => break,
            }
        }
        match tokio::time::timeout(LEAVE_MAX, producer.send(&[self.record(false)])).await {
            Ok(Ok(())) => {}
            _ => tracing::warn!("other replicas are not told that this one leaves: they find out"),
        }
    }

    fn record(&self, lives: bool) -> Output {
        let own = Member { at: Millis(wall_clock().0), ..self.members.borrow().own.clone() };
        // INVARIANT: strings and integers only, so the record is always representable. No value: it leaves.
        let payload = if lives { serde_json::to_vec(&own).unwrap_or_default() } else { Vec::new() };
        Output { topic: topics::MEMBERS.to_owned(), key: own.address.into_bytes(), payload }
    }
}

/// Reads a record of a replica that seals under the key of that name.
pub fn parse(record: &Record, key: &str) -> Result<Member, Ignored> {
    if record.payload.len() > RECORD_BYTES_MAX {
        return Err(Ignored::Malformed);
    }
    let member: Member = serde_json::from_slice(&record.payload).map_err(|_| Ignored::Malformed)?;
    match &member {
        member if member.v > RECORD_VERSION => Err(Ignored::NewerVersion),
        member if crate::hop::host_and_port(&member.address).is_none() => Err(Ignored::Malformed),
        member if record.key.as_deref() != Some(member.address.as_bytes()) => Err(Ignored::Name),
        member if member.key != key => Err(Ignored::Key),
        _ => Ok(member),
    }
}

impl Ignored {
    fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::NewerVersion => "newer-version",
            Self::Name => "name",
            Self::Key => "key",
        }
    }
}

/// An address and a few numbers.
const RECORD_BYTES_MAX: usize = 4 * 1024;
/// Between two tries to listen.
const RETRY: Duration = Duration::from_secs(1);
/// Kafka gets this long to take the last record.
const LEAVE_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, payload: Vec<u8>) -> Record {
        let topic = topics::MEMBERS.into();
        Record { topic, partition: 0, offset: 0, at: Millis(0), key: Some(name.into()), payload }
    }

    #[test]
    fn what_cannot_be_believed_is_ignored_by_name() {
        let key = TenantKey::new([7; 32]);
        let other = Membership::new("b:1", &key, 3).record(true);
        let member: Member = serde_json::from_slice(&other.payload).unwrap();
        let read = |name: &str, member: &Member| {
            parse(&record(name, serde_json::to_vec(member).unwrap()), &format!("{:016x}", key.name()))
        };
        assert_eq!(read("b:1", &member), Ok(member.clone()));
        assert_eq!(read("a:1", &member), Err(Ignored::Name));
        assert_eq!(read("b:1", &Member { v: 9, ..member.clone() }), Err(Ignored::NewerVersion));
        let stranger = Membership::new("b:1", &TenantKey::new([8; 32]), 3).record(true);
        assert_eq!(read("b:1", &serde_json::from_slice(&stranger.payload).unwrap()), Err(Ignored::Key));
        for nowhere in ["", "b", "b:", ":1", "b:0", "b:70000", "b\n:1", "a b:1", &format!("{}:1", "b".repeat(300))] {
            let member = Member { address: nowhere.to_owned(), ..member.clone() };
            assert_eq!(read(nowhere, &member), Err(Ignored::Malformed), "{nowhere:?}");
        }
        assert_eq!(parse(&record("b:1", b"{".to_vec()), ""), Err(Ignored::Malformed));
        assert_eq!(parse(&record("b:1", vec![b' '; RECORD_BYTES_MAX + 1]), ""), Err(Ignored::Malformed));
    }

    #[test]
    fn who_is_heard_is_known_until_it_leaves() {
        let key = TenantKey::new([7; 32]);
        let (one, other) = (Membership::new("a:1", &key, 3), Membership::new("b:1", &key, 3));
        let hear = |output: Output| one.hear(&record("b:1", output.payload));
        hear(other.record(true));
        assert_eq!(one.watch().borrow().count(), 2);
        one.hear(&record("b:1", b"no record".to_vec()));
        assert_eq!(one.watch().borrow().count(), 2);
        hear(other.record(false));
        assert_eq!(one.watch().borrow().count(), 1);
    }
}
