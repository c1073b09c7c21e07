//! Who owns which partitions, as the coordinator of a consumer group says. Leaves no trace.

pub mod assignment; // what a member was given, as bytes

use crate::client::{Logged, settings, unreachable};
use crate::cluster::Cluster;
use crate::{IngestError, Partition};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a group's coordinator says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owners {
    /// It has no members, or this user may not see them (Describe on the group).
    Nobody,
    /// It is about to give partitions out, or hands them out by another protocol than ours: what it is at.
    Forming(String),
    /// Partitions are given out.
    Settled {
        /// Its members.
        members: usize,
        /// Partitions that no member was given, with the records of each that wait.
        unowned: BTreeMap<Partition, u64>,
    },
}

/// Asks about one group and the topics it reads.
pub struct Looker {
    consumer: BaseConsumer<Logged>,
    brokers: String,
    group: String,
    topics: Vec<String>,
}

impl Looker {
    /// Connects to nothing yet.
    pub fn new(cluster: &Cluster, group: &str, topics: &[String]) -> Result<Self, IngestError> {
        let mut settings = settings(cluster);
        // Never joined: the group's name is what its offsets are asked for by.
        settings.set("group.id", group).set("enable.auto.commit", "false");
        settings.remove("group.instance.id");
        let consumer = settings
            .create_with_context(Logged::default())
            .map_err(|source| IngestError::Client { what: "looking at the group", source })?;
        Ok(Self { consumer, brokers: cluster.brokers.clone(), group: group.to_owned(), topics: topics.to_vec() })
    }

    /// Asks. Blocks, some seconds at most for each request.
    pub fn look(&self) -> Result<Owners, IngestError> {
        let unreachable = |request| unreachable(&self.consumer, &self.brokers, request);
        let groups = self
            .consumer
            .fetch_group_list(Some(&self.group), ASK_MAX)
            .map_err(unreachable("describe the consumer group"))?;
        let Some(group) = groups.groups().iter().find(|group| group.name() == self.group) else {
            return Ok(Owners::Nobody);
        };
        match group.state() {
            "Stable" => {}
            "Empty" | "Dead" => return Ok(Owners::Nobody),
            other => return Ok(Owners::Forming(other.to_owned())),
        }
        let mut owned = BTreeSet::new();
        for member in group.members() {
            match assignment::partitions(member.assignment().unwrap_or_default()) {
                Some(partitions) => owned.extend(partitions),
                None => return Ok(Owners::Forming("an assignment that is not Kafka's own".to_owned())),
            }
        }
        let mut unowned = BTreeMap::new();
        for topic in &self.topics {
            let metadata =
                self.consumer.fetch_metadata(Some(topic), ASK_MAX).map_err(unreachable("describe a topic"))?;
            let numbers = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|partition| partition.id());
            let all = numbers.map(|number| Partition::new(topic, number));
            unowned.extend(all.filter(|partition| !owned.contains(partition)).map(|partition| (partition, 0)));
        }
        self.count_waiting(&mut unowned)?;
        Ok(Owners::Settled { members: group.members().len(), unowned })
    }

    /// How far each partition's end is from what the group committed of it.
    fn count_waiting(&self, partitions: &mut BTreeMap<Partition, u64>) -> Result<(), IngestError> {
        if partitions.is_empty() {
            return Ok(());
        }
        let unreadable = |source| IngestError::Read { topics: self.topics.clone(), source };
        let mut list = TopicPartitionList::new();
        for Partition { topic, number } in partitions.keys() {
            list.add_partition(topic, *number);
        }
        let committed = self.consumer.committed_offsets(list, ASK_MAX).map_err(unreadable)?;
        for element in committed.elements() {
            let (low, high) =
                self.consumer.fetch_watermarks(element.topic(), element.partition(), ASK_MAX).map_err(unreadable)?;
            let next = match element.offset() {
                Offset::Offset(offset) => offset,
                _ => low,
            };
            if let Some(waiting) = partitions.get_mut(&Partition::new(element.topic(), element.partition())) {
                *waiting = u64::try_from(high - next).unwrap_or(0);
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Looker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Looker({} at {})", self.group, self.brokers)
    }
}

/// Longest wait for one answer.
const ASK_MAX: Duration = Duration::from_secs(5);
