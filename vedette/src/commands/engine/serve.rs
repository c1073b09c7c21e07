//! What an engine serves: `POST /v1/calls`, `/healthz`, `/readyz` and `/metrics`.
//!
//! Metrics are in the Prometheus text format 0.0.4 (prometheus.io, "Exposition formats"): seconds and bytes as base
//! units, labels are `topic`, `partition`, `le` and words of ours.

use crate::door::{Door, Outcome};
use crate::models::Models;
use crate::outlets;
use crate::tally::Tally;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use ingest::engine::meters::{Bounds, Histogram};
use ingest::engine::{Meters, Progress};
use policy::server::{Endpoint, Limits, Problem};
use schema::topics;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::watch;

/// What is shown.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) meters: Arc<Meters>,
    pub(super) tally: Arc<Tally>,
    pub(super) door: Door,
    pub(super) models: Option<Arc<Models>>,
    /// By name.
    pub(super) outlets: Vec<(&'static str, Arc<outlets::Meters>)>,
}

/// Answers until `shutdown`, then ends what is in hand.
pub(super) async fn serve(endpoint: Endpoint, shown: Shown, shutdown: impl Future<Output = ()>) {
    let nothing = async || Problem::new(StatusCode::NOT_FOUND, "not-found", "there is nothing at this path");
    let other =
        async || Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "this path takes another method");
    let router = Router::new()
        .route("/v1/calls", post(Door::calls))
        .with_state(shown.door.clone())
        .route("/healthz", get(async || "ok\n"))
        .merge(Router::new().route("/readyz", get(readyz)).route("/metrics", get(metrics)).with_state(shown))
        .fallback(nothing)
        .method_not_allowed_fallback(other);
    let limits = Limits { drain_ms_max: DRAIN_MS_MAX, ..Limits::default() };
    if let Err(error) = policy::server::listen(endpoint, router, limits, shutdown).await {
        tracing::error!(%error, "calls, health and metrics are served no more");
    }
}

/// 200 when calls are being judged; 503 and why not.
async fn readyz(State(shown): State<Shown>) -> (StatusCode, &'static str) {
    match not_ready(shown.progress.borrow().partitions, shown.meters.brokers_up()) {
        None => (StatusCode::OK, "ready\n"),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

fn not_ready(partitions: u32, brokers_up: bool) -> Option<&'static str> {
    match (partitions, brokers_up) {
        (_, false) => Some("no broker can be reached; what is in memory waits\n"),
        (0, _) => Some("no partition is assigned: the group is still forming, or has more members than partitions\n"),
        _ => None,
    }
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text(&shown))
}

fn text(shown: &Shown) -> String {
    let Shown { progress, meters, tally, door, models, outlets } = shown;
    let progress = progress.borrow().clone();
    let mut page = Page::default();
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
    let written = |topic: &str| progress.written(topic).records as f64;
    page.counter("vedette_calls_total", "Records answered and committed.", progress.records as f64);
    page.counter("vedette_call_bytes_total", "Bytes of these records.", progress.bytes as f64);
    page.counter("vedette_verdicts_total", "Verdicts committed.", written(topics::VERDICTS));
    page.counter("vedette_alerts_total", "Alerts committed.", written(topics::ALERTS));
    page.counter("vedette_dead_letters_total", "Records that could not be read.", written(topics::DEAD));
    page.counter("vedette_late_total", "Calls over two seconds older than their session's last.", read(&tally.late));
    page.counter("vedette_duplicates_total", "Sightings that told nothing new.", read(&tally.repeated));
    let waited = "Calls that came before their turn, waited, and went in it.";
    page.counter("vedette_reordered_total", waited, read(&tally.in_turn));
    page.counter("vedette_gaps_total", "Numbers of calls that were missing for too long.", read(&tally.gaps));
    page.gauge("vedette_calls_held", "Calls that wait for their turn.", read(&tally.held));
    page.gauge("vedette_partitions", "Partitions owned.", f64::from(progress.partitions));
    let unowned = "Partitions that no member of the group owned when it was last looked at.";
    page.gauge("vedette_partitions_unowned", unowned, meters.unowned() as f64);
    let forced = "Times the group was made to give its partitions out again.";
    page.counter("vedette_rejoins_forced_total", forced, meters.rejoins_forced() as f64);
    page.gauge("vedette_sessions_live", "Sessions remembered in memory.", read(&tally.sessions_busy));
    page.gauge("vedette_sessions_spilled", "Sessions remembered on disk.", read(&tally.sessions_spilled));
    page.gauge("vedette_state_spilled_bytes", "Bytes of the states on disk.", read(&tally.spilled_bytes));
    page.head(
        "vedette_lag_records",
        "gauge",
        "Records that are there and not read, of partitions owned here or by nobody.",
    );
    for (partition, lag) in meters.lag() {
        let labels = format!("topic=\"{}\",partition=\"{}\"", partition.topic, partition.number);
        page.sample("vedette_lag_records", &labels, lag as f64);
    }
    let checkpoints = meters.checkpoints();
    page.head("vedette_checkpoint_age_seconds", "gauge", "Time since a partition's state was made safe.");
    for (partition, (age, _)) in &checkpoints {
        let labels = format!("topic=\"{}\",partition=\"{}\"", partition.topic, partition.number);
        page.sample("vedette_checkpoint_age_seconds", &labels, age.as_secs_f64());
    }
    let bytes: u64 = checkpoints.values().map(|(_, bytes)| bytes).sum();
    page.gauge("vedette_checkpoint_bytes", "Bytes last written for the partitions owned.", bytes as f64);
    page.door(door);
    models.iter().for_each(|models| page.models(models));
    page.outlets(outlets);
    page.histogram("vedette_batch_records", "Records of a batch.", &meters.batch_records);
    page.histogram("vedette_commit_seconds", "Time from a full batch to its commit.", &meters.commit_seconds);
    page.0
}

/// A body in hand has this long once the engine is told to end: less than a service manager waits.
const DRAIN_MS_MAX: u64 = 4_000;

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // INVARIANT: writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let _ = match labels {
            "" => writeln!(self.0, "{name} {value}"),
            labels => writeln!(self.0, "{name}{{{labels}}} {value}"),
        };
    }

    fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, "counter", help);
        self.sample(name, "", value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, "gauge", help);
        self.sample(name, "", value);
    }

    fn door(&mut self, door: &Door) {
        let meters = door.meters();
        self.head("vedette_door_requests_total", "counter", "Bodies sent to /v1/calls, by how they ended.");
        for (outcome, name) in Outcome::ALL {
            let labels = format!("outcome=\"{name}\"");
            self.sample("vedette_door_requests_total", &labels, meters.requests(outcome) as f64);
        }
        self.head("vedette_door_lines_total", "counter", "Lines of bodies that were taken, by what they were.");
        for (kind, count) in meters.by_kind() {
            self.sample("vedette_door_lines_total", &format!("kind=\"{kind}\""), count as f64);
        }
        self.counter("vedette_door_bytes_total", "Bytes of bodies, inflated.", meters.inflated_bytes() as f64);
        self.gauge("vedette_door_in_flight_bytes", "Bytes of bodies in hand.", door.in_flight_bytes() as f64);
    }

    fn outlets(&mut self, outlets: &[(&str, Arc<outlets::Meters>)]) {
        if outlets.is_empty() {
            return;
        }
        let name = "vedette_alert_deliveries_total";
        self.head(name, "counter", "Attempts to deliver alerts outside Kafka, by outlet and how they ended.");
        for (outlet, meters) in outlets {
            let counts = [("delivered", &meters.delivered), ("retried", &meters.retried), ("refused", &meters.refused)];
            for (outcome, count) in counts {
                let labels = format!("outlet=\"{outlet}\",outcome=\"{outcome}\"");
                self.sample(name, &labels, count.load(Ordering::Relaxed) as f64);
            }
        }
    }

    fn models(&mut self, models: &Models) {
        self.head("vedette_model_info", "gauge", "The model that is used from the next batch on, by its digest.");
        self.sample("vedette_model_info", &format!("digest=\"{}\"", models.current().digest()), 1.0);
        let (changes, refused) = (models.changes() as f64, models.refused() as f64);
        self.counter("vedette_model_changes_total", "Times a partition took up another model.", changes);
        self.counter("vedette_models_refused_total", "Announced models that were refused.", refused);
    }

    fn histogram<B: Bounds>(&mut self, name: &str, help: &str, histogram: &Histogram<B>) {
        self.head(name, "histogram", help);
        let (buckets, sum) = histogram.read();
        for (bound, count) in &buckets {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
            self.sample(&format!("{name}_bucket"), &format!("le=\"{bound}\""), *count as f64);
        }
        self.sample(&format!("{name}_sum"), "", sum);
        self.sample(&format!("{name}_count"), "", buckets.last().map_or(0.0, |(_, count)| *count as f64));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_ready_with_partitions_and_a_broker_only() {
        assert_eq!(not_ready(3, true), None);
        assert!(not_ready(0, true).unwrap().contains("partition"));
        assert!(not_ready(3, false).unwrap().contains("broker"));
    }

    #[test]
    fn the_page_is_prometheus_text_with_every_metric() {
        let config = ingest::engine::EngineConfig::new("x:1");
        config.meters.commit_seconds.add(0.03);
        let door = Door::new(crate::door::Settings {
            cluster: &"127.0.0.1:1".into(),
            key: schema::TenantKey::new([7; 32]),
            keys: None,
            calls: None,
        });
        let (progress, meters) = (config.progress(), Arc::clone(&config.meters));
        let shown =
            Shown { progress, meters, tally: Arc::default(), door: door.unwrap(), models: None, outlets: Vec::new() };
        let page = text(&shown);
        for line in page.lines() {
            let sample = line
                .rsplit_once(' ')
                .is_some_and(|(name, value)| name.starts_with("vedette_") && value.parse::<f64>().is_ok());
            assert!(sample || line.starts_with("# HELP ") || line.starts_with("# TYPE "), "{line}");
        }
        for line in [
            "vedette_door_requests_total{outcome=\"busy\"} 0",
            "vedette_calls_total 0",
            "vedette_partitions_unowned 0",
            "vedette_rejoins_forced_total 0",
            "vedette_commit_seconds_bucket{le=\"0.05\"} 1",
            "vedette_commit_seconds_count 1",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
        }
    }
}
