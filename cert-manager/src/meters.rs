//! What the authority counts of itself: `GET /metrics`, in Prometheus' text format 0.0.4 (prometheus.io, "Exposition
//! formats"). Labels are words of ours, so their number does not grow with devices.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counts since the server's start. Only ever added to, but for the two gauges.
#[derive(Debug, Default)]
pub struct Meters {
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections taken.
    pub accepted: Counter,
    /// TLS handshakes that failed or took too long.
    pub handshakes_refused: Counter,
    /// Jobs that wait for the ledger.
    pub waiting: Gauge,
    /// Transactions of the ledger that failed: nothing of them was written or answered.
    pub ledger_failures: Counter,
    answered: Mutex<BTreeMap<(&'static str, u16), Timed>>,
    refused: Mutex<BTreeMap<String, u64>>,
    batches: Mutex<Timed>,
    jobs: Counter,
}

/// A count that grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are now.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// One more.
    pub fn up(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub fn down(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many, and how long they took together.
#[derive(Debug, Default, Clone, Copy)]
struct Timed {
    count: u64,
    took: Duration,
}

impl Timed {
    fn add(&mut self, took: Duration) {
        self.count += 1;
        self.took += took;
    }
}

/// Facts that are not counts, as a page is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Unix seconds: the end of the authority's certificate.
    pub authority_until: u64,
    /// Unix seconds: the end of the newest root document.
    pub root_until: u64,
    /// Number of the newest root document.
    pub root_version: u32,
    /// Number of the newest model bundle; 0: there is none.
    pub bundle_version: u32,
}

impl Meters {
    /// A request of that route was answered with `status`; `refused`: why no certificate was given.
    pub fn answered(&self, route: &'static str, status: u16, refused: Option<&str>, took: Duration) {
        held(&self.answered).entry((route, status)).or_default().add(took);
        if let Some(why) = refused {
            *held(&self.refused).entry(why.to_owned()).or_default() += 1;
        }
    }

    /// The ledger carried out that many jobs in one transaction.
    pub fn batch(&self, jobs: usize, took: Duration) {
        held(&self.batches).add(took);
        self.jobs.add(jobs as u64);
    }

    /// The page.
    pub fn page(&self, facts: &Facts) -> String {
        let mut page = Page::default();
        let (answered, refused, batches) =
            (held(&self.answered).clone(), held(&self.refused).clone(), *held(&self.batches));
        page.head("vedette_ca_requests_total", "counter", "Requests answered, by route and status.");
        for ((route, status), timed) in &answered {
            let labels = format!("{{route=\"{route}\",status=\"{status}\"}}");
            page.sample("vedette_ca_requests_total", &labels, timed.count as f64);
        }
        page.head("vedette_ca_request_seconds", "summary", "From a request's head to its answer, by route.");
        let mut by_route: BTreeMap<&str, Timed> = BTreeMap::new();
        for ((route, _), timed) in &answered {
            let sum = by_route.entry(route).or_default();
            *sum = Timed { count: sum.count + timed.count, took: sum.took + timed.took };
        }
        for (route, timed) in &by_route {
            page.timed("vedette_ca_request_seconds", &format!("{{route=\"{route}\"}}"), *timed);
        }
        page.head("vedette_ca_refusals_total", "counter", "Certificates refused, by why.");
        for (why, count) in &refused {
            page.sample("vedette_ca_refusals_total", &format!("{{why=\"{why}\"}}"), *count as f64);
        }
        page.counter("vedette_ca_connections_total", "Connections taken.", &self.accepted);
        page.gauge("vedette_ca_connections", "Connections that are open.", self.connections.get() as f64);
        let handshakes = "TLS handshakes that failed or took too long.";
        page.counter("vedette_ca_handshakes_refused_total", handshakes, &self.handshakes_refused);
        page.gauge("vedette_ca_jobs_waiting", "Jobs that wait for the ledger.", self.waiting.get() as f64);
        page.counter("vedette_ca_jobs_total", "Jobs the ledger carried out.", &self.jobs);
        page.head("vedette_ca_ledger_seconds", "summary", "Time of a transaction of the ledger.");
        page.timed("vedette_ca_ledger_seconds", "", batches);
        page.counter("vedette_ca_ledger_failures_total", "Transactions that failed.", &self.ledger_failures);
        let authority = "End of the authority's certificate, in Unix time.";
        page.gauge("vedette_ca_authority_expiry_timestamp_seconds", authority, facts.authority_until as f64);
        let root = "End of the newest root document, in Unix time.";
        page.gauge("vedette_ca_root_expiry_timestamp_seconds", root, facts.root_until as f64);
        page.gauge("vedette_ca_root_version", "Number of the newest root document.", f64::from(facts.root_version));
        let bundle = "Number of the newest model bundle; 0: none.";
        page.gauge("vedette_ca_model_bundle_version", bundle, f64::from(facts.bundle_version));
        page.0
    }
}

fn held<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner) // counts are whole after each line
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // INVARIANT: writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, counter: &Counter) {
        self.head(name, "counter", help);
        self.sample(name, "", counter.get() as f64);
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.head(name, "gauge", help);
        self.sample(name, "", value);
    }

    fn timed(&mut self, name: &str, labels: &str, timed: Timed) {
        self.sample(&format!("{name}_sum"), labels, timed.took.as_secs_f64());
        self.sample(&format!("{name}_count"), labels, timed.count as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_was_counted_as_prometheus_reads_it() {
        let meters = Meters::default();
        meters.accepted.add(3);
        meters.connections.up();
        meters.answered("renew", 200, None, Duration::from_millis(2));
        meters.answered("renew", 403, Some("budget-spent"), Duration::from_millis(1));
        meters.batch(2, Duration::from_millis(5));
        let page = meters.page(&Facts { authority_until: 7, root_until: 9, root_version: 1, bundle_version: 0 });
        for line in page.lines() {
            let sample = line.rsplit_once(' ').is_some_and(|(name, value)| {
                name.starts_with("vedette_ca_") && value.parse::<f64>().is_ok_and(f64::is_finite)
            });
            assert!(sample || line.starts_with("# HELP ") || line.starts_with("# TYPE "), "{line}");
        }
        for line in [
            "vedette_ca_requests_total{route=\"renew\",status=\"200\"} 1",
            "vedette_ca_request_seconds_sum{route=\"renew\"} 0.003",
            "vedette_ca_request_seconds_count{route=\"renew\"} 2",
            "vedette_ca_refusals_total{why=\"budget-spent\"} 1",
            "vedette_ca_connections_total 3",
            "vedette_ca_connections 1",
            "vedette_ca_jobs_total 2",
            "vedette_ca_ledger_seconds_count 1",
            "vedette_ca_authority_expiry_timestamp_seconds 7",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
        }
    }
}
