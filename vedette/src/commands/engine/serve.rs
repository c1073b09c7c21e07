//! `/healthz`, `/readyz` and `/metrics` of an engine.
//!
//! Metrics are in the Prometheus text format 0.0.4 (prometheus.io, "Exposition formats"): seconds and bytes as base
//! units, labels `topic`, `partition` and `le` only.

use crate::tally::Tally;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use ingest::engine::meters::{Bounds, Histogram};
use ingest::engine::{Meters, Progress};
use schema::topics;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What is shown.
#[derive(Clone)]
pub(super) struct Shown {
    pub(super) progress: watch::Receiver<Progress>,
    pub(super) meters: Arc<Meters>,
    pub(super) tally: Arc<Tally>,
}

/// Answers for as long as the process lives.
pub(super) async fn serve(listener: TcpListener, shown: Shown) {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(shown);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "health and metrics are served no more");
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
    let Shown { progress, meters, tally } = shown;
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
    page.gauge("vedette_partitions", "Partitions owned.", f64::from(progress.partitions));
    page.gauge("vedette_sessions_live", "Sessions remembered in memory.", read(&tally.sessions_busy));
    page.gauge("vedette_sessions_spilled", "Sessions remembered on disk.", read(&tally.sessions_spilled));
    page.gauge("vedette_state_spilled_bytes", "Bytes of the states on disk.", read(&tally.spilled_bytes));
    page.head("vedette_lag_records", "gauge", "Records that are there and not read.");
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
    page.histogram("vedette_batch_records", "Records of a batch.", &meters.batch_records);
    page.histogram("vedette_commit_seconds", "Time from a full batch to its commit.", &meters.commit_seconds);
    page.0
}

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
        let shown = Shown { progress: config.progress(), meters: Arc::clone(&config.meters), tally: Arc::default() };
        let page = text(&shown);
        for line in page.lines() {
            let sample = line
                .rsplit_once(' ')
                .is_some_and(|(name, value)| name.starts_with("vedette_") && value.parse::<f64>().is_ok());
            assert!(sample || line.starts_with("# HELP ") || line.starts_with("# TYPE "), "{line}");
        }
        for line in
            ["vedette_calls_total 0", "vedette_commit_seconds_bucket{le=\"0.05\"} 1", "vedette_commit_seconds_count 1"]
        {
            assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
        }
    }
}
