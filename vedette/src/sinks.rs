//! From a judged call to the records that others read. Keyed by session, so that each session's stay in order.

mod ocsf;

use crate::pipeline::Judged;
use ingest::Output;
use schema::{Decision, topics};

/// Verdict, standing, decision, and an alert where the call is the first flagged of its session.
pub fn records(judged: &Judged, decision: &Decision, alpha: f64) -> Vec<Output> {
    let key = judged.verdict.session.as_str().as_bytes();
    let mut outputs = vec![
        record(topics::VERDICTS, key, &judged.verdict),
        record(topics::STANDING, key, &judged.standing),
        record(topics::DECISIONS, key, decision),
    ];
    if judged.first_flagged {
        outputs.push(record(topics::ALERTS, key, &ocsf::finding(judged, alpha)));
    }
    outputs
}

fn record(topic: &str, key: &[u8], value: &impl serde::Serialize) -> Output {
    // INVARIANT: strings, integers and finite numbers only, so the record is always representable.
    let payload = serde_json::to_vec(value).unwrap_or_default();
    Output { topic: topic.to_owned(), key: key.to_vec(), payload }
}
