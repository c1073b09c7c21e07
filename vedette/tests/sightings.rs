//! One call, several sightings: doors and logs together give what the log alone would have given.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use detector::{Detector, FitOptions, TrainingSession};
use schema::{Phase, RawCall, Verdict};
use std::sync::Arc;
use vedette::pipeline::{Parts, Pipeline};

/// A model of a small world, and the world's calls by session.
fn world() -> (Arc<Parts>, Vec<Vec<RawCall>>) {
    let (set, _) = datasets::world::generate(4, 150);
    let key = vedette::key::for_data_sets();
    let sessions: Vec<(bool, Vec<RawCall>)> = set
        .calls_by_session()
        .into_iter()
        .map(|(meta, calls)| {
            (meta.split == datasets::Split::Train, calls.into_iter().map(|index| set.calls[index].clone()).collect())
        })
        .collect();
    let honest = sessions.iter().filter(|(train, _)| *train).map(|(_, calls)| TrainingSession {
        calls: calls.iter().map(|call| schema::seal_for_fit(call, &key)).collect(),
        pool: None,
    });
    let model = detector::fit(&honest.collect::<Vec<_>>(), &FitOptions::default()).unwrap();
    let config = vedette::config::Config::default();
    let parts = vedette::parts::for_data_sets(&config, Detector::new(model)).unwrap();
    (parts, sessions.into_iter().filter(|(train, _)| !*train).map(|(_, calls)| calls).take(40).collect())
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
    for calls in &sessions {
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
    for calls in &sessions {
        let doubled: Vec<RawCall> = calls.iter().flat_map(|call| [call.clone(), call.clone()]).collect();
        assert_eq!(verdicts(&parts, &doubled), verdicts(&parts, calls));
    }
}
