//! What is measured on: made-up calls of about 410 bytes, and real ones with results.

use detector::TrainingSession;
use ingest::Output;
use schema::Millis;
use schema::decode::{Received, native};
use std::path::PathBuf;
use std::sync::Arc;
use vedette::cli::{Hidden, Source, Split, WORLD, WORLD_SEED, WORLD_SESSIONS};
use vedette::commands::{fit, replay};
use vedette::config::Config;
use vedette::pipeline::Parts;
use vedette::source::{self, Loaded, Selection};

/// Sessions that made-up calls are spread over.
pub const SESSIONS: u64 = 10_000;

/// Call `n`: about 410 bytes of native JSON.
pub fn call(topic: &str, n: u64) -> Output {
    call_of(topic, n, SESSIONS)
}

/// The same, of `sessions` sessions.
pub fn call_of(topic: &str, n: u64, sessions: u64) -> Output {
    let session = n % sessions;
    // Digits that differ from call to call, or lz4 would make the broker's work too light.
    let noise = n.wrapping_mul(6_364_136_223_846_793_005).rotate_left(29) ^ 0x9e37_79b9_7f4a_7c15;
    let payload = format!(
        r#"{{"v":1,"id":"call-{n:012}","at":{},"tenant":"acme","session":"session-{session:08}","seq":{},"phase":"done","agent":"travel-planner@3.2","principal":"user:{}","app":"travel","tool":"tool_{}","args":{{"hotel":"Hotel {noise:016x}","nights":{},"guest":"{:x}@example.org"}},"status":"ok","result":"booked under {noise:x}","result_bytes":{},"telemetry":{{"confidence":0.82,"intent":"book"}}}}"#,
        1_795_343_040_000 + n,
        n / sessions,
        session % 977,
        noise % 41,
        noise % 14,
        noise >> 17,
        noise % 2_000,
    );
    Output { topic: topic.to_owned(), key: format!("session-{session:08}").into_bytes(), payload: payload.into_bytes() }
}

/// Everything a pipeline needs, with a model learned from calls of this kind: a few hundred of their sessions.
pub fn parts() -> Arc<Parts> {
    let config = Config::default();
    let key = vedette::parts::key_for_data_sets(&config).expect("a key");
    let received = Received { at: Millis(1_800_000_000_000), id: String::new() };
    let one = |n| native::decode(&call("", n).payload, &received).expect("a call");
    let session = |session: u64| TrainingSession {
        calls: (0..12).map(|turn| schema::seal_for_fit(&one(turn * SESSIONS + session), &key)).collect(),
        pool: None,
    };
    let sessions: Vec<TrainingSession> = (0..400).map(session).collect();
    let model = fit::learn(&sessions, 7).expect("a model");
    vedette::parts::for_data_sets(&config, detector::Detector::new(model)).expect("parts")
}

/// A set of real calls, and a model of its honest sessions.
pub struct Set {
    name: String,
    loaded: Loaded,
}

impl Set {
    pub fn open(data: Option<PathBuf>, name: Option<String>) -> Self {
        let name = name.unwrap_or_else(|| WORLD.to_owned());
        let source = Source { data, world_seed: WORLD_SEED, world_sessions: WORLD_SESSIONS };
        let loaded = source::load(&source, &name, None, Hidden::default()).expect("a data set");
        Self { name, loaded }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Everything a pipeline needs, with a model learned from the set.
    pub fn parts(&self) -> Arc<Parts> {
        let config = Config::default();
        let key = vedette::parts::key_for_data_sets(&config).expect("a key");
        let selection = Selection { split: Split::Train, ..Selection::default() };
        let sessions = fit::sealed(&self.loaded, &selection, &key).expect("sessions");
        let model = fit::learn(&sessions, 7).expect("a model");
        vedette::parts::for_data_sets(&config, detector::Detector::new(model)).expect("parts")
    }

    /// The set's calls again and again, in sessions of new names each time, at least `count` of them.
    pub fn records<'a>(&'a self, topic: &'a str, count: u64) -> impl Iterator<Item = Output> + Clone + 'a {
        let calls = &self.loaded.set.calls;
        let rounds = count.div_ceil(calls.len() as u64).max(1);
        let one = move |round: u64, call: &schema::RawCall| {
            let mut call = call.clone();
            call.session = format!("{}/{round}", call.session).parse().expect("a session");
            call.id = format!("{}/{round}", call.id).parse().expect("an id");
            Output { topic: topic.to_owned(), ..replay::record(&call) }
        };
        (0..rounds).flat_map(move |round| calls.iter().map(move |call| one(round, call)))
    }
}
