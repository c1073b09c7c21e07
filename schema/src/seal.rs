//! The seal: what goes in is raw, what comes out holds no text. Pure, stateless and free of any model, so it can run
//! at the door, on a device, or as the first stage of the engine, with the same result.

mod cues; // how a sentence reads
mod encoded; // base64 and percent escapes in a text
mod leaves; // arguments → leaves with shapes
mod reveal; // characters that hide or imitate text
mod segment; // a text → sentences
mod sketch; // vectors and prompts → query sketches
mod slices; // a text → what is read as a sentence
mod tokens; // a slice → words and entities
mod words; // closed classes of short words, as structure

pub use segment::cues_of;
pub use sketch::holds_query;

use crate::fingerprint::SessionKey;
use crate::{Call, Cost, NameHash, RawCall, Segments, Telemetry, TenantKey, Text};
use serde_json::Value;

/// Seals one sighting under its session's key.
pub fn seal(raw: &RawCall, key: &TenantKey) -> Call {
    SessionSeal::new(raw, key).seal(raw, key)
}

/// What the user said to the session of `call`, sealed as it would have been in the call's own record.
pub fn seal_mission(text: &str, call: &Call, key: &TenantKey) -> Text {
    segment::seal_text(text, &key.session(call.tenant.as_str(), call.session.as_str()))
}

/// The key of one session's fingerprints, derived once and kept for the session's later calls.
pub struct SessionSeal(SessionKey);

impl SessionSeal {
    /// Of the session of `raw`.
    pub fn new(raw: &RawCall, key: &TenantKey) -> Self {
        Self(key.session(raw.tenant.as_str(), raw.session.as_str()))
    }

    /// As [`seal`]; `raw` is of the same tenant and session, `key` the one this was made from.
    pub fn seal(&self, raw: &RawCall, key: &TenantKey) -> Call {
        seal_under(raw, key, &self.0)
    }
}

impl std::fmt::Debug for SessionSeal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionSeal(..)")
    }
}

/// Seals a training call under a key that all sessions of one fit share, so that one session's words can be found in
/// another's. For `fit` alone. What it seals is written nowhere but, until the model is made, in the file of an interrupted fit
/// from a topic.
pub fn seal_for_fit(raw: &RawCall, key: &TenantKey) -> Call {
    seal_under(raw, key, &key.session(raw.tenant.as_str(), ""))
}

fn seal_under(raw: &RawCall, key: &TenantKey, session: &SessionKey) -> Call {
    let (args, args_cut) = leaves::of(&raw.args, session);
    let queries = || {
        let api = format!("{}\u{1f}{}", raw.app.as_ref().map_or("", |app| app.as_str()), raw.tool);
        key.queries(raw.tenant.as_str(), &api)
    };
    let (description, read_only) =
        raw.tool_info.as_ref().map_or((None, None), |info| (info.description.as_deref(), info.read_only));
    Call {
        v: crate::RECORD_VERSION,
        id: raw.id.clone(),
        at: raw.at,
        tenant: raw.tenant.clone(),
        session: raw.session.clone(),
        how: raw.how,
        parent: raw.parent.clone(),
        seq: raw.seq,
        phase: raw.phase,
        agent: raw.agent.clone(),
        principal: raw.principal.clone(),
        actor: raw.actor.clone(),
        device: raw.device.clone(),
        app: raw.app.clone(),
        tool: raw.tool.clone(),
        tool_stems: tokens::of_name(raw.tool.as_str(), session),
        tool_description: description.map(|text| tokens::of_phrase(text, session)).unwrap_or_default(),
        read_only,
        fpk: session.id,
        args,
        args_cut,
        mission: raw.mission.as_deref().map(|text| segment::seal_text(text, session)),
        status: raw.status,
        result: raw.result.as_ref().map(|value| seal_value(value, session)),
        result_bytes: raw.result_bytes,
        query: sketch::of(&raw.args, queries),
        segments_ms: raw.segments_ms.as_ref().map(|s| Segments {
            device: finite(s.device).unwrap_or(0.0),
            transit: finite(s.transit).unwrap_or(0.0),
            tool: finite(s.tool).unwrap_or(0.0),
        }),
        telemetry: raw.telemetry.as_ref().map(|t| Telemetry {
            confidence: finite(t.confidence),
            intent: t.intent.as_deref().map(|name| NameHash::of("intent", name)),
            steps: t.steps.iter().take(crate::limits::STEPS_MAX).map(|name| NameHash::of("step", name)).collect(),
            tokens_per_s: finite(t.tokens_per_s),
            thermal: t.thermal.as_deref().map(|name| NameHash::of("thermal", name)),
            memory: t.memory.as_deref().map(|name| NameHash::of("memory", name)),
            model: t.model.as_deref().map(|name| NameHash::of("model", name)),
        }),
        cost: raw
            .cost
            .as_ref()
            .map(|c| Cost { tokens: c.tokens.unwrap_or(0), units: c.units.filter(|u| u.is_finite()).unwrap_or(0.0) }),
        traceparent: raw.traceparent.clone(),
    }
}

/// A text is read as text; any other JSON leaf by leaf, each as the value of its key.
fn seal_value(value: &Value, key: &SessionKey) -> Text {
    match value {
        Value::String(text) => segment::seal_text(text, key),
        other => segment::seal_json(other, key),
    }
}

fn finite(number: Option<f64>) -> Option<f32> {
    number.map(|n| n as f32).filter(|n| n.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Received, native};
    use crate::{Cues, Millis};

    fn sealed(json: Value) -> Call {
        let raw = native::decode(json.to_string().as_bytes(), &Received { at: Millis(9), id: "i".into() }).unwrap();
        seal(&raw, &TenantKey::new([1; 32]))
    }

    #[test]
    fn no_text_passes_the_seal() {
        let secret = "hunter2-Zebra";
        let call = sealed(
            serde_json::json!({"at":1,"tool":"t","session":"s","args":{"a":secret,"list":[{"b":secret}],secret:1},
            "mission":format!("use {secret} now"),"result":{"k":format!("it is {secret}.")},"tool_info":{"description":secret},
            "telemetry":{"intent":secret,"steps":[secret],"model":secret}}),
        );
        let json = serde_json::to_string(&call).unwrap().to_lowercase();
        assert!(!json.contains("hunter2") && !json.contains("zebra"), "{json}");
        assert_eq!(serde_json::from_str::<Call>(&serde_json::to_string(&call).unwrap()).unwrap(), call);
    }

    #[test]
    fn what_the_user_said_is_sealed_alike_with_the_call_and_after_it() {
        let with = sealed(serde_json::json!({"at":1,"tool":"t","session":"s","mission":"Pay Ada 50. Then stop."}));
        let after = seal_mission("Pay Ada 50. Then stop.", &with, &TenantKey::new([1; 32]));
        assert_eq!(with.mission, Some(after));
    }

    #[test]
    fn a_value_is_recognised_wherever_it_stands() {
        let call = sealed(
            serde_json::json!({"at":1,"tool":"pay","session":"s","args":{"to":"SE3550000000054910000003","amount":50,"url":"https://www.shop.example/a/"},
            "result":"- id: 3\n  recipient: SE3550000000054910000003\n  amount: 50.0\n  note: see shop.example/a for more"}),
        );
        let text = call.result.unwrap();
        for leaf in &call.args {
            let found = leaf
                .tokens
                .iter()
                .any(|t| t.kind.is_entity() && text.sentences.iter().any(|s| s.tokens.iter().any(|u| u.fp == t.fp)));
            assert!(found, "{}", leaf.path);
        }
    }

    #[test]
    fn folded_lines_are_one_sentence_and_an_order_has_the_form_of_one() {
        let call = sealed(
            serde_json::json!({"at":1,"tool":"t","session":"s","result":"- body: 'Hi Emma,\n\n    Please send the report to\n    bob@example.com today.\n\n    Bob'\n  read: false"}),
        );
        let text = call.result.unwrap();
        let order = text.sentences.iter().find(|s| s.cues.has(Cues::MODAL)).unwrap();
        assert!(order.tokens.len() >= 7 && order.cues.has(Cues::HANDLE), "{text:?}");
    }
}
