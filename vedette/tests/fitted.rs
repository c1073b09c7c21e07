//! A model of the built-in world's honest sessions, and the sessions that it has not seen. Made once for all tests.

use detector::{Detector, FitOptions, Model, TrainingSession};
use schema::RawCall;
use std::sync::LazyLock;

/// What was fitted, and what to judge with it.
pub struct Fitted {
    pub model: Model,
    pub detector: Detector,
    /// Calls by session.
    pub others: Vec<Vec<RawCall>>,
}

pub static FITTED: LazyLock<Fitted> = LazyLock::new(|| {
    let (set, _) = datasets::world::generate(4, 400);
    let key = vedette::key::for_data_sets();
    let (mut honest, mut others) = (Vec::new(), Vec::new());
    for (meta, calls) in set.calls_by_session() {
        let calls: Vec<RawCall> = calls.into_iter().map(|index| set.calls[index].clone()).collect();
        if meta.split == datasets::Split::Train {
            let calls = calls.iter().map(|call| schema::seal_for_fit(call, &key)).collect();
            honest.push(TrainingSession { calls, pool: None });
        } else {
            others.push(calls);
        }
    }
    let model = detector::fit(&honest, &FitOptions::default()).unwrap();
    Fitted { detector: Detector::new(model.clone()), model, others }
});
