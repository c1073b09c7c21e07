//! From a judged call to the records that others read. Keyed by session, so that each session's stay in order; standings
//! by the name of its state, so that of two tenants' sessions of one id neither's is compacted away.

mod ocsf;

use crate::pipeline::Judged;
use ingest::Outputs;
use schema::{Decision, StandingRecord, StateId, Uniform, topics};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// Which calls get a decision from the engine. Gateways that ask get theirs in any case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decisions {
    /// Every call: what the policies say, or would say.
    #[default]
    All,
    /// None: for an engine that only scores. Policies cost more than the scoring.
    None,
}

/// Adds verdict, decision, and an alert where there is news of the session's incident.
pub fn write(judged: &Judged, decision: Option<&Decision>, out: &mut Outputs) {
    let key = judged.verdict.session.as_str().as_bytes();
    record(topics::VERDICTS, key, &judged.verdict, out);
    if let Some(decision) = decision {
        record(topics::DECISIONS, key, decision, out);
    }
    if let Some((news, incident)) = &judged.alert {
        record(topics::ALERTS, key, &ocsf::finding(judged, *news, incident), out);
    }
}

/// The last standing of each session of a batch: the topic is compacted, so earlier ones tell nobody anything.
#[derive(Default)]
pub struct Standings {
    at: HashMap<StateId, usize, Uniform>,
    last: Vec<(StateId, StandingRecord)>,
}

impl Standings {
    /// Stands for the session's earlier one.
    pub fn put(&mut self, session: StateId, standing: StandingRecord) {
        let at = *self.at.entry(session).or_insert(self.last.len());
        match self.last.get_mut(at) {
            Some((_, last)) => *last = standing,
            None => self.last.push((session, standing)),
        }
    }

    /// Adds all of them as records, in the order their sessions came; none is left.
    pub fn write(&mut self, out: &mut Outputs) {
        self.at.clear();
        for (session, standing) in self.last.drain(..) {
            // The topic keeps the last of each key: a standing without a sketch takes none away.
            let of = if standing.sketch.is_some() { "/sketch" } else { "" };
            record(topics::STANDING, format!("{:032x}{of}", session.0).as_bytes(), &standing, out);
        }
    }
}

fn record(topic: &str, key: &[u8], value: &impl Serialize, out: &mut Outputs) {
    out.write(topic, key, |payload| {
        // INVARIANT: strings, integers and finite numbers only, so the record is always representable.
        let _ = serde_json::to_writer(payload, value);
    });
}
