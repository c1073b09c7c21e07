//! A call that its device has sealed before it left it (`vedette-agent`): a [`Call`] as JSON, any further member ignored.
//!
//! Whoever sends one chooses its fingerprints as freely as another the text they are made from; what is held here is
//! every bound that the seal would have kept.

use super::native::believable;
use super::{DecodeError, Received, place};
use crate::limits::{
    ACTORS_MAX, LEAF_TOKENS_MAX, LEAVES_MAX, RECORD_BYTES_MAX, SENTENCE_TOKENS_MAX, SENTENCES_MAX, STEPS_MAX,
};
use crate::{Call, DeadReason, Text};
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Whether `bytes` are a record with fingerprints: only a sealed call names the key of its own (`fpk`).
pub fn is_sealed(bytes: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Mark {
        fpk: Option<IgnoredAny>,
    }
    serde_json::from_slice::<Mark>(bytes).is_ok_and(|mark| mark.fpk.is_some())
}

/// Reads one record.
///
/// Errors: [`DeadReason`] of most kinds; the detail names the field or the place, never a value.
pub fn decode(bytes: &[u8], received: &Received) -> Result<Call, DecodeError> {
    let oversize = |what: String| Err(DecodeError::new(DeadReason::Oversize, what));
    if bytes.len() > RECORD_BYTES_MAX {
        return oversize(format!("{} bytes, over the limit of {RECORD_BYTES_MAX}", bytes.len()));
    }
    let call: Call = serde_json::from_slice(bytes).map_err(|error| {
        // What a 32-bit float cannot hold is told here, or reads as infinite: it depends on how serde_json was built.
        if error.to_string().starts_with("number out of range") { out_of_range() } else { place(&error) }
    })?;
    if call.v > crate::RECORD_VERSION {
        let (found, known) = (call.v, crate::RECORD_VERSION);
        let detail = format!("record version {found}, this build reads up to {known}");
        return Err(DecodeError::new(DeadReason::NewerVersion, detail));
    }
    believable(call.at, received.at)?;
    let steps = call.telemetry.as_ref().map_or(0, |telemetry| telemetry.steps.len());
    for (field, found, limit) in [
        ("args", call.args.len(), LEAVES_MAX),
        ("args[].tokens", call.args.iter().map(|leaf| leaf.tokens.len()).max().unwrap_or(0), LEAF_TOKENS_MAX),
        ("actor", call.actor.len(), ACTORS_MAX),
        ("tool_stems", call.tool_stems.len(), LEAF_TOKENS_MAX),
        ("tool_description", call.tool_description.len(), LEAF_TOKENS_MAX),
        ("telemetry.steps", steps, STEPS_MAX),
        ("mission", size(call.mission.as_ref()), SENTENCES_MAX),
        ("result", size(call.result.as_ref()), SENTENCES_MAX),
    ] {
        if found > limit {
            return oversize(format!("`{field}` has {found} parts, over the limit of {limit}"));
        }
    }
    let scale = call.query.as_ref().is_none_or(|query| query.scale.is_finite());
    let segments = call.segments_ms.is_none_or(|s| [s.device, s.transit, s.tool].iter().all(|ms| ms.is_finite()));
    let told = call.telemetry.as_ref().map_or([None; 2], |told| [told.confidence, told.tokens_per_s]);
    if !scale || !segments || told.iter().flatten().any(|number| !number.is_finite()) {
        return Err(out_of_range());
    }
    Ok(call)
}

fn out_of_range() -> DecodeError {
    DecodeError::new(DeadReason::WrongType, "a number is out of range")
}

/// Sentences of a text; one with an overlong sentence counts as too many.
fn size(text: Option<&Text>) -> usize {
    let Some(text) = text else { return 0 };
    let overlong = text.sentences.iter().any(|sentence| sentence.tokens.len() > SENTENCE_TOKENS_MAX);
    if overlong { usize::MAX } else { text.sentences.len() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::native;
    use crate::{Millis, TenantKey, seal};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn received() -> Received {
        Received { at: Millis(1_795_343_040_062), id: "t/0/1".into() }
    }

    fn sealed() -> Value {
        let raw = br#"{"at":1795343040000,"tool":"t","session":"s","args":{"a":"b c","v":[0,1,2,3,4,5,6,7]},"result":"Paid. Done.","telemetry":{"steps":["plan"]}}"#;
        serde_json::to_value(seal(&native::decode(raw, &received()).unwrap(), &TenantKey::new([7; 32]))).unwrap()
    }

    fn refused(change: impl FnOnce(&mut Value)) -> DecodeError {
        let mut record = sealed();
        change(&mut record);
        decode(record.to_string().as_bytes(), &received()).unwrap_err()
    }

    #[test]
    fn what_a_device_sealed_is_read_and_its_place_in_the_chain_passed_over() {
        let mut record = sealed();
        record["edge"] = json!({"n": 3});
        let read = decode(record.to_string().as_bytes(), &received()).unwrap();
        record.as_object_mut().unwrap().remove("edge");
        assert_eq!(serde_json::to_value(read).unwrap(), record);
        assert!(is_sealed(record.to_string().as_bytes()));
        assert!(!is_sealed(br#"{"at":1,"tool":"t","session":"s"}"#) && !is_sealed(b"[]") && !is_sealed(b""));
    }

    #[test]
    fn every_bound_of_the_seal_is_held() {
        let repeat = |value: &Value, n| Value::Array(vec![value.clone(); n]);
        let cases: [(&str, DecodeError); 8] = [
            ("`args`", refused(|r| r["args"] = repeat(&r["args"][0], LEAVES_MAX + 1))),
            ("`actor`", refused(|r| r["actor"] = repeat(&json!("a"), ACTORS_MAX + 1))),
            ("`tool_stems`", refused(|r| r["tool_stems"] = repeat(&r["tool_stems"][0], LEAF_TOKENS_MAX + 1))),
            (
                "`telemetry.steps`",
                refused(|r| r["telemetry"]["steps"] = repeat(&r["telemetry"]["steps"][0], STEPS_MAX + 1)),
            ),
            (
                "`result`",
                refused(|r| r["result"]["sentences"] = repeat(&r["result"]["sentences"][0], SENTENCES_MAX + 1)),
            ),
            ("out of range", refused(|r| r["query"]["scale"] = json!(1e300))),
            ("a day ahead", refused(|r| r["at"] = json!(1_895_343_040_000_u64))),
            ("version 9", refused(|r| r["v"] = json!(9))),
        ];
        for (word, error) in cases {
            assert!(error.detail.contains(word), "{word}: {error}");
        }
        assert_eq!(refused(|r| r["fpk"] = Value::Null).reason, DeadReason::WrongType);
        assert_eq!(decode(&[b' '; RECORD_BYTES_MAX + 1], &received()).unwrap_err().reason, DeadReason::Oversize);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (is_sealed(&bytes), decode(&bytes, &received()));
        }
    }
}
