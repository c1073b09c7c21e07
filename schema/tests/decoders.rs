//! What each format's records become, pinned: `golden/decode/NAME.json` is a record made of its specification's own field
//! names, `NAME.calls.json` the calls it holds. `UPDATE_GOLDEN=1` writes the latter anew.

use proptest::prelude::*;
use schema::decode::{Decoded, Decoder, Format, Mapping, Received, Routes, native};
use schema::limits::{RECORD_BYTES_MAX, RECORD_CALLS_MAX};
use schema::{DeadReason, Millis, RawCall, TenantKey};
use serde_json::{Value, json};

fn received() -> Received {
    Received { at: Millis(1_795_343_100_000), id: "topic/0/7".into() }
}

fn decoder(format: Format) -> Decoder {
    Decoder { format, routes: Routes::default() }
}

fn mapping(name: &str) -> Format {
    let path = format!("{}/../examples/mappings/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let mapping: Mapping = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    Format::Mapping(Box::new(mapping.check().unwrap()))
}

/// A call as our own record, with how its session was found.
fn shown(call: &RawCall) -> Value {
    let mut record: Value = serde_json::from_slice(&native::encode(call)).unwrap();
    record["session"] = json!(call.session);
    record["how"] = json!(call.how);
    record
}

fn check(name: &str, format: Format) {
    let folder = format!("{}/tests/golden/decode", env!("CARGO_MANIFEST_DIR"));
    let record = std::fs::read(format!("{folder}/{name}.json")).unwrap();
    let out = decoder(format).decode(&record, &received());
    assert!(out.dead.is_empty(), "{name}: {:?}", out.dead);
    let calls = json!({"calls": out.calls.iter().map(shown).collect::<Vec<_>>(), "other": out.other});
    let text = serde_json::to_string_pretty(&calls).unwrap() + "\n";
    let path = format!("{folder}/{name}.calls.json");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    assert_eq!(text, golden, "{name}: what its record becomes has changed");
}

#[test]
fn every_formats_record_becomes_the_calls_it_always_became() {
    check("mcp-2025-11-25", Format::Mcp);
    check("mcp-2026-07-28", Format::Mcp);
    check("otel-genai", Format::OtelGenai);
    check("ocsf", Format::Ocsf);
    check("envoy", Format::Envoy);
    check("agentgateway", Format::Agentgateway);
    for name in ["cloudtrail", "kong", "api-gateway", "ecs"] {
        check(name, mapping(name));
    }
}

#[test]
fn every_format_has_a_name_and_every_name_a_format() {
    for name in Format::NAMES {
        let format = Format::named(name).unwrap_or_else(|| mapping("ecs"));
        assert_eq!(format.name(), name);
    }
    assert_eq!(Format::named("opentelemetry"), None);
}

fn formats() -> Vec<Format> {
    let mut formats: Vec<Format> = Format::NAMES.iter().filter_map(|name| Format::named(name)).collect();
    formats.extend(["cloudtrail", "kong", "api-gateway", "ecs"].map(mapping));
    formats
}

/// The records pinned above, and some that are hostile on purpose.
fn corpus() -> Vec<String> {
    let names = [
        "mcp-2025-11-25",
        "mcp-2026-07-28",
        "otel-genai",
        "ocsf",
        "envoy",
        "agentgateway",
        "cloudtrail",
        "kong",
        "api-gateway",
        "ecs",
    ];
    let path = |name| format!("{}/tests/golden/decode/{name}.json", env!("CARGO_MANIFEST_DIR"));
    names.into_iter().map(|name| std::fs::read_to_string(path(name)).unwrap()).collect()
}

/// No part of `text` that could be a value is repeated in what is said of it.
fn says_no_value(out: &Decoded, secret: &str) {
    for error in &out.dead {
        assert!(!error.detail.contains(secret), "{error}");
    }
}

#[test]
fn what_cannot_be_read_is_dead_with_a_reason_and_without_its_values() {
    let oversize = format!("{{\"x\":\"{}\"}}", "x".repeat(RECORD_BYTES_MAX));
    let deep = format!("{}1{}", "{\"a\":".repeat(5_000), "}".repeat(5_000));
    let wide: String = (0..10_000).map(|n| format!("\"k{n}\":\"hunter2\",")).collect();
    for (text, reason) in [
        ("", DeadReason::Malformed),
        ("{\"hunter2", DeadReason::Malformed),
        ("{\"time\":NaN}", DeadReason::Malformed),
        ("\"hunter2\"", DeadReason::WrongType),
        (oversize.as_str(), DeadReason::Oversize),
        (deep.as_str(), DeadReason::Malformed),
    ] {
        for format in formats().into_iter().filter(|format| *format != Format::Native) {
            let out = decoder(format.clone()).decode(text.as_bytes(), &received());
            assert_eq!(out.dead.first().map(|e| e.reason), Some(reason), "{}: {:.40}", format.name(), text);
            assert!(out.calls.is_empty());
            says_no_value(&out, "hunter2");
        }
    }
    for format in formats() {
        // An object of ten thousand keys is no call of any format, and costs no more than its length.
        let out = decoder(format).decode(format!("{{{wide}\"z\":1}}").as_bytes(), &received());
        assert_eq!((out.calls.len(), out.dead.len() + out.other as usize), (0, 1));
        says_no_value(&out, "hunter2");
    }
}

#[test]
fn a_record_that_packs_too_many_calls_is_cut_and_says_so() {
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "t"}});
    let record = json!({"session": "s", "request": vec![call; RECORD_CALLS_MAX + 3]}).to_string();
    let out = decoder(Format::Mcp).decode(record.as_bytes(), &received());
    assert_eq!((out.calls.len(), out.dead.len()), (RECORD_CALLS_MAX, 3));
    assert!(out.dead.iter().all(|error| error.reason == DeadReason::Oversize));
}

/// One fault at one place of a text: what torn, shifted and hostile producers send.
fn damaged(text: &str, at: usize, fault: u8) -> Vec<u8> {
    const PIECES: [&str; 12] =
        ["null", "-1", "1e999", "\"\"", "[]", "{}", "\\u0000", "\u{202e}", "9007199254740993", "true", "[[[[", "\"-\""];
    let mut bytes = text.as_bytes().to_vec();
    let at = at % bytes.len();
    match fault % 6 {
        0 => bytes.truncate(at),
        1 => bytes[at] ^= 1 << (fault / 6 % 8),
        2 => drop(bytes.splice(at..at, PIECES[usize::from(fault) % PIECES.len()].bytes())),
        3 => drop(bytes.remove(at)),
        4 => {
            // A whole value is replaced: from the next colon to the next comma or bracket.
            let from = bytes[at..].iter().position(|b| *b == b':').map_or(at, |n| at + n + 1);
            let to = bytes[from..].iter().position(|b| b",}]".contains(b)).map_or(from, |n| from + n);
            drop(bytes.splice(from..to, PIECES[usize::from(fault) % PIECES.len()].bytes()));
        }
        _ => {
            let copied = bytes[at..(at + 40).min(text.len())].to_vec();
            drop(bytes.splice(at..at, copied));
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_500))]

    #[test]
    fn no_damage_to_a_record_makes_a_decoder_panic_or_lose_it(which in 0usize..10, faults in prop::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        let mut text = corpus()[which].clone();
        for (at, fault) in faults {
            text = String::from_utf8_lossy(&damaged(&text, at, fault)).into_owned();
            if text.is_empty() { break }
        }
        let key = TenantKey::new([7; 32]);
        for format in formats() {
            let out = decoder(format).decode(text.as_bytes(), &received());
            for call in &out.calls {
                prop_assert_eq!(schema::seal(call, &key).id, call.id.clone());
            }
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for format in formats() {
            let out = decoder(format).decode(&bytes, &received());
            prop_assert!(out.calls.len() + out.dead.len() + out.other as usize >= 1);
        }
    }
}
