//! OCSF 1.8 API Activity (class 6003), with its profiles `trace` and `ai_operation` where a producer uses them.

use super::draft::{Draft, first, text, unpacked};
use super::time::{self, Unit};
use super::{DecodeError, Received};
use crate::{DeadReason, RawCall, RawToolInfo, Status};
use serde_json::{Map, Value, json};

/// `activity_id` 2, "Read": the call changes nothing.
const READ: u64 = 2;

pub(super) fn decode(record: Value, received: &Received) -> Result<Option<RawCall>, DecodeError> {
    let Value::Object(mut event) = record else {
        return Err(DecodeError::new(DeadReason::WrongType, "an event is a JSON object"));
    };
    match event.get("class_uid").map(Value::as_u64) {
        Some(Some(6003)) => {}
        Some(Some(_)) => return Ok(None),
        _ => return Err(DecodeError::missing("class_uid")),
    }
    let at = event.get("time").map(|at| time::of(at, "time", Unit::Ms, received.at)).transpose()?;
    let mut api = object(event.remove("api"));
    let (mut request, mut response) = (object(api.remove("request")), object(api.remove("response")));
    let actor = object(event.remove("actor"));
    let resources = event.remove("resources");
    let args = match request.remove("data").map(unpacked) {
        None | Some(Value::Null) => touched(resources.as_ref()),
        Some(data) => data,
    };
    let failed = text(response.get("error")).is_some();
    let at_path = |path: &str| walk(&event, path);
    let draft = Draft {
        at,
        id: text(request.get("uid")).or_else(|| text(at_path("metadata/uid"))),
        tenant: text(at_path("metadata/tenant_uid")).or_else(|| text(at_path("cloud/account/uid"))),
        // The `session` object is an authenticated one: a login, not a task.
        token: text(walk(&actor, "session/uid")),
        trace: text(at_path("trace/uid")),
        principal: text(walk(&actor, "user/uid")).or_else(|| text(walk(&actor, "user/name"))),
        agent: text(at_path("ai_agent/name"))
            .or_else(|| text(at_path("ai_agent/uid")))
            .or_else(|| first(&actor, &["app_name", "app_uid", "invoked_by"])),
        device: text(at_path("device/uid")).or_else(|| text(at_path("src_endpoint/uid"))),
        app: text(walk(&api, "service/name")),
        tool: text(api.get("operation")),
        tool_info: (event.get("activity_id").and_then(Value::as_u64) == Some(READ))
            .then_some(RawToolInfo { description: None, read_only: Some(true) }),
        args,
        status: match event.get("status_id").and_then(Value::as_u64) {
            Some(1) => Some(Status::Ok),
            Some(2) => Some(denied_or_failed(&response)),
            _ if failed => Some(denied_or_failed(&response)),
            _ => None,
        },
        result: response.remove("data").map(unpacked).or_else(|| text(response.get("error_message")).map(Value::from)),
        result_bytes: walk(&event, "http_response/length").and_then(Value::as_u64),
        tool_ms: event.get("duration").and_then(time::duration_ms),
        ..Draft::default()
    };
    draft.finish(("time", "api.operation"), received).map(Some)
}

fn denied_or_failed(response: &Map<String, Value>) -> Status {
    let word = text(response.get("error")).unwrap_or_default().to_ascii_lowercase();
    let code = response.get("code").and_then(Value::as_u64);
    if matches!(code, Some(401 | 403)) || word.contains("denied") || word.contains("unauthorized") {
        Status::Denied
    } else {
        Status::Error
    }
}

/// What a call was about, where the producer left its parameters out: names and ids of the resources.
fn touched(resources: Option<&Value>) -> Value {
    let kept = |item: &Value| {
        let fields = ["name", "uid", "type"].map(|key| (key.to_owned(), item.get(key).cloned()));
        let fields: Map<String, Value> = fields.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        (!fields.is_empty()).then_some(Value::Object(fields))
    };
    match resources.and_then(Value::as_array) {
        Some(items) if !items.is_empty() => json!({"resources": items.iter().filter_map(kept).collect::<Vec<_>>()}),
        _ => Value::Null,
    }
}

fn object(value: Option<Value>) -> Map<String, Value> {
    if let Some(Value::Object(object)) = value { object } else { Map::new() }
}

/// The value at a path of names.
fn walk<'a>(object: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let mut names = path.split('/');
    let first = object.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{How, Millis};

    fn read(record: Value) -> Result<Option<RawCall>, DecodeError> {
        decode(record, &Received { at: Millis(1_795_343_040_100), id: "ocsf/0/7".into() })
    }

    #[test]
    fn other_classes_are_no_calls_and_an_event_without_its_class_is_dead() {
        assert!(matches!(read(json!({"class_uid": 3002})), Ok(None)));
        assert_eq!(read(json!({"time": 1})).unwrap_err().detail, "no `class_uid`");
        assert_eq!(
            read(json!({"class_uid": 6003, "time": 1, "actor": {"user": {"uid": "u"}}})).unwrap_err().detail,
            "no `api.operation`"
        );
        assert_eq!(read(json!({"class_uid": 6003, "time": -1})).unwrap_err().reason, DeadReason::BadTime);
    }

    #[test]
    fn without_parameters_the_resources_are_the_arguments() {
        let call = read(json!({"class_uid": 6003, "activity_id": 2, "time": 1_795_343_040_062u64, "status_id": 2,
            "actor": {"user": {"uid": "AIDA"}, "session": {"uid": "login-1"}},
            "api": {"operation": "GetObject", "response": {"error": "AccessDenied", "error_message": "no"}},
            "resources": [{"name": "bucket", "type": "AWS::S3::Bucket", "owner": {"uid": "x"}}]}))
        .unwrap()
        .unwrap();
        assert_eq!(call.args, json!({"resources": [{"name": "bucket", "type": "AWS::S3::Bucket"}]}));
        assert_eq!((call.how, call.status), (How::Token, Some(Status::Denied)));
        assert_eq!(call.tool_info.unwrap().read_only, Some(true));
    }
}
