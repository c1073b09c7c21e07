//! The topics Vedette needs, as it makes them where they are missing.

use ingest::topics::TopicSpec;
use schema::topics;

/// Partitions of a topic that Vedette makes: the most engines that can share the work.
pub const PARTITIONS: u16 = 12;

/// Every topic, with its cleaning.
pub fn all() -> Vec<TopicSpec> {
    with_partitions(PARTITIONS)
}

/// As [`all`], with another number of partitions.
pub fn with_partitions(partitions: u16) -> Vec<TopicSpec> {
    let plain = [
        topics::CALLS,
        topics::SEALED,
        topics::VERDICTS,
        topics::DECISIONS,
        topics::DECISION_LOG,
        topics::ALERTS,
        topics::DEAD,
    ];
    let plain = plain.into_iter().map(|name| TopicSpec::new(name, partitions));
    // In one order for all who read it.
    let [models, members] = [topics::MODELS, topics::MEMBERS].map(|name| TopicSpec::new(name, 1).compacted());
    plain.chain([TopicSpec::new(topics::STANDING, partitions).compacted(), models, members]).collect()
}
