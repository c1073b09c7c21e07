//! What can go wrong between Kafka and an operator, a variant for each thing a caller can act on.

use crate::Partition;
use crate::checkpoint::CheckpointError;
use rdkafka::error::KafkaError;

/// Why the engine, a producer or a reader stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// The settings make no client.
    #[error("cannot make a Kafka client for {what}")]
    Client {
        /// Which client.
        what: &'static str,
        /// librdkafka's reason.
        source: KafkaError,
    },
    /// A broker that answered no request in time.
    #[error("no answer from Kafka at `{brokers}` to {request}{}", last(.heard))]
    Unreachable {
        /// `host:port` list.
        brokers: String,
        /// What was asked.
        request: &'static str,
        /// What librdkafka said last of why it could not speak to a broker, if it did.
        heard: Option<String>,
        /// librdkafka's reason.
        source: Box<KafkaError>,
    },
    /// A topic could not be made.
    #[error("cannot create topic `{topic}`: {reason}")]
    Topic {
        /// Its name.
        topic: String,
        /// Kafka's reason.
        reason: String,
    },
    /// Kafka refused records for good: unknown topic, no permission, too large.
    #[error("Kafka refuses records for topic `{topic}`: {reason}")]
    Refused {
        /// The topic.
        topic: String,
        /// Kafka's reason.
        reason: String,
    },
    /// Reading failed in a way that waiting does not mend.
    #[error("cannot read topics {topics:?}")]
    Read {
        /// The topics.
        topics: Vec<String>,
        /// librdkafka's reason.
        source: KafkaError,
    },
    /// The end of a topic was not reached in time.
    #[error("topic `{topic}` could not be read to its end within {seconds} s")]
    Late {
        /// The topic.
        topic: String,
        /// How long was waited.
        seconds: u64,
    },
    /// Offsets or a transaction could not be committed, and trying again does not help.
    #[error("cannot commit as `{member}`")]
    Commit {
        /// `transactional.id` or group.
        member: String,
        /// librdkafka's reason.
        source: KafkaError,
    },
    /// Another process works under the same name.
    #[error("fenced: another engine runs as `{member}`; give each process of a group its own `instance`")]
    Fenced {
        /// The contested name.
        member: String,
    },
    /// Records that are still needed are gone from the log (retention shorter than the pause).
    #[error("{partition} starts at offset {log_start}, but {needed} is needed {purpose}")]
    LogStartsLater {
        /// Where.
        partition: Partition,
        /// First offset still there.
        log_start: i64,
        /// First offset needed.
        needed: i64,
        /// What for.
        purpose: &'static str,
    },
    /// A checkpoint that should be there could not be read.
    #[error("cannot load the state of {partition}")]
    Checkpoint {
        /// Of which partition.
        partition: Partition,
        /// Why.
        source: CheckpointError,
    },
    /// The operator refused a checkpoint's state.
    #[error("the state of {partition} at offset {offset} does not fit this build")]
    Restore {
        /// Of which partition.
        partition: Partition,
        /// The checkpoint's offset.
        offset: i64,
        /// The operator's reason.
        source: RestoreError,
    },
    /// A thread of the engine ended before its time.
    #[error("the engine's {what} ended unexpectedly")]
    Ended {
        /// Which thread.
        what: &'static str,
    },
    /// A thread could not be started.
    #[error("cannot start the engine's {what}")]
    Thread {
        /// Which thread.
        what: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
}

fn last(heard: &Option<String>) -> String {
    heard.as_ref().map_or_else(String::new, |heard| format!("; last heard: {heard}"))
}

/// Why an operator refuses a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct RestoreError {
    reason: String,
}

impl RestoreError {
    /// `reason`: lower case, no full stop, no value of a record.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}
