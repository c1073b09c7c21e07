//! The pipeline as a fold over one partition: decode, judge, decide, write. Kafka's side of it is `ingest`'s.

use crate::models::InForce;
use crate::pipeline::{Judged, Parts, Pipeline};
use crate::sinks::{self, Decisions, Standings};
use crate::tally::{Share, Tally};
use crate::turns::Came;
use ingest::checkpoint::{Entries, Scope};
use ingest::hold::Bounds;
use ingest::{Operator, Outputs, Partition, Record, RestoreError};
use schema::decode::{Received, sealed};
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
    source: Source,
    in_force: Option<InForce>,
    /// Verdicts of the record in hand.
    ready: Vec<Judged>,
    /// Its partition may be nudged.
    nudged: bool,
}

/// What a partition's records are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Calls as a gateway wrote them.
    Raw,
    /// Calls that their devices have sealed.
    Sealed,
}

impl Judge {
    /// Remembers nothing yet.
    pub fn new(parts: Arc<Parts>) -> Self {
        let mut pipeline = Pipeline::new(parts);
        pipeline.note_exposures(true);
        Self {
            pipeline,
            decisions: Decisions::default(),
            since: Millis(0),
            now: Millis(0),
            standings: Standings::default(),
            share: None,
            source: Source::Raw,
            in_force: None,
            ready: Vec::new(),
            nudged: false,
        }
    }

    /// For a partition of [`schema::topics::SEALED`], any other one is as it was.
    #[must_use]
    pub fn of(self, partition: &Partition) -> Self {
        let source = if *partition.topic == *schema::topics::SEALED { Source::Sealed } else { Source::Raw };
        Self { source, ..self }
    }

    /// Uses models as they are announced.
    #[must_use]
    pub fn under(self, in_force: Option<InForce>) -> Self {
        Self { in_force, ..self }
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

    /// Whether standings hold sketches of sessions that were told what to do.
    #[must_use]
    pub fn sketches(mut self, wanted: bool) -> Self {
        self.pipeline.note_exposures(wanted);
        self
    }

    /// Takes the calls of a session in the order of their numbers. Only for an engine with a store of checkpoints: what
    /// waits is nowhere else.
    #[must_use]
    pub fn in_order(mut self, bounds: Bounds) -> Self {
        self.pipeline.in_order(bounds);
        self
    }

    /// Where calls wait and no record comes, the engine may write one: the topic is ours.
    #[must_use]
    pub fn nudged(self) -> Self {
        Self { nudged: true, ..self }
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
    fn begin(&mut self, from: i64, live_from: i64) {
        if let Some(detector) = self.in_force.as_mut().and_then(|in_force| in_force.begin(from, live_from)) {
            self.pipeline.put_in_force(detector);
        }
    }

    fn apply(&mut self, record: &Record, out: &mut Outputs) {
        if record.at < self.since {
            return;
        }
        if let Some(in_force) = &mut self.in_force
            && let Some(turn) = in_force.turn(record.offset, self.pipeline.parts().detector.digest())
        {
            turn.detector.into_iter().for_each(|detector| self.pipeline.put_in_force(detector));
            out.extend(turn.output);
        }
        self.answer(record, out);
    }

    fn waits(&self) -> bool {
        self.nudged && self.pipeline.waits()
    }

    fn complete(&mut self, out: &mut Outputs) {
        self.pipeline.tick(self.now);
        if let Some(share) = &mut self.share {
            share.tell(&self.pipeline);
        }
        if let Some(in_force) = &mut self.in_force {
            in_force.batch_ended();
        }
        for (session, exposed) in self.pipeline.exposures() {
            self.standings.put(session, exposed);
        }
        self.standings.write(out);
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

impl Judge {
    fn answer(&mut self, record: &Record, out: &mut Outputs) {
        self.now = self.now.max(record.at);
        let mut ready = std::mem::take(&mut self.ready);
        self.judge(record, &mut ready, out);
        ready.drain(..).for_each(|judged| self.write(judged, out));
        self.ready = ready;
    }

    fn judge(&mut self, record: &Record, ready: &mut Vec<Judged>, out: &mut Outputs) {
        if record.is_nudge() {
            return self.pipeline.pass_time(record.at, ready);
        }
        let received = Received { at: record.at, id: record.id() };
        let came = Came { at: record.at, bytes: record.payload.len() };
        if self.source == Source::Sealed {
            match sealed::decode(&record.payload, &received) {
                Ok(call) => self.pipeline.judge_from_device_in_turn(call, came, ready),
                Err(error) => out.extend([ingest::dead_letter(&self.pipeline.parts().key, record, &error)]),
            }
            return;
        }
        let decoded = self.pipeline.parts().decoders.of_topic(&record.topic).decode(&record.payload, &received);
        let key = &self.pipeline.parts().key;
        out.extend(decoded.dead.iter().map(|error| ingest::dead_letter(key, record, error)));
        decoded.calls.iter().for_each(|raw| self.pipeline.judge_in_turn(raw, came, ready));
    }

    fn write(&mut self, judged: Judged, out: &mut Outputs) {
        let decision = match self.decisions {
            Decisions::All => Some(self.pipeline.decide(&judged)),
            Decisions::None => None,
        };
        sinks::write(&judged, decision.as_ref(), out);
        let learning = self.pipeline.parts().detector.is_learning();
        self.standings.put(judged.session, judged.told(learning));
    }
}
