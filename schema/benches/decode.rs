//! Cost of reading and sealing one call: a small one, one with a result of about 1 KB, one of 16 KB; and of reading one
//! record of each other format.
#![allow(clippy::unwrap_used, reason = "a bench")]

use divan::Bencher;
use schema::decode::{Decoder, Format, Received, Routes, native};
use schema::{Millis, RawCall, TenantKey, seal};

fn main() {
    divan::main();
}

/// `result`: bytes of result text.
fn record(result: usize) -> Vec<u8> {
    let line = "- id: 17\n  sender: ada@example.org\n  subject: Summer plans\n  body: We met last week and agreed on the dates.\n";
    let text: String = line.chars().cycle().take(result).collect();
    let json = serde_json::json!({"v":1,"id":"01JD7ZC9","at":1_795_343_040_062u64,"session":"s-1042","seq":4,"agent":"desk@3","app":"mail","tool":"send_email",
        "args":{"recipients":["ada@example.org","bob@example.org"],"subject":"Summer plans","body":"The dates are fixed, see you on Monday."},
        "status":"ok","result": (result > 0).then_some(text)});
    serde_json::to_vec(&json).unwrap()
}

fn received() -> Received {
    Received { at: Millis(1_795_343_040_100), id: "agent.calls/0/0".into() }
}

const RESULTS: [usize; 3] = [0, 1_024, 16_384];

#[divan::bench(args = RESULTS)]
fn decode(bencher: Bencher, result: usize) {
    let (bytes, received) = (record(result), received());
    bencher.counter(divan::counter::BytesCount::new(bytes.len())).bench(|| native::decode(&bytes, &received).unwrap());
}

#[divan::bench(args = RESULTS)]
fn seal_one(bencher: Bencher, result: usize) {
    let raw: RawCall = native::decode(&record(result), &received()).unwrap();
    let key = TenantKey::new([7; 32]);
    bencher.bench(|| seal(&raw, &key));
}

/// The records that `tests/decoders.rs` pins.
const RECORDS: [(&str, &str); 5] = [
    ("mcp", include_str!("../tests/golden/decode/mcp-2025-11-25.json")),
    ("otel-genai", include_str!("../tests/golden/decode/otel-genai.json")),
    ("ocsf", include_str!("../tests/golden/decode/ocsf.json")),
    ("envoy", include_str!("../tests/golden/decode/envoy.json")),
    ("agentgateway", include_str!("../tests/golden/decode/agentgateway.json")),
];

#[divan::bench(args = RECORDS.map(|(name, _)| name))]
fn decode_format(bencher: Bencher, name: &str) {
    let (_, record) = RECORDS.iter().find(|(known, _)| *known == name).unwrap();
    let decoder = Decoder { format: Format::named(name).unwrap(), routes: Routes::default() };
    let received = Received { at: Millis(1_795_343_100_000), id: "topic/0/0".into() };
    bencher
        .counter(divan::counter::BytesCount::new(record.len()))
        .bench(|| decoder.decode(record.as_bytes(), &received));
}
