//! Partitions that come and go.

use super::{Member, Reading};
use crate::engine::core::{Input, Persistence, Start};
use crate::engine::group::{self, Change};
use crate::engine::start::{Known, start};
use crate::{IngestError, Operator, Partition};
use rdkafka::consumer::Consumer;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl<F: FnMut(Partition) -> Box<dyn Operator>> Member<F> {
    pub(super) fn change(&mut self, change: Change) -> Result<(), IngestError> {
        match change {
            Change::Assign(list) => self.assigning = Some((list, Instant::now())),
            Change::Revoke(list) => {
                let partitions = partitions_of(&list);
                let ours: BTreeSet<Partition> = self.core.partitions().cloned().collect();
                self.revoking = Some((list, partitions.iter().filter(|p| ours.contains(p)).cloned().collect()));
                self.tell(Input::Revoked(partitions))?;
                self.finish_revoking()?;
            }
            Change::Lost(list) => {
                (self.assigning, self.revoking) = (None, None);
                let partitions = partitions_of(&list);
                partitions.iter().for_each(|partition| self.config.meters.released(partition));
                self.tell(Input::Lost(partitions))?;
                self.count_partitions();
                self.unassign(&list)?;
            }
        }
        Ok(())
    }

    /// Takes over what the group gives us. Returns whether anything was taken.
    pub(super) fn gain(&mut self) -> Result<bool, IngestError> {
        // The committed offset means something only once nothing of ours is on its way.
        let due = |(_, from): &mut (TopicPartitionList, Instant)| *from <= Instant::now();
        let Some((list, _)) = (if self.core.in_flight() { None } else { self.assigning.take_if(due) }) else {
            return Ok(false);
        };
        let starts = match self.look_up(&list) {
            Err(error @ IngestError::Unreachable { .. }) => {
                tracing::warn!(%error, "partitions are taken over later");
                self.assigning = Some((list, Instant::now() + GAIN_RETRY));
                return Ok(false);
            }
            starts => starts?,
        };
        let failed = |source| IngestError::Read { topics: self.config.inputs.clone(), source };
        let mut from = TopicPartitionList::new();
        for (Partition { topic, number }, start) in &starts {
            from.add_partition_offset(topic, *number, Offset::Offset(start.from)).map_err(failed)?;
        }
        for (partition, start) in starts {
            tracing::info!(%partition, from = start.from, live_from = start.live_from, "partition gained");
            self.tell(Input::Assigned(partition, start))?;
        }
        self.count_partitions();
        if self.reading == Reading::Paused {
            // What is gained now is not paused yet; a moment later everything is, if the core is still full.
            self.pause_partitions(false)?;
            self.reading = Reading::Held(Instant::now());
        }
        group::assign(&self.consumer, &from)
            .map_err(|source| IngestError::Read { topics: self.config.inputs.clone(), source })?;
        Ok(true)
    }

    /// Asks the group, the log and the store where each partition begins.
    fn look_up(&self, list: &TopicPartitionList) -> Result<Vec<(Partition, Start)>, IngestError> {
        let config = Arc::clone(&self.config);
        let unreachable = |request| {
            let brokers = config.cluster.brokers.clone();
            // What was heard is in the log: this consumer is polled.
            move |source| IngestError::Unreachable { brokers, request, heard: None, source: Box::new(source) }
        };
        let committed = self
            .consumer
            .committed_offsets(list.clone(), GAIN_REQUEST_MAX)
            .map_err(unreachable("fetch the group's committed offsets"))?;
        let mut starts = Vec::new();
        for element in committed.elements() {
            let partition = Partition::new(element.topic(), element.partition());
            let (log_start, _) = self
                .consumer
                .fetch_watermarks(element.topic(), element.partition(), GAIN_REQUEST_MAX)
                .map_err(unreachable("list a partition's offsets"))?;
            let committed = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            let checkpoint = match (&self.config.checkpoints, committed) {
                (Some(store), Some(offset)) => store
                    .newest(&partition, offset)
                    .map_err(|source| IngestError::Checkpoint { partition: partition.clone(), source })?,
                _ => None,
            };
            let persistence = if self.keeper.is_some() { Persistence::Checkpoints } else { Persistence::None };
            let start = start(&partition, Known { committed, log_start, persistence }, checkpoint)?;
            starts.push((partition, start));
        }
        Ok(starts)
    }

    pub(super) fn count_partitions(&mut self) {
        let before = std::mem::replace(&mut self.partitions, self.core.partitions().count() as u32);
        let now = self.partitions;
        self.config.answered.send_modify(|progress| progress.partitions = progress.partitions + now - before);
    }

    pub(super) fn finish_revoking(&mut self) -> Result<(), IngestError> {
        match self.revoking.take() {
            Some((list, left)) if left.is_empty() => self.unassign(&list),
            waiting => {
                self.revoking = waiting;
                Ok(())
            }
        }
    }

    fn unassign(&self, list: &TopicPartitionList) -> Result<(), IngestError> {
        group::unassign(&self.consumer, list)
            .map_err(|source| IngestError::Read { topics: self.config.inputs.clone(), source })
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|element| Partition::new(element.topic(), element.partition())).collect()
}

/// Longest wait for an answer while partitions are taken over, and the pause before they are asked about again.
const GAIN_REQUEST_MAX: Duration = Duration::from_secs(5);
const GAIN_RETRY: Duration = Duration::from_millis(500);
