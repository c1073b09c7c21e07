//! `/metrics`, in Prometheus' text format. Labels are words of ours, so their number does not grow with traffic.

use super::{AppState, Problem};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// Begins to record the process's metrics, once; needs a tokio runtime. Without it `/metrics` says that there are none.
pub fn record_metrics() {
    let buckets = Matcher::Full("vedette_policy_decide_seconds".to_owned());
    let Ok(builder) = PrometheusBuilder::new().set_buckets_for_metric(buckets, &SECONDS) else { return };
    let Ok(handle) = builder.install_recorder() else { return };
    describe();
    if HANDLE.set(handle.clone()).is_ok() {
        // Histograms keep each value until they are summed up: do so even where nobody asks.
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(UPKEEP_EVERY);
            loop {
                tick.tick().await;
                handle.run_upkeep();
            }
        });
    }
}

/// `GET /metrics`.
pub(super) async fn metrics(State(state): State<Arc<AppState>>) -> Response {
    let Some(handle) = HANDLE.get() else {
        return Problem::new(StatusCode::NOT_FOUND, "no-metrics", "this process records no metrics").into_response();
    };
    let taken = (state.limits.in_flight_max as usize).saturating_sub(state.in_flight.available_permits());
    gauge!("vedette_policy_in_flight").set(taken as f64);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], handle.render()).into_response()
}

fn describe() {
    describe_histogram!("vedette_policy_decide_seconds", Unit::Seconds, "From a question to its decision, by door.");
    describe_gauge!("vedette_policy_in_flight", "Questions in hand.");
    describe_gauge!("vedette_policy_members", "Replicas that share the sessions, this one included.");
    for (name, text) in [
        ("vedette_policy_decisions_total", "Decisions, by door, what was done, what enforcing would do, degraded."),
        ("vedette_policy_refused_total", "Questions without a decision, by door and why."),
        ("vedette_policy_fallback_total", "Decisions without a score in time, by why."),
        ("vedette_policy_allowlisted_total", "Decisions that an allowlist turned."),
        ("vedette_policy_budget_breaches_total", "Calls over a route's time budget, by segment."),
        ("vedette_policy_log_dropped_total", "Decisions that could not be logged."),
        ("vedette_policy_spans_total", "Spans of decisions for a collector, by how they ended."),
        ("vedette_policy_sightings_dropped_total", "Calls that could not be published as they were seen."),
        ("vedette_policy_kafka_lost_total", "Records taken to be published that Kafka did not take in time."),
        ("vedette_policy_results_lost_total", "Results that did not reach the scorer."),
        ("vedette_policy_oversize_responses_total", "Responses over the body limit, counted and not read."),
        ("vedette_policy_connections_broken_total", "Connections that ended in an error."),
        ("vedette_policy_handshakes_refused_total", "TLS handshakes that failed or took too long."),
        (
            "vedette_policy_forwarded_total",
            "Calls and results taken to the replica that owns their session, by outcome.",
        ),
        ("vedette_policy_answered_total", "Calls and results of other replicas, by outcome."),
        ("vedette_policy_members_ignored_total", "Records of replicas that were not believed, by why."),
        ("vedette_policy_standings_heard_total", "Standings of sessions that engines told of."),
        ("vedette_policy_standings_ignored_total", "Records of standings that could not be read, by why."),
        ("vedette_policy_reloads_total", "Files read again, by what they are and whether they were taken."),
    ] {
        describe_counter!(name, text);
    }
}

static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// From well under a deadline to well over it.
const SECONDS: [f64; 12] = [0.000_025, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1.0];
