//! The pipeline as a fold over one partition: decode, judge, decide, write. Kafka's side of it is `ingest`'s.

use crate::pipeline::{Parts, Pipeline};
use ingest::{Operator, Output, Record};
use schema::decode::Received;
use schema::{Digest, Millis};
use std::sync::Arc;

/// Judges the calls of one partition.
pub struct Judge {
    pipeline: Pipeline,
    since: Millis,
}

impl Judge {
    /// Remembers nothing yet. Records that Kafka stamped before `since` are passed over.
    pub fn new(parts: Arc<Parts>, since: Millis) -> Self {
        Self { pipeline: Pipeline::new(parts), since }
    }
}

impl Operator for Judge {
    fn apply(&mut self, record: &Record) -> Vec<Output> {
        if record.at < self.since {
            return Vec::new();
        }
        let received = Received { at: record.at, id: record.id() };
        let decoded = self.pipeline.parts().decoders.of_topic(&record.topic).decode(&record.payload, &received);
        let key = &self.pipeline.parts().key;
        let mut outputs: Vec<Output> =
            decoded.dead.iter().map(|error| ingest::dead_letter(key, record, error)).collect();
        for raw in &decoded.calls {
            if let Some(judged) = self.pipeline.judge(raw) {
                let decision = self.pipeline.decide(&judged);
                outputs.extend(crate::sinks::records(&judged, &decision, self.pipeline.parts().alpha));
            }
        }
        outputs
    }

    fn model(&self) -> Option<Digest> {
        Some(self.pipeline.parts().detector.digest())
    }
}
