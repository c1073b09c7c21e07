//! Findings against the shape that OCSF 1.8.0 gives class 2004 and the objects in it (ocsf-schema: events/base_event,
//! events/findings/{finding,detection_finding}, objects/*): what must be there, what may be, and of which type.

use super::*;
use crate::parts;
use crate::pipeline::Pipeline;
use schema::{PValue, Risk};

/// Type of an attribute.
#[derive(Clone, Copy)]
enum Is {
    Integer,
    Flag,
    Text,
    Texts,
    /// Of any shape.
    Json,
    Object(&'static Shape),
    Objects(&'static Shape),
}

/// Attributes: name, required, type. `one_of`: at least one of these must be there.
struct Shape {
    attributes: &'static [(&'static str, bool, Is)],
    one_of: &'static [&'static str],
}

const fn shape(attributes: &'static [(&'static str, bool, Is)]) -> Shape {
    Shape { attributes, one_of: &[] }
}

static NAMED: Shape = shape(&[("uid", false, Is::Text), ("name", false, Is::Text)]);
static PRODUCT: Shape =
    shape(&[("name", false, Is::Text), ("vendor_name", false, Is::Text), ("version", false, Is::Text)]);
static METADATA: Shape = shape(&[
    ("version", true, Is::Text),
    ("product", true, Is::Object(&PRODUCT)),
    ("uid", false, Is::Text),
    ("correlation_uid", false, Is::Text),
    ("tenant_uid", false, Is::Text),
    ("labels", false, Is::Texts),
]);
static ATTACK: Shape = Shape {
    attributes: &[
        ("version", false, Is::Text),
        ("technique", false, Is::Object(&NAMED)),
        ("sub_technique", false, Is::Object(&NAMED)),
        ("tactic", false, Is::Object(&NAMED)),
    ],
    one_of: &["tactic", "technique", "sub_technique"],
};
static ANALYTIC: Shape = shape(&[
    ("type_id", true, Is::Integer),
    ("type", false, Is::Text),
    ("uid", false, Is::Text),
    ("name", false, Is::Text),
]);
static FINDING_INFO: Shape = shape(&[
    ("uid", true, Is::Text),
    ("title", false, Is::Text),
    ("types", false, Is::Texts),
    ("created_time", false, Is::Integer),
    ("modified_time", false, Is::Integer),
    ("first_seen_time", false, Is::Integer),
    ("last_seen_time", false, Is::Integer),
    ("related_events_count", false, Is::Integer),
    ("attacks", false, Is::Objects(&ATTACK)),
    ("analytic", false, Is::Object(&ANALYTIC)),
]);
static OBSERVATION: Shape = shape(&[("value", true, Is::Text), ("count", false, Is::Integer)]);
static ANOMALY: Shape = shape(&[
    ("observation_parameter", true, Is::Text),
    ("observations", true, Is::Objects(&OBSERVATION)),
    ("observation_type", false, Is::Text),
    ("observed_pattern", false, Is::Text),
]);
static TARGET: Shape = shape(&[("name", true, Is::Text), ("type", false, Is::Text)]);
static ANALYSIS: Shape = shape(&[
    ("analysis_targets", true, Is::Objects(&TARGET)),
    ("anomalies", true, Is::Objects(&ANOMALY)),
    ("baselines", false, Is::Objects(&ANOMALY)),
]);
static ACTOR: Shape = Shape {
    attributes: &[("app_name", false, Is::Text), ("user", false, Is::Object(&NAMED))],
    one_of: &["app_name", "user"],
};
static DEVICE: Shape = shape(&[("type_id", true, Is::Integer), ("uid", false, Is::Text)]);
static API: Shape = shape(&[("operation", true, Is::Text), ("service", false, Is::Object(&NAMED))]);
static EVIDENCE: Shape = Shape { attributes: &[("data", false, Is::Json)], one_of: &["data"] };
static CLASS_2004: Shape = shape(&[
    ("activity_id", true, Is::Integer),
    ("activity_name", false, Is::Text),
    ("category_uid", true, Is::Integer),
    ("category_name", false, Is::Text),
    ("class_uid", true, Is::Integer),
    ("class_name", false, Is::Text),
    ("type_uid", true, Is::Integer),
    ("type_name", false, Is::Text),
    ("severity_id", true, Is::Integer),
    ("severity", false, Is::Text),
    ("status_id", false, Is::Integer),
    ("status", false, Is::Text),
    ("time", true, Is::Integer),
    ("metadata", true, Is::Object(&METADATA)),
    ("finding_info", true, Is::Object(&FINDING_INFO)),
    ("is_alert", false, Is::Flag),
    ("anomaly_analyses", false, Is::Objects(&ANALYSIS)),
    ("risk_score", false, Is::Integer),
    ("confidence_score", false, Is::Integer),
    ("actor", false, Is::Object(&ACTOR)),
    ("device", false, Is::Object(&DEVICE)),
    ("api", false, Is::Object(&API)),
    ("evidences", false, Is::Objects(&EVIDENCE)),
    ("unmapped", false, Is::Json),
]);

/// Panics with the place where `value` departs from `shape`.
fn check(value: &Value, shape: &Shape, place: &str) {
    let map = value.as_object().unwrap_or_else(|| panic!("{place} is no object: {value}"));
    for (name, required, is) in shape.attributes {
        let place = format!("{place}.{name}");
        let Some(value) = map.get(*name) else {
            assert!(!required, "{place} is missing");
            continue;
        };
        let items = || value.as_array().unwrap_or_else(|| panic!("{place} is no array"));
        match is {
            Is::Integer => assert!(value.is_u64(), "{place}: {value}"),
            Is::Flag => assert!(value.is_boolean(), "{place}: {value}"),
            Is::Text => assert!(value.is_string(), "{place}: {value}"),
            Is::Texts => assert!(items().iter().all(Value::is_string), "{place}: {value}"),
            Is::Json => assert!(!value.is_null(), "{place}"),
            Is::Object(shape) => check(value, shape, &place),
            Is::Objects(shape) => items().iter().for_each(|item| check(item, shape, &place)),
        }
    }
    for name in map.keys() {
        assert!(shape.attributes.iter().any(|(known, ..)| known == name), "{place}.{name} is no attribute of OCSF");
    }
    let any = shape.one_of.is_empty() || shape.one_of.iter().any(|name| map.contains_key(*name));
    assert!(any, "{place} has none of {:?}", shape.one_of);
}

/// A judged call of the built-in world, as of the given pattern and p-value.
fn judged(pattern: Pattern, p_value: f64) -> Judged {
    let parts = parts::for_data_sets(&crate::config::Config::default(), detector::Detector::learning()).unwrap();
    let (set, _) = datasets::world::generate(3, 4);
    let mut judged = Pipeline::new(parts).judge(&set.calls[0]).unwrap();
    judged.verdict.pattern = pattern;
    judged.verdict.p_value = PValue::clamped(p_value);
    judged.verdict.risk = Risk::clamped(0.97);
    judged.verdict.learning = false;
    let tool = judged.call.tool.clone();
    let from = schema::Source { call: 2, sentence: 5 };
    judged.verdict.evidence = vec![
        Evidence::Value { leaf: schema::Path::new("recipient").unwrap(), from, strength: 0.9, share: 0.5 },
        Evidence::Restatement { from, strength: 0.8, share: 0.2 },
        Evidence::Edge { from: None, to: tool, p: 0.0007, share: 0.2 },
        Evidence::Feature { name: "exposure".into(), value: 1.5, share: 0.1 },
    ];
    judged
}

#[test]
fn findings_of_every_kind_have_the_shape_of_class_2004() {
    for pattern in [Pattern::None, Pattern::Injection, Pattern::Extraction, Pattern::Abuse] {
        for who in [true, false] {
            let mut judged = judged(pattern, 0.0004);
            if !who {
                (judged.call.principal, judged.call.app, judged.call.device) = (None, None, None);
            }
            let mut held = None;
            let (news, incident) = Incident::take(&mut held, &judged.verdict, judged.call.at, 0.01).unwrap();
            let finding = finding(&judged, news, &incident);
            check(&finding, &CLASS_2004, "finding");
            assert_eq!((&finding["class_uid"], &finding["type_uid"]), (&json!(2004), &json!(200_401)));
            assert_eq!(finding["anomaly_analyses"][0]["anomalies"].as_array().unwrap().len(), 5);
            assert_eq!(finding["finding_info"].get("attacks").is_some(), pattern != Pattern::None);
        }
    }
}

#[test]
fn a_finding_carries_the_trace_of_its_call_where_the_caller_named_one() {
    let mut judged = judged(Pattern::Injection, 0.001);
    let incident = Incident::take(&mut None, &judged.verdict, judged.call.at, 0.01).unwrap().1;
    let carried = |judged: &Judged| finding(judged, News::Opened, &incident)["unmapped"].get("traceparent").cloned();
    assert_eq!(carried(&judged), None);
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    judged.call.traceparent = Some(schema::TraceParent::new(caller).unwrap());
    assert_eq!(carried(&judged), Some(json!(caller)));
}

#[test]
fn a_shape_that_is_broken_is_found() {
    let judged = judged(Pattern::Injection, 0.001);
    let incident = Incident::take(&mut None, &judged.verdict, judged.call.at, 0.01).unwrap().1;
    for (pointer, value) in
        [("/metadata/version", json!(1.8)), ("/actor/user", json!(null)), ("/severity_idd", json!(3))]
    {
        let mut broken = finding(&judged, News::Opened, &incident);
        match broken.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => broken[pointer.trim_start_matches('/')] = value,
        }
        assert!(std::panic::catch_unwind(|| check(&broken, &CLASS_2004, "finding")).is_err(), "{pointer}");
    }
}

#[test]
fn later_flagged_calls_update_the_incident_where_they_say_more_and_repeat_nothing() {
    let mut held = None;
    let mut told = |pattern, p_value, at| {
        let mut judged = judged(pattern, p_value);
        judged.call.at = schema::Millis(at);
        let (news, incident) = Incident::take(&mut held, &judged.verdict, judged.call.at, 0.01)?;
        let finding = finding(&judged, news, &incident);
        check(&finding, &CLASS_2004, "finding");
        Some((
            finding["type_uid"].as_u64().unwrap(),
            finding["severity_id"].as_u64().unwrap(),
            finding["finding_info"]["created_time"].as_u64().unwrap(),
            finding["finding_info"]["related_events_count"].as_u64().unwrap(),
        ))
    };
    assert_eq!(told(Pattern::None, 0.009, 100), Some((200_401, 3, 100, 1)));
    assert_eq!(told(Pattern::None, 0.008, 200), None);
    assert_eq!(told(Pattern::Injection, 0.008, 300), Some((200_402, 3, 100, 3)), "it has a name now");
    assert_eq!(told(Pattern::None, 0.0001, 400), Some((200_402, 4, 100, 4)), "it is graver");
    assert_eq!(told(Pattern::Injection, 0.0001, 500), None);
}
