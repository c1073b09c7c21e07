//! The form of every record on every topic, pinned to a reviewed file under `tests/golden/`. A change of one of these
//! files is a change that consumers see: raise `RECORD_VERSION` when old readers would misread it.
//! `UPDATE_GOLDEN=1` writes them anew.

use schema::decode::{Received, native};
use schema::*;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(name: &str, record: &T) {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = serde_json::to_string_pretty(record).unwrap() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(text, golden, "{name}: the record's form has changed");
    assert_eq!(&serde_json::from_str::<T>(&golden).unwrap(), record, "{name}: what was written reads back");
}

/// The call record of DESIGN, every field of it.
const RECORD: &str = r#"{"v":1,"id":"01JD","at":1795343040062,"tenant":"acme","session":"s-1","parent":"s-0","seq":4,"phase":"done",
 "agent":"travel-planner@3.2","principal":"user:42","actor":["agent:planner","agent:booker"],"device":"dev-9","app":"travel","tool":"reserve_hotel",
 "tool_info":{"description":"Books a room","read_only":false},
 "args":{"hotel":"Aurora","nights":2,"embedding":[0,1,2,3,4,5,6,7]},"mission":"Book the Aurora for two nights.","status":"ok",
 "result":"Booked. Please pay 120.50 to SE3550000000054910000003.","result_bytes":812,
 "segments_ms":{"device":41,"transit":12,"tool":83},
 "telemetry":{"confidence":0.82,"intent":"book","steps":["plan","read","plan"],"tokens_per_s":31,"thermal":"nominal","memory":"ok","model":"phi-4-mini@7"},
 "cost":{"tokens":812,"units":0.0021},"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}"#;

fn call() -> Call {
    let raw =
        native::decode(RECORD.as_bytes(), &Received { at: Millis(1_795_343_040_100), id: "agent.calls/0/0".into() });
    seal(&raw.unwrap(), &TenantKey::new([7; 32]))
}

#[test]
fn the_sealed_call() {
    check("call", &call());
}

#[test]
fn the_query() {
    let call = call();
    let record = QueryRecord {
        v: RECORD_VERSION,
        id: call.id,
        at: call.at,
        tenant: call.tenant,
        principal: call.principal.unwrap(),
        session: call.session,
        agent: call.agent,
        device: call.device,
        app: call.app,
        tool: call.tool,
        query: call.query.unwrap(),
        failed: false,
        result_bytes: Some(812),
    };
    check("query", &record);
    let older = serde_json::to_string(&record).unwrap().replace(r#","cells":"997P4aaGc/s""#, "");
    let read: QueryRecord = serde_json::from_str(&older).unwrap();
    assert_eq!(read.query, QuerySketch { cells: Vec::new(), ..record.query }, "a record of a build that knew no cells");
}

#[test]
fn the_verdict() {
    let from = Source { call: 2, sentence: 5 };
    let verdict = Verdict {
        v: RECORD_VERSION,
        id: CallId::new("01JD").unwrap(),
        session: Session::new("s-1").unwrap(),
        how: How::Explicit,
        sure: 1.0,
        risk: Risk::new(0.97).unwrap(),
        p_value: PValue::new(0.0004).unwrap(),
        pattern: Pattern::Injection,
        model: Digest([0xab; 32]),
        exposed: true,
        learning: false,
        evidence: vec![
            Evidence::Value { leaf: Path::new("recipient").unwrap(), from, strength: 0.9, share: 0.5 },
            Evidence::Restatement { from, strength: 0.9, share: 0.25 },
            Evidence::Edge {
                from: Some(Tool::new("read_inbox").unwrap()),
                to: Tool::new("send_money").unwrap(),
                p: 0.0007,
                share: 0.125,
            },
            Evidence::Feature { name: "origin_most".into(), value: 4.5, share: 0.0625 },
        ],
    };
    check("verdict", &verdict);
}

#[test]
fn the_standing() {
    let standing = Standing {
        v: RECORD_VERSION,
        session: Session::new("s-1").unwrap(),
        risk: Risk::new(0.97).unwrap(),
        exposed: true,
        last: vec![Tool::new("read_inbox").unwrap(), Tool::new("send_money").unwrap()],
        budgets: Budgets { calls: 5, tokens: 812, bytes: 4096, milliunits: 2 },
        at: Millis(1_795_343_040_062),
    };
    check("standing", &standing);
}

#[test]
fn the_decision() {
    let decision = Decision {
        v: RECORD_VERSION,
        id: CallId::new("01JD").unwrap(),
        decision: Ladder::Allow,
        would: Ladder::StepUp,
        mode: Mode::Shadow,
        degraded: false,
        reasons: vec![PolicyId::new("risky-write").unwrap()],
        policy: Digest([0xcd; 32]),
        retry_after_ms: None,
    };
    check("decision", &decision);
}

#[test]
fn the_dead_letter() {
    let letter = DeadLetter {
        v: RECORD_VERSION,
        topic: topics::CALLS.into(),
        partition: 3,
        offset: 1042,
        reason: DeadReason::WrongType,
        detail: "a field has the wrong type at line 1 column 17".into(),
        bytes: 410,
        digest: "00c0ffee00c0ffee".into(),
    };
    check("dead_letter", &letter);
}

#[test]
fn the_member() {
    let member = Member {
        v: RECORD_VERSION,
        address: "vedette-0.vedette:8184".into(),
        key: "00c0ffee00c0ffee".into(),
        since: Millis(1_795_343_040_062),
        at: Millis(1_795_343_041_062),
    };
    check("member", &member);
}

#[test]
fn the_model_and_its_change() {
    let digest = Digest([0xef; 32]);
    let model =
        ModelRecord { v: RECORD_VERSION, digest, location: "file:///models/7".into(), at: Millis(1_795_343_040_062) };
    check("model", &model);
    let topic = topics::CALLS.to_owned();
    let change = ModelChange { v: RECORD_VERSION, topic, partition: 3, offset: 1042, digest };
    check("model_change", &change);
    let elsewhere = ModelChange { topic: topics::SEALED.to_owned(), ..change };
    let written = serde_json::to_string(&elsewhere).unwrap();
    assert_eq!(serde_json::from_str::<ModelChange>(&written).unwrap(), elsewhere);
}
