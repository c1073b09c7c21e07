//! Vedette's own JSON record (DESIGN, "The call record").

use super::session::{Signs, derive};
use super::{DecodeError, Received, UNKNOWN, name, place};
use crate::limits::{ACTORS_MAX, AT_MS_MAX, FUTURE_MS_MAX, RECORD_BYTES_MAX, STEPS_MAX};
use crate::{
    Agent, CallId, DeadReason, How, IdError, Millis, Phase, Principal, RawCall, RawCost, RawSegments, RawTelemetry,
    RawToolInfo, Session, Status, Tenant, TraceParent,
};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::borrow::Cow;

/// The record as it stands on the wire; every field optional here, so that what is missing can be named.
#[derive(Deserialize)]
struct Wire<'a> {
    v: Option<u64>,
    #[serde(borrow)]
    id: Option<Name<'a>>,
    at: Option<serde_json::Number>,
    #[serde(borrow)]
    tenant: Option<Name<'a>>,
    #[serde(borrow)]
    session: Option<Name<'a>>,
    #[serde(borrow)]
    parent: Option<Name<'a>>,
    seq: Option<u64>,
    phase: Option<Phase>,
    #[serde(borrow)]
    agent: Option<Name<'a>>,
    #[serde(borrow)]
    principal: Option<Name<'a>>,
    #[serde(borrow)]
    actor: Option<Vec<Name<'a>>>,
    #[serde(borrow)]
    device: Option<Name<'a>>,
    #[serde(borrow)]
    app: Option<Name<'a>>,
    #[serde(borrow)]
    tool: Option<Name<'a>>,
    tool_info: Option<RawToolInfo>,
    #[serde(default)]
    args: Value,
    mission: Option<String>,
    status: Option<Status>,
    result: Option<Value>,
    result_bytes: Option<u64>,
    segments_ms: Option<RawSegments>,
    telemetry: Option<RawTelemetry>,
    cost: Option<RawCost>,
    #[serde(borrow)]
    traceparent: Option<Name<'a>>,
}

/// A text as it stands in the record, where it stands there without escapes. (serde takes a `Cow` inside an `Option` as
/// owned, whatever it holds.)
struct Name<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Name<'a> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        input.deserialize_str(Text)
    }
}

impl std::ops::Deref for Name<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

/// Reads one record.
///
/// Errors: [`DeadReason`] of every kind; the detail names the field or the place, never a value.
pub fn decode(bytes: &[u8], received: &Received) -> Result<RawCall, DecodeError> {
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(DecodeError::new(
            DeadReason::Oversize,
            format!("{} bytes, over the limit of {RECORD_BYTES_MAX}", bytes.len()),
        ));
    }
    // A text is checked once as a whole, rather than each string of it.
    let wire: Result<Wire<'_>, _> = match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(bytes),
    };
    let wire = wire.map_err(|error| place(&error))?;
    if let Some(v) = wire.v.filter(|v| *v > u64::from(crate::RECORD_VERSION)) {
        return Err(DecodeError::new(
            DeadReason::NewerVersion,
            format!("record version {v}, this build reads up to {}", crate::RECORD_VERSION),
        ));
    }
    let tool = name(wire.tool.as_deref().ok_or_else(|| DecodeError::missing("tool"))?)?;
    let at = time(wire.at.as_ref(), received.at)?;
    let (agent, principal) = (optional(&wire.agent)?, optional::<Principal>(&wire.principal)?);
    let (device, app) = (optional(&wire.device)?, optional(&wire.app)?);
    let traceparent: Option<TraceParent> = optional(&wire.traceparent)?;
    let tenant = optional(&wire.tenant)?.map_or_else(|| name::<Tenant>("default"), Ok)?;
    let (session, how) = derive(&Signs {
        explicit: wire.session.as_deref(),
        trace: wire.traceparent.as_deref(),
        principal: wire.principal.as_deref(),
        agent: wire.agent.as_deref(),
        device: wire.device.as_deref(),
        app: wire.app.as_deref(),
        ..Signs::default()
    })?;
    let id = match (wire.id.as_deref(), wire.seq) {
        (Some(id), _) => name(id)?,
        (None, Some(seq)) => name(&format!("{session}/{seq}"))?,
        (None, None) => name::<CallId>(&received.id)?,
    };
    Ok(RawCall {
        id,
        at,
        tenant,
        session,
        how,
        parent: optional(&wire.parent)?,
        seq: wire.seq,
        phase: wire.phase.unwrap_or_default(),
        agent: agent.map_or_else(|| name(UNKNOWN), Ok)?,
        principal,
        actor: wire.actor.unwrap_or_default().iter().take(ACTORS_MAX).map(|a| name(a)).collect::<Result<_, _>>()?,
        device,
        app,
        tool,
        tool_info: wire.tool_info,
        args: wire.args,
        mission: wire.mission.filter(|text| !text.is_empty()),
        status: wire.status,
        result: wire.result.filter(|value| !value.is_null()),
        result_bytes: wire.result_bytes,
        segments_ms: wire.segments_ms,
        telemetry: wire.telemetry.map(|mut t| {
            t.steps.truncate(STEPS_MAX);
            t
        }),
        cost: wire.cost,
        traceparent,
    })
}

/// Writes the record that [`decode`] reads back to an equal call.
pub fn encode(call: &RawCall) -> Vec<u8> {
    #[derive(Serialize)]
    struct Out<'a> {
        v: u8,
        id: &'a CallId,
        at: Millis,
        tenant: &'a Tenant,
        session: Option<&'a Session>,
        #[serde(skip_serializing_if = "Option::is_none")]
        parent: Option<&'a Session>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seq: Option<u64>,
        phase: Phase,
        #[serde(skip_serializing_if = "Option::is_none")]
        agent: Option<&'a Agent>,
        #[serde(skip_serializing_if = "Option::is_none")]
        principal: Option<&'a Principal>,
        #[serde(skip_serializing_if = "<[_]>::is_empty")]
        actor: &'a [Agent],
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<&'a crate::Device>,
        #[serde(skip_serializing_if = "Option::is_none")]
        app: Option<&'a crate::App>,
        tool: &'a crate::Tool,
        #[serde(skip_serializing_if = "Option::is_none")]
        tool_info: Option<Value>,
        args: &'a Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        mission: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<Status>,
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<&'a Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        result_bytes: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        segments_ms: Option<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        telemetry: Option<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        traceparent: Option<&'a TraceParent>,
    }
    let out = Out {
        v: crate::RECORD_VERSION,
        id: &call.id,
        at: call.at,
        tenant: &call.tenant,
        session: (call.how == How::Explicit).then_some(&call.session),
        parent: call.parent.as_ref(),
        seq: call.seq,
        phase: call.phase,
        agent: Some(&call.agent).filter(|agent| agent.as_str() != UNKNOWN),
        principal: call.principal.as_ref(),
        actor: &call.actor,
        device: call.device.as_ref(),
        app: call.app.as_ref(),
        tool: &call.tool,
        tool_info: call.tool_info.as_ref().map(|t| serde_json::json!({"description": t.description, "read_only": t.read_only})),
        args: &call.args,
        mission: call.mission.as_deref(),
        status: call.status,
        result: call.result.as_ref(),
        result_bytes: call.result_bytes,
        segments_ms: call.segments_ms.as_ref().map(|s| serde_json::json!({"device": s.device, "transit": s.transit, "tool": s.tool})),
        telemetry: call.telemetry.as_ref().map(|t| {
            serde_json::json!({"confidence": t.confidence, "intent": t.intent, "steps": t.steps, "tokens_per_s": t.tokens_per_s,
                "thermal": t.thermal, "memory": t.memory, "model": t.model})
        }),
        cost: call.cost.as_ref().map(|c| serde_json::json!({"tokens": c.tokens, "units": c.units})),
        traceparent: call.traceparent.as_ref(),
    };
    serde_json::to_vec(&out).unwrap_or_default() // INVARIANT: no map with non-string keys, no failing Serialize.
}

fn time(at: Option<&serde_json::Number>, received: Millis) -> Result<Millis, DecodeError> {
    let number = at.ok_or_else(|| DecodeError::missing("at"))?;
    let bad = |what: &str| DecodeError::new(DeadReason::BadTime, format!("`at` {what}"));
    let ms = match (number.as_u64(), number.as_f64()) {
        (Some(ms), _) => ms,
        (None, Some(ms)) if (0.0..=AT_MS_MAX as f64).contains(&ms) => ms as u64,
        _ => return Err(bad("is negative or beyond the year 2200")),
    };
    believable(Millis(ms), received)
}

/// `at`, where the transport's clock bears it out.
pub(super) fn believable(at: Millis, received: Millis) -> Result<Millis, DecodeError> {
    let bad = |what: &str| Err(DecodeError::new(DeadReason::BadTime, format!("`at` {what}")));
    if at.0 > AT_MS_MAX {
        return bad("is beyond the year 2200");
    }
    if at.0 > received.0.saturating_add(FUTURE_MS_MAX) {
        return bad("lies more than a day ahead of the transport's clock");
    }
    Ok(at)
}

fn optional<T: std::str::FromStr<Err = IdError>>(text: &Option<Name<'_>>) -> Result<Option<T>, DecodeError> {
    text.as_deref().filter(|text| !text.is_empty()).map(name).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(json: &str) -> Result<RawCall, DecodeError> {
        decode(json.as_bytes(), &Received { at: Millis(1_800_000_000_000), id: "t/0/1".into() })
    }

    fn refused(json: &str, reason: DeadReason) {
        let error = read(json).unwrap_err();
        assert_eq!(error.reason, reason, "{error}");
        assert!(!error.detail.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_time_a_tool_and_something_to_derive_a_session_from_are_enough() {
        let call = read(r#"{"at":1,"tool":"t","principal":"user:1","unknown":[1]}"#).unwrap();
        assert_eq!((call.how, call.id.as_str()), (How::Idle, "t/0/1"));
        let call =
            read(r#"{"at":1.5,"tool":"t","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#)
                .unwrap();
        assert_eq!(call.how, How::Trace);
    }

    #[test]
    fn what_cannot_be_a_call_is_refused_by_name_and_without_its_values() {
        refused("{", DeadReason::Malformed);
        refused(r#"["hunter2"#, DeadReason::Malformed);
        refused(r#"{"at":NaN,"tool":"t"}"#, DeadReason::Malformed);
        refused(r#"{"at":"hunter2","tool":"t","session":"s"}"#, DeadReason::WrongType);
        refused(r#"{"at":1,"session":"s"}"#, DeadReason::Missing);
        refused(r#"{"tool":"t","session":"s"}"#, DeadReason::Missing);
        refused(r#"{"at":1,"tool":"t"}"#, DeadReason::Missing);
        refused(r#"{"at":-5,"tool":"t","session":"s"}"#, DeadReason::BadTime);
        refused(r#"{"at":1e300,"tool":"t","session":"s"}"#, DeadReason::BadTime);
        refused(r#"{"at":1900000000000,"tool":"t","session":"s"}"#, DeadReason::BadTime);
        refused(r#"{"at":1,"tool":"","session":"s"}"#, DeadReason::BadName);
        refused(r#"{"v":2,"at":1,"tool":"t","session":"s"}"#, DeadReason::NewerVersion);
        refused(
            &format!(r#"{{"at":1,"tool":"t","session":"s","args":{{"x":"{}"}}}}"#, "x".repeat(RECORD_BYTES_MAX)),
            DeadReason::Oversize,
        );
        refused(
            &format!(r#"{{"at":1,"tool":"t","session":"s","args":{}}}"#, "[".repeat(100_000)),
            DeadReason::Malformed,
        );
    }

    #[test]
    fn a_derived_session_is_derived_again_from_what_is_written() {
        for json in [
            r#"{"at":1,"tool":"t","principal":"user:1"}"#,
            r#"{"at":1,"tool":"t","app":"a","agent":"unknown"}"#,
            r#"{"at":1,"tool":"t","agent":"a","device":"d"}"#,
        ] {
            let call = read(json).unwrap();
            let again = decode(&encode(&call), &Received { at: Millis(9), id: "y".into() }).unwrap();
            assert_eq!((again.session, again.how), (call.session, call.how), "{json}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes, &Received { at: Millis(0), id: "x".into() });
        }

        #[test]
        fn what_is_written_reads_back(tool in "[a-z_]{1,20}", text in ".{0,60}", n in any::<f64>().prop_filter("finite", |n| n.is_finite()), seq in any::<u64>()) {
            let json = serde_json::json!({"at": 5, "tool": tool, "session": "s", "seq": seq, "args": {"a": text, "n": [n]}, "result": text, "mission": text});
            let call = read(&json.to_string()).unwrap();
            let again = decode(&encode(&call), &Received { at: Millis(9), id: "y".into() }).unwrap();
            prop_assert_eq!((&call.args, &call.result, &call.mission, &call.id), (&again.args, &again.result, &again.mission, &again.id));
        }
    }
}
