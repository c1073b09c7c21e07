//! Alerts as spans: each under the span of the call that raised it, so that who looks at the caller's trace sees what became
//! of it. A span reaches from the call to the alert: it begins with the call and ends when the alert was written. It holds
//! names, numbers and places, no value of any call, and nobody's name.

use super::Attempt;
use super::collector::{Collector, attribute, caller, span, text};
use ingest::Record;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Held;
use opentelemetry_proto::tonic::trace::v1::Span;
use schema::Millis;
use serde_json::Value;

pub(super) async fn send(collector: &Collector, record: &Record) -> Attempt {
    match of_finding(record) {
        Some(span) => collector.export(&record.id(), vec![span]).await,
        None => Attempt::Refused("it is no finding of ours".to_owned()),
    }
}

/// The span of a finding; none of a record that is no finding. What is sent once more is the same span; of a caller that
/// named no trace, the alerts of an incident are one of their own.
fn of_finding(record: &Record) -> Option<Span> {
    let finding: Value = serde_json::from_slice(&record.payload).ok()?;
    let called = Millis(finding.get("time")?.as_u64()?);
    let incident = finding.pointer("/finding_info/uid")?.as_str()?;
    let caller = finding.pointer("/unmapped/traceparent").and_then(Value::as_str).and_then(caller);
    let named = |(key, pointer): (&str, &str)| Some(text(key, finding.pointer(pointer)?.as_str()?));
    let counted = |(key, pointer): (&str, &str)| {
        let number = finding.pointer(pointer)?;
        let held = number.as_i64().map(Held::IntValue).or_else(|| number.as_f64().map(Held::DoubleValue))?;
        Some(attribute(key, held))
    };
    let names = format!("{}@{}", record.id(), record.at.0);
    Some(Span {
        attributes: TEXTS.into_iter().filter_map(named).chain(NUMBERS.into_iter().filter_map(counted)).collect(),
        ..span("alert", caller, incident, &names, called, record.at)
    })
}

/// Attribute and its place in the finding. Names are those of OpenTelemetry's semantic conventions where they have one.
/// `gen_ai.operation.name` is left out: our own decoder, and others', would take the span for a call of the tool.
const TEXTS: [(&str, &str); 11] = [
    ("gen_ai.tool.name", "/api/operation"),
    ("gen_ai.agent.name", "/actor/app_name"),
    ("session.id", "/metadata/correlation_uid"),
    ("security_rule.category", "/finding_info/types/0"),
    ("security_rule.name", "/finding_info/title"),
    ("security_rule.version", "/finding_info/analytic/uid"),
    ("vedette.call", "/metadata/uid"),
    ("vedette.tenant", "/metadata/tenant_uid"),
    ("vedette.incident", "/finding_info/uid"),
    ("vedette.news", "/activity_name"),
    ("vedette.severity", "/severity"),
];
const NUMBERS: [(&str, &str); 2] = [("vedette.risk_score", "/risk_score"), ("vedette.p_value", "/unmapped/p_value")];

#[cfg(test)]
mod tests;
