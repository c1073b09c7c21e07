//! The scorer hangs: how late answers are past their deadline.

use crate::{calls, quantile};
use async_trait::async_trait;
use policy::server::{AppState, Question};
use policy::{PolicySet, Scored, Scorer, ScorerError};
use schema::{Mode, RawCall};
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Hangs;

#[async_trait]
impl Scorer for Hangs {
    async fn score(&self, _: Arc<RawCall>) -> Result<Arc<Scored>, ScorerError> {
        // As long as the bench: what hangs is dropped with the runtime.
        std::future::pending().await
    }
}

/// p99.9 of the time past the deadline, in ms.
pub async fn measure() -> f64 {
    let limits = policy::server::Limits { in_flight_max: 100_000, ..Default::default() };
    let state = Arc::new(AppState::new(Arc::new(Hangs), PolicySet::default(), Mode::Enforce).with_limits(limits));
    let deadline = state.routes.default.deadline(None);
    let call = calls::requests().swap_remove(0);
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    let mut asked = Vec::new();
    for _ in 0..QUESTIONS {
        tick.tick().await;
        let (state, raw) = (Arc::clone(&state), call.clone());
        asked.push(tokio::spawn(async move {
            let started = Instant::now();
            let judged = state.judge(Question::of(raw, "bench")).await.unwrap();
            assert!(judged.decision.degraded);
            started.elapsed().saturating_sub(deadline).as_secs_f64() * 1e3
        }));
    }
    let mut past = Vec::with_capacity(asked.len());
    for answer in asked {
        past.push(answer.await.unwrap());
    }
    quantile(&mut past, 0.999)
}

/// Twenty seconds of them, so that one stall of the machine is not the figure.
const QUESTIONS: usize = 20_000;
