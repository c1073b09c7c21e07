//! What a decision leaves for Envoy's access log and later filters, under `envoy.filters.http.ext_authz`.

use super::Judged;
use crate::answer::word;
use envoy_types::pb::google::protobuf::{ListValue, Struct, Value, value::Kind};

/// `id`, `decision`, `would`, `degraded`, `reasons`, and with a score `risk`, `p_value`, `exposed`.
pub(in crate::server) fn of(judged: &Judged) -> Struct {
    let decision = &judged.decision;
    let reasons = decision.reasons.iter().map(|id| text(id.as_str())).collect();
    let mut fields = vec![
        ("id", text(decision.id.as_str())),
        ("decision", text(word(decision.decision))),
        ("would", text(word(decision.would))),
        ("degraded", kind(Kind::BoolValue(decision.degraded))),
        ("reasons", kind(Kind::ListValue(ListValue { values: reasons }))),
    ];
    if let Some(scored) = &judged.scored {
        fields.push(("risk", kind(Kind::NumberValue(scored.verdict.risk.get()))));
        fields.push(("p_value", kind(Kind::NumberValue(scored.verdict.p_value.get()))));
        fields.push(("exposed", kind(Kind::BoolValue(scored.verdict.exposed))));
    }
    Struct { fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect() }
}

fn text(text: &str) -> Value {
    kind(Kind::StringValue(text.to_owned()))
}

fn kind(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}
