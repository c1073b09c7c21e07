//! Decisions that stop a call, or would, as spans under the call's own. Beside the answers: what finds no room, or is still
//! there when the process ends, is dropped and counted.

use crate::outlets::collector::{Collector, attribute, caller, span, text};
use crate::outlets::{Attempt, WAIT_MAX, pause};
use ::policy::server::Logged;
use metrics::counter;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Held;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use schema::Ladder;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Spans on their way.
pub struct Spans {
    queue: mpsc::Sender<Span>,
    waiting: Arc<AtomicU64>,
    sending: JoinHandle<()>,
}

/// Takes decisions.
#[derive(Clone)]
pub struct Teller {
    queue: mpsc::Sender<Span>,
    waiting: Arc<AtomicU64>,
}

impl Spans {
    /// Begins to send to `collector`, whether it is there or not.
    pub fn start(collector: Collector) -> Self {
        let (queue, waits) = mpsc::channel(QUEUE_MAX);
        let waiting = Arc::new(AtomicU64::new(0));
        let sending = tokio::spawn(send(collector, waits, Arc::clone(&waiting)));
        Self { queue, waiting, sending }
    }

    /// For who decides.
    pub fn teller(&self) -> Teller {
        Teller { queue: self.queue.clone(), waiting: Arc::clone(&self.waiting) }
    }

    /// Waits until all are sent, but not for long. Nobody decides any more by then.
    pub async fn close(self) {
        let Self { queue, waiting, mut sending } = self;
        drop(queue);
        if tokio::time::timeout(DRAIN_MAX, &mut sending).await.is_err() {
            sending.abort();
            let left = waiting.load(Ordering::Relaxed);
            count("dropped", left);
            tracing::warn!(left, "spans of decisions were not taken by the collector in time");
        }
    }
}

impl Teller {
    /// Takes a decision that stops a call, or would; others make no span, nor do those about a call that nobody scored.
    pub fn tell(&self, logged: &Logged) {
        let Some(span) = of_decision(logged) else { return };
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.queue.try_send(span).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            count("dropped", 1);
        }
    }
}

async fn send(collector: Collector, mut waits: mpsc::Receiver<Span>, waiting: Arc<AtomicU64>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waits.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let spans = std::mem::take(&mut batch);
        let (many, mut tries) = (spans.len() as u64, 0);
        loop {
            match collector.export("decisions", spans.clone()).await {
                Attempt::Done => count("sent", many),
                Attempt::Refused(why) => {
                    count("refused", many);
                    tracing::error!(why, many, "spans of decisions are refused and passed over");
                }
                Attempt::Again(why, wait) => {
                    let wait = wait.unwrap_or_else(|| pause(tries)).min(WAIT_MAX);
                    tracing::warn!(why, ?wait, "spans of decisions are sent later");
                    tokio::time::sleep(wait).await;
                    tries += 1;
                    continue;
                }
            }
            break;
        }
        waiting.fetch_sub(many, Ordering::Relaxed);
    }
}

fn of_decision(logged: &Logged) -> Option<Span> {
    let Logged { decision, scored, at, door, route, .. } = logged;
    if decision.decision == Ladder::Allow && decision.would == Ladder::Allow {
        return None;
    }
    let scored = scored.as_ref()?;
    let (call, verdict) = (&scored.call, &scored.verdict);
    let named = [
        ("gen_ai.tool.name", call.tool.as_str()),
        ("gen_ai.agent.name", call.agent.as_str()),
        ("session.id", call.session.as_str()),
        ("vedette.call", call.id.as_str()),
        ("vedette.tenant", call.tenant.as_str()),
        ("vedette.door", door),
        ("security_rule.category", crate::commands::explain::word(verdict.pattern)),
        ("security_rule.version", &verdict.model.to_string()),
    ];
    let words = [
        ("vedette.decision", serde_json::to_value(decision.decision)),
        ("vedette.would", serde_json::to_value(decision.would)),
        ("vedette.mode", serde_json::to_value(decision.mode)),
    ];
    let reasons = decision.reasons.iter().map(|reason| AnyValue { value: Some(Held::StringValue(reason.to_string())) });
    let mut attributes: Vec<KeyValue> = named.into_iter().map(|(key, name)| text(key, name)).collect();
    attributes.extend(words.into_iter().filter_map(|(key, word)| Some(text(key, word.ok()?.as_str()?))));
    attributes.extend(route.iter().map(|route| text("vedette.route", route)));
    attributes.push(attribute("vedette.policies", Held::ArrayValue(ArrayValue { values: reasons.collect() })));
    attributes.push(attribute("vedette.risk", Held::DoubleValue(verdict.risk.get())));
    attributes.push(attribute("vedette.p_value", Held::DoubleValue(verdict.p_value.get())));
    attributes.push(attribute("vedette.degraded", Held::BoolValue(decision.degraded)));
    let caller = call.traceparent.as_ref().and_then(|traceparent| caller(traceparent.as_str()));
    let names = format!("{}/{}@{}", call.tenant, call.id, at.0);
    let session = format!("{}/{}", call.tenant, call.session);
    Some(Span { attributes, ..span("decision", caller, &session, &names, *at, *at) })
}

fn count(outcome: &'static str, many: u64) {
    counter!("vedette_policy_spans_total", "outcome" => outcome).increment(many);
}

/// Spans that wait for a collector; a decision that finds no room makes none.
const QUEUE_MAX: usize = 8_192;
const BATCH_MAX: usize = 512;
/// How long a process that ends waits for its collector.
const DRAIN_MAX: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
