//! An alert as an OCSF Detection Finding.
//! Source: Open Cybersecurity Schema Framework 1.8.0, class 2004; attribute names and enumerations are its own.
//! Techniques: MITRE ATLAS 5.6.0. Risks: OWASP Top 10 for LLM Applications 2025, and for Agentic Applications 2026.

#[cfg(test)]
mod tests;

use crate::commands::explain::word;
use crate::incidents::{Incident, News, Severity};
use crate::pipeline::Judged;
use schema::{Evidence, Pattern};
use serde_json::{Value, json};

/// The finding of a session: all of them have its incident's id. Holds names, numbers and places, no value of any call.
pub(super) fn finding(judged: &Judged, news: News, incident: &Incident) -> Value {
    let (call, verdict) = (&judged.call, &judged.verdict);
    let (severity_id, severity) = match incident.severity {
        Severity::High => (4, "High"),
        Severity::Medium => (3, "Medium"),
    };
    let (activity_id, activity, modified) = match news {
        News::Opened => (1, "Create", None),
        News::Changed => (2, "Update", Some(call.at.0)),
    };
    let mut finding = json!({
        "activity_id": activity_id,
        "activity_name": activity,
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "type_uid": 200_400 + activity_id,
        "type_name": format!("Detection Finding: {activity}"),
        "severity_id": severity_id,
        "severity": severity,
        "status_id": 1,
        "status": "New",
        "is_alert": true,
        "time": call.at.0,
        "metadata": {
            "version": "1.8.0",
            "uid": verdict.id,
            "correlation_uid": verdict.session,
            "tenant_uid": call.tenant,
            "labels": owasp(verdict.pattern),
            "product": { "name": "Vedette", "vendor_name": "Vedette", "version": env!("CARGO_PKG_VERSION") },
        },
        "finding_info": {
            // One incident a session: the same id whenever the log is read again.
            "uid": format!("{}/{}", call.tenant, verdict.session),
            "title": title(verdict.pattern),
            "types": [word(verdict.pattern)],
            "created_time": incident.opened.0,
            "first_seen_time": incident.opened.0,
            "last_seen_time": incident.last.0,
            "modified_time": modified,
            "related_events_count": incident.calls,
            "attacks": attacks(verdict.pattern),
            "analytic": { "type_id": 4, "type": "Learning (ML/DL)", "uid": verdict.model, "name": "vedette detector" },
        },
        "anomaly_analyses": [{
            "analysis_targets": [{ "name": verdict.session, "type": "Agent Session" }],
            "anomalies": anomalies(judged),
        }],
        // OCSF scores are whole numbers.
        "risk_score": (verdict.risk.get() * 100.0) as i64,
        "confidence_score": (verdict.sure * 100.0) as i64,
        "actor": { "app_name": call.agent, "user": call.principal.as_ref().map(|name| json!({ "name": name })) },
        "device": { "uid": call.device, "type_id": 0 },
        "api": { "operation": call.tool, "service": call.app.as_ref().map(|name| json!({ "name": name })) },
        "evidences": verdict.evidence.iter().map(|evidence| json!({ "data": evidence })).collect::<Vec<_>>(),
        // OCSF's profile `trace` is for other classes.
        "unmapped": { "p_value": verdict.p_value, "exposed": verdict.exposed, "traceparent": call.traceparent },
    });
    leave_out_nulls(&mut finding);
    finding
}

/// An attribute that is not known is absent in OCSF, never null.
fn leave_out_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(leave_out_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out_nulls),
        _ => {}
    }
}

/// What departs from what was learned: the call as a whole, then its evidence.
fn anomalies(judged: &Judged) -> Vec<Value> {
    let verdict = &judged.verdict;
    let whole = json!({
        "observation_parameter": "risk of the call among honest sessions",
        "observation_type": "Distribution Analysis",
        "observed_pattern": "RARE",
        "observations": [{ "value": format!("p = {}", verdict.p_value.get()), "count": 1 }],
    });
    let of = |evidence: &Evidence| {
        let (parameter, kind, value) = match evidence {
            Evidence::Value { leaf, from, strength, .. } => (
                format!("origin of the argument {leaf}"),
                "Association Analysis",
                format!("call {}, sentence {}, instruction strength {strength:.2}", from.call, from.sentence),
            ),
            Evidence::Restatement { from, strength, .. } => (
                "origin of the call".to_owned(),
                "Association Analysis",
                format!("call {}, sentence {}, instruction strength {strength:.2}", from.call, from.sentence),
            ),
            Evidence::Edge { from, to, p, .. } => (
                "tool after the tools before".to_owned(),
                "Sequence Analysis",
                format!("{} -> {to}, probability {p:.5}", from.as_ref().map_or("start", |tool| tool.as_str())),
            ),
            Evidence::Feature { name, value, .. } => (name.clone(), "Deviation Analysis", value.to_string()),
        };
        json!({
            "observation_parameter": parameter,
            "observation_type": kind,
            "observations": [{ "value": value, "count": 1 }],
        })
    };
    std::iter::once(whole).chain(verdict.evidence.iter().map(of)).collect()
}

/// Techniques of MITRE ATLAS.
fn attacks(pattern: Pattern) -> Value {
    let technique = |uid: &str, name: &str| json!({ "version": "5.6.0", "technique": { "uid": uid, "name": name } });
    let sub = |uid: &str, name: &str, sub_uid: &str, sub_name: &str| {
        json!({
            "version": "5.6.0",
            "technique": { "uid": uid, "name": name },
            "sub_technique": { "uid": sub_uid, "name": sub_name },
        })
    };
    let invocation = || technique("AML.T0053", "AI Agent Tool Invocation");
    match pattern {
        Pattern::None => Value::Null,
        Pattern::Injection => json!([
            sub("AML.T0051", "LLM Prompt Injection", "AML.T0051.001", "Indirect"),
            invocation(),
            technique("AML.T0086", "Exfiltration via AI Agent Tool Invocation"),
        ]),
        Pattern::Extraction => {
            json!([sub("AML.T0024", "Exfiltration via AI Inference API", "AML.T0024.002", "Extract AI Model")])
        }
        Pattern::Abuse => json!([invocation()]),
    }
}

fn owasp(pattern: Pattern) -> Value {
    match pattern {
        Pattern::None => Value::Null,
        Pattern::Injection => json!(["OWASP LLM01:2025 Prompt Injection", "OWASP ASI01:2026 Agent Goal Hijack"]),
        Pattern::Extraction => json!(["OWASP LLM10:2025 Unbounded Consumption"]),
        Pattern::Abuse => json!(["OWASP ASI02:2026 Tool Misuse and Exploitation"]),
    }
}

fn title(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::None => "A session departs from what its agent does",
        Pattern::Injection => "An agent does what a text it read told it to",
        Pattern::Extraction => "A model or data is being copied through its API",
        Pattern::Abuse => "A user drives an agent to harm",
    }
}
