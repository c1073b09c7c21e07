//! Stores checkpoints: a thread of its own, so that a slow disk holds up neither reading nor writing.

use super::member::Event;
use crate::Partition;
use crate::checkpoint::{Checkpoint, CheckpointStore};
use std::sync::{Arc, mpsc};
use tokio::sync::mpsc::UnboundedSender;

/// A checkpoint to be stored.
pub(super) type ToKeep = (Partition, Checkpoint);

/// Saves what it is sent until the sender is gone.
pub(super) fn keep(store: &Arc<dyn CheckpointStore>, work: &mpsc::Receiver<ToKeep>, events: &UnboundedSender<Event>) {
    while let Ok((partition, checkpoint)) = work.recv() {
        let event = match store.save(&partition, &checkpoint) {
            Ok(()) => Event::Persisted(partition, checkpoint.entries.bytes()),
            Err(error) => {
                tracing::error!(%partition, offset = checkpoint.offset, error = &error as &dyn std::error::Error, "checkpoint not stored");
                Event::NotPersisted(partition)
            }
        };
        if events.send(event).is_err() {
            return; // the member is gone
        }
    }
}
