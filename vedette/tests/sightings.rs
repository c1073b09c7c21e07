//! One call, several sightings: doors and logs together give what the log alone would have given.

use crate::fitted::FITTED;
use schema::{Phase, RawCall, Verdict};
use std::sync::Arc;
use vedette::pipeline::{Parts, Pipeline};

/// A pipeline's parts, and sessions to judge.
fn world() -> (Arc<Parts>, &'static [Vec<RawCall>]) {
    let config = vedette::config::Config::default();
    let parts = vedette::parts::for_data_sets(&config, FITTED.detector.clone()).unwrap();
    (parts, &FITTED.others[..40])
}

fn phase(call: &RawCall, phase: Phase) -> RawCall {
    let mut sighting = call.clone();
    sighting.phase = phase;
    if phase == Phase::Request {
        (sighting.status, sighting.result, sighting.result_bytes) = (None, None, None);
    }
    sighting
}

fn verdicts(parts: &Arc<Parts>, calls: &[RawCall]) -> Vec<Verdict> {
    let mut pipeline = Pipeline::new(Arc::clone(parts));
    calls.iter().filter_map(|call| pipeline.judge(call)).map(|judged| judged.verdict).collect()
}

#[test]
fn a_request_and_later_its_result_are_judged_as_the_finished_call() {
    let (parts, sessions) = world();
    for calls in sessions {
        let finished = verdicts(&parts, calls);
        let apart: Vec<RawCall> =
            calls.iter().flat_map(|call| [phase(call, Phase::Request), phase(call, Phase::Result)]).collect();
        assert_eq!(verdicts(&parts, &apart), finished);
        // The gateway's log tells the same call a third time.
        let thrice: Vec<RawCall> = calls
            .iter()
            .flat_map(|call| [phase(call, Phase::Request), phase(call, Phase::Result), call.clone()])
            .collect();
        assert_eq!(verdicts(&parts, &thrice), finished);
    }
}

#[test]
fn results_that_come_late_and_in_another_order_count_from_then_on() {
    let (parts, sessions) = world();
    let long = sessions.iter().find(|calls| calls.len() >= 4).unwrap();
    let (first, second) = (&long[0], &long[1]);
    let mut order = vec![phase(first, Phase::Request), phase(second, Phase::Request)];
    order.extend([phase(second, Phase::Result), phase(first, Phase::Result)]);
    order.extend(long[2..].iter().cloned());
    let (mixed, straight) = (verdicts(&parts, &order), verdicts(&parts, long));
    assert_eq!(mixed.len(), straight.len());
    assert_eq!(mixed[2..], straight[2..], "once both results are here, nothing of the disorder remains");
}

#[test]
fn a_call_that_is_repeated_is_judged_once() {
    let (parts, sessions) = world();
    for calls in sessions {
        let doubled: Vec<RawCall> = calls.iter().flat_map(|call| [call.clone(), call.clone()]).collect();
        assert_eq!(verdicts(&parts, &doubled), verdicts(&parts, calls));
    }
}
