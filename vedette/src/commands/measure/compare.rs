//! `--compare`: what other methods say of the very calls that were measured, joined with the same labels and counted at the
//! same shares of honest sessions flagged.

use super::joined_by;
use crate::baselines::Baseline;
use crate::failure::Failure;
use crate::figures::Compared;
use crate::judge;
use crate::pipeline::{Judged, Parts};
use crate::scores::ScoreLine;
use crate::source::{Loaded, Selection};
use schema::NameHash;
use std::collections::BTreeMap;
use std::sync::Arc;

/// By method, in the order they are printed: a score for each call.
#[derive(Default)]
pub(super) struct Beside {
    methods: BTreeMap<(usize, String), Vec<Said>>,
}

/// What a method says of one call.
struct Said {
    session: String,
    seq: u64,
    score: f64,
}

/// What else the detector says of a call.
struct Parted {
    line: ScoreLine,
    /// The order of tools alone.
    sequence: f64,
    /// The isolation forest alone.
    isolated: f64,
}

impl Beside {
    /// Judges `sessions` and lets the other methods score them, having learned from `others`.
    pub(super) fn judge(
        &mut self,
        parts: &Arc<Parts>,
        loaded: &Loaded,
        sessions: &[Vec<usize>],
        others: &Selection,
    ) -> Result<Vec<ScoreLine>, Failure> {
        let parted = judge::each(parts, loaded, sessions, |judged| parted(parts, loaded, judged));
        for call in &parted {
            let said = |score| Said { session: call.line.session.clone(), seq: call.line.seq, score };
            self.add(0, "vedette", said(call.line.risk.get()));
            self.add(1, "its order of tools alone", said(call.sequence));
            self.add(2, "its isolation forest alone", said(call.isolated));
        }
        let tools = |sessions: &[Vec<usize>]| -> Vec<Vec<NameHash>> {
            let called = |index: &usize| loaded.set.calls.get(*index).map(|call| call.tool.name_hash());
            sessions.iter().map(|session| session.iter().filter_map(called).collect()).collect()
        };
        let learned = tools(&others.of(&loaded.set)?);
        for (place, method) in Baseline::all(&learned).iter().enumerate() {
            for (session, tools) in sessions.iter().zip(tools(sessions)) {
                let Some(first) = session.first().and_then(|index| loaded.set.calls.get(*index)) else { continue };
                for (score, seq) in method.scores(&tools).into_iter().zip(0..) {
                    let session = first.session.as_str().to_owned();
                    self.add(OWN + place, &method.name(), Said { session, seq, score });
                }
            }
        }
        Ok(parted.into_iter().map(|call| call.line).collect())
    }

    fn add(&mut self, place: usize, name: &str, said: Said) {
        self.methods.entry((place, name.to_owned())).or_default().push(said);
    }

    /// The figures of every method.
    pub(super) fn figures(&self, labels: &datasets::Labels, shares: &[f64]) -> Vec<Compared> {
        let row = |((_, method), said): (&(usize, String), &Vec<Said>)| {
            let calls = said.iter().map(|said| (said.session.as_str(), said.seq, said.score));
            Compared::of(method, &joined_by(calls, labels), shares)
        };
        self.methods.iter().map(row).collect()
    }
}

/// Rows of the detector itself and its parts.
const OWN: usize = 3;

fn parted(parts: &Parts, loaded: &Loaded, judged: &Judged) -> Option<Parted> {
    Some(Parted {
        line: judge::line_of(judged, parts.alpha, loaded.sequences)?,
        sequence: judged.sequence_risk.get(),
        isolated: parts.detector.isolation(&judged.row),
    })
}
