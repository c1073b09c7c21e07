//! The pipeline as a fold over one partition: decode, judge, decide, write. Kafka's side of it is `ingest`'s.

use crate::pipeline::{Parts, Pipeline};
use crate::sinks::{self, Decisions, Standings};
use crate::tally::{Share, Tally};
use ingest::checkpoint::{Entries, Scope};
use ingest::{Operator, Output, Record, RestoreError};
use schema::decode::Received;
use schema::{Digest, Millis};
use std::sync::Arc;

/// Judges the calls of one partition.
pub struct Judge {
    pipeline: Pipeline,
    decisions: Decisions,
    since: Millis,
    /// Of the latest record.
    now: Millis,
    /// Of the sessions seen since the last batch.
    standings: Standings,
    share: Option<Share>,
}

impl Judge {
    /// Remembers nothing yet.
    pub fn new(parts: Arc<Parts>) -> Self {
        Self {
            pipeline: Pipeline::new(parts),
            decisions: Decisions::default(),
            since: Millis(0),
            now: Millis(0),
            standings: Standings::default(),
            share: None,
        }
    }

    /// Passes over records that Kafka stamped before `since`.
    #[must_use]
    pub fn since(self, since: Millis) -> Self {
        Self { since, ..self }
    }

    /// Writes decisions as told.
    #[must_use]
    pub fn decisions(self, decisions: Decisions) -> Self {
        Self { decisions, ..self }
    }

    /// Adds to the process's counts, once a batch.
    #[must_use]
    pub fn counted(self, tally: &Arc<Tally>) -> Self {
        Self { share: Some(Share::of(tally)), ..self }
    }

    /// For an engine with a store of checkpoints: remembers what changes.
    #[must_use]
    pub fn kept(mut self) -> Self {
        self.pipeline.track_changes();
        self
    }
}

impl Operator for Judge {
    fn apply(&mut self, record: &Record) -> Vec<Output> {
        if record.at < self.since {
            return Vec::new();
        }
        self.now = self.now.max(record.at);
        let received = Received { at: record.at, id: record.id() };
        let decoded = self.pipeline.parts().decoders.of_topic(&record.topic).decode(&record.payload, &received);
        let key = &self.pipeline.parts().key;
        let mut outputs: Vec<Output> =
            decoded.dead.iter().map(|error| ingest::dead_letter(key, record, error)).collect();
        for raw in &decoded.calls {
            if let Some(judged) = self.pipeline.judge(raw) {
                let decision = match self.decisions {
                    Decisions::All => Some(self.pipeline.decide(&judged)),
                    Decisions::None => None,
                };
                outputs.extend(sinks::records(&judged, decision.as_ref()));
                self.standings.put(judged.session, judged.standing);
            }
        }
        outputs
    }

    fn complete(&mut self) -> Vec<Output> {
        self.pipeline.tick(self.now);
        if let Some(share) = &mut self.share {
            share.tell(&self.pipeline);
        }
        self.standings.take()
    }

    fn entries(&mut self, scope: Scope) -> Entries {
        self.pipeline.entries(scope)
    }

    fn restore(&mut self, entries: &Entries) -> Result<(), RestoreError> {
        self.pipeline.restore(entries)
    }

    fn model(&self) -> Option<Digest> {
        Some(self.pipeline.parts().detector.digest())
    }
}
