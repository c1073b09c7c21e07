//! One call with its verdict, told in a few words.

pub mod http;

use policy::{Request, Scored};
use schema::decode::{Received, native};
use schema::*;

pub const NOW: Millis = Millis(1_795_343_040_062);

/// A call as a gateway would record it, with `more` fields of the record laid over it.
pub fn record(more: serde_json::Value) -> Vec<u8> {
    let mut record = serde_json::json!({"v":1,"id":"c-1","at":NOW.0,"tenant":"acme","session":"s-1","phase":"request",
        "agent":"travel-planner@3.2","principal":"user:42","device":"dev-9","app":"travel","tool":"reserve_hotel","args":{"hotel":"Ritz"}});
    record.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::to_vec(&record).unwrap()
}

pub fn raw(more: serde_json::Value) -> RawCall {
    native::decode(&record(more), &Received { at: NOW, id: "test/0/0".to_owned() }).unwrap()
}

pub fn call(more: serde_json::Value) -> Call {
    seal(&raw(more), &TenantKey::new([7; 32]))
}

/// What the detector says of `call`: `p`, a pattern, and whether the session read instruction-like text.
pub fn verdict(call: &Call, p: f64, pattern: Pattern, exposed: bool) -> Verdict {
    Verdict {
        v: 1,
        id: call.id.clone(),
        session: call.session.clone(),
        how: call.how,
        sure: call.how.sure(),
        risk: Risk::clamped(1.0 - p),
        p_value: PValue::new(p).unwrap(),
        pattern,
        model: Digest::of(b"model"),
        exposed,
        learning: false,
        evidence: vec![],
    }
}

pub fn standing(risk: f64, exposed: bool, budgets: Budgets) -> Standing {
    let session = Session::new("s-1").unwrap();
    Standing { v: 1, session, risk: Risk::new(risk).unwrap(), exposed, last: vec![], budgets, at: NOW }
}

pub fn ask(scored: &Scored) -> Request<'_> {
    Request::new(&scored.call, &scored.verdict, scored.standing.as_ref()).degraded(scored.degraded)
}

pub fn scored(more: serde_json::Value, p: f64, pattern: Pattern, exposed: bool) -> Scored {
    let call = call(more);
    let verdict = verdict(&call, p, pattern, exposed);
    Scored::new(call, verdict, None)
}
