//! Without a network: from a call as a door read it to its decision.

use crate::{calls, quantile};
use policy::server::Question;
use schema::{Mode, RawCall};
use std::path::Path;
use std::time::Instant;
use vedette::config::Config;

/// p50 and p99 in microseconds. Results come in between, untimed, so that sessions hold what they would.
pub async fn measure(model: &Path) -> (f64, f64) {
    let mut config = Config::default();
    config.policy.mode = Mode::Enforce;
    let detector = vedette::parts::detector(&config, Some(model)).unwrap();
    let parts = vedette::parts::for_data_sets(&config, detector).unwrap();
    let state = vedette::commands::policy::state(parts, &config).unwrap();
    let requests = calls::requests();
    let mut took = Vec::with_capacity(requests.len() * PASSES);
    for pass in 0..PASSES {
        for call in &requests {
            let raw = again(call, pass);
            let started = Instant::now();
            let judged = state.judge(Question::of(raw, "bench")).await.unwrap();
            let elapsed = started.elapsed();
            assert!(judged.scored.is_some(), "no score in time");
            if pass > 0 {
                took.push(elapsed.as_secs_f64() * 1e6);
            }
        }
    }
    (quantile(&mut took, 0.5), quantile(&mut took, 0.99))
}

/// The same call of another session.
pub fn again(call: &RawCall, pass: usize) -> RawCall {
    let mut call = call.clone();
    call.session = format!("{}/{pass}", call.session).parse().unwrap();
    call.id = format!("{}/{pass}", call.id).parse().unwrap();
    call
}

const PASSES: usize = 4;
