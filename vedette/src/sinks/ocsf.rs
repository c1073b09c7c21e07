//! An alert as an OCSF Detection Finding.
//! Source: Open Cybersecurity Schema Framework 1.8.0, class 2004; attribute names and enumerations are its own.

use crate::commands::explain::word;
use crate::pipeline::Judged;
use schema::{Evidence, Pattern};
use serde_json::{Value, json};

/// The finding of a session's first flagged call. Holds names, numbers and places, no value of any call.
pub(super) fn finding(judged: &Judged, alpha: f64) -> Value {
    let (call, verdict) = (&judged.call, &judged.verdict);
    let (severity_id, severity) = if verdict.p_value.get() <= alpha / 10.0 { (4, "High") } else { (3, "Medium") };
    json!({
        "activity_id": 1,
        "activity_name": "Create",
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": 2004,
        "class_name": "Detection Finding",
        "type_uid": 200_401,
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
            "product": { "name": "Vedette", "vendor_name": "Vedette", "version": env!("CARGO_PKG_VERSION") },
        },
        "finding_info": {
            // One incident a session: the same id whenever the log is read again.
            "uid": format!("{}/{}", call.tenant, verdict.session),
            "title": title(verdict.pattern),
            "types": [word(verdict.pattern)],
            "created_time": call.at.0,
            "analytic": { "type_id": 4, "type": "Learning (ML/DL)", "uid": verdict.model, "name": "vedette detector" },
        },
        // OCSF scores are whole numbers.
        "risk_score": (verdict.risk.get() * 100.0) as i64,
        "confidence_score": (verdict.sure * 100.0) as i64,
        "actor": { "app_name": call.agent, "user": { "name": call.principal } },
        "device": { "uid": call.device, "type_id": 0 },
        "api": { "operation": call.tool, "service": { "name": call.app } },
        "evidences": verdict.evidence.iter().map(evidence).collect::<Vec<_>>(),
        "unmapped": { "p_value": verdict.p_value, "exposed": verdict.exposed },
    })
}

fn evidence(evidence: &Evidence) -> Value {
    json!({ "data": evidence })
}

fn title(pattern: Pattern) -> &'static str {
    match pattern {
        Pattern::None => "A session departs from what its agent does",
        Pattern::Injection => "An agent does what a text it read told it to",
        Pattern::Extraction => "A model or data is being copied through its API",
        Pattern::Abuse => "A user drives an agent to harm",
    }
}
