//! What a running engine shows of itself beside its [`Progress`](super::Progress): cheap to note, read by whoever asks.

use crate::Partition;
use rdkafka::Statistics;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Gauges and histograms of one engine, all of its members together.
#[derive(Debug, Default)]
pub struct Meters {
    /// Records of each batch.
    pub batch_records: Histogram<Records>,
    /// Seconds from handing a batch to the producer to its being committed.
    pub commit_seconds: Histogram<Seconds>,
    /// By member: records of each partition that are there and not read, as librdkafka last knew.
    lag: Mutex<BTreeMap<String, Told>>,
    /// Partitions that nobody owned when the group was last looked at, with the records of each that wait.
    unowned: Mutex<BTreeMap<Partition, u64>>,
    rejoins_forced: AtomicU64,
    /// When each owned partition's state was last made safe, and how many bytes that took.
    checkpoints: Mutex<BTreeMap<Partition, (Instant, u64)>>,
}

#[derive(Debug, Default)]
struct Told {
    lag: BTreeMap<Partition, i64>,
    brokers_up: usize,
}

impl Meters {
    /// Records not read yet, by partition: of those owned here, and of those that nobody owns.
    pub fn lag(&self) -> BTreeMap<Partition, i64> {
        let of_nobody = lock(&self.unowned).clone();
        let of_nobody =
            of_nobody.into_iter().map(|(partition, lag)| (partition, i64::try_from(lag).unwrap_or(i64::MAX)));
        of_nobody.chain(lock(&self.lag).values().flat_map(|member| member.lag.clone())).collect()
    }

    /// Partitions that nobody owned when the group was last looked at.
    pub fn unowned(&self) -> usize {
        lock(&self.unowned).len()
    }

    /// Times the group was made to give its partitions out again, because some had no owner.
    pub fn rejoins_forced(&self) -> u64 {
        self.rejoins_forced.load(Ordering::Relaxed)
    }

    pub(super) fn note_unowned(&self, unowned: &BTreeMap<Partition, u64>) {
        lock(&self.unowned).clone_from(unowned);
    }

    pub(super) fn rejoin_forced(&self) {
        self.rejoins_forced.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether every member has a broker to talk to, as far as is known.
    pub fn brokers_up(&self) -> bool {
        lock(&self.lag).values().all(|member| member.brokers_up > 0)
    }

    /// How long ago each owned partition's state was made safe, and the bytes last written for it.
    pub fn checkpoints(&self) -> BTreeMap<Partition, (Duration, u64)> {
        lock(&self.checkpoints).iter().map(|(p, (at, bytes))| (p.clone(), (at.elapsed(), *bytes))).collect()
    }

    pub(super) fn checkpointed(&self, partition: &Partition, bytes: u64) {
        lock(&self.checkpoints).insert(partition.clone(), (Instant::now(), bytes));
    }

    pub(super) fn released(&self, partition: &Partition) {
        lock(&self.checkpoints).remove(partition);
    }

    pub(super) fn left(&self, member: &str) {
        lock(&self.lag).remove(member);
    }

    /// Source: librdkafka, STATISTICS.md (`consumer_lag`, -1 where it is not known; `desired`; broker `state`).
    pub(super) fn note(&self, member: &str, statistics: &Statistics) {
        let of_topic = |(topic, told): (&String, &rdkafka::statistics::Topic)| {
            let ours = told.partitions.iter().filter(|(_, told)| told.desired && told.consumer_lag >= 0);
            ours.map(|(number, told)| (Partition::new(topic, *number), told.consumer_lag)).collect::<Vec<_>>()
        };
        let lag = statistics.topics.iter().flat_map(of_topic).collect();
        let brokers_up = statistics.brokers.values().filter(|broker| broker.state == "UP").count();
        lock(&self.lag).insert(member.to_owned(), Told { lag, brokers_up });
    }
}

/// Counts of values, cumulative by upper bound, as Prometheus has them.
#[derive(Debug)]
pub struct Histogram<B> {
    buckets: Vec<AtomicU64>,
    /// In millionths, so that it is a whole number.
    sum: AtomicU64,
    bounds: std::marker::PhantomData<B>,
}

/// Upper bounds of a histogram's buckets, rising.
pub trait Bounds {
    /// The bounds; one bucket more takes what is beyond them.
    const BOUNDS: &'static [f64];
}

/// Bounds for counts of records.
#[derive(Debug)]
pub struct Records;

/// Bounds for seconds.
#[derive(Debug)]
pub struct Seconds;

impl Bounds for Records {
    const BOUNDS: &'static [f64] = &[1.0, 10.0, 100.0, 1_000.0, 5_000.0, 10_000.0, 20_000.0, 50_000.0];
}

impl Bounds for Seconds {
    const BOUNDS: &'static [f64] = &[0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
}

impl<B: Bounds> Default for Histogram<B> {
    fn default() -> Self {
        let buckets = (0..=B::BOUNDS.len()).map(|_| AtomicU64::new(0)).collect();
        Self { buckets, sum: AtomicU64::new(0), bounds: std::marker::PhantomData }
    }
}

impl<B: Bounds> Histogram<B> {
    /// Counts one value.
    pub fn add(&self, value: f64) {
        let at = B::BOUNDS.iter().position(|bound| value <= *bound).unwrap_or(B::BOUNDS.len());
        if let Some(bucket) = self.buckets.get(at) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add((value.max(0.0) * 1e6) as u64, Ordering::Relaxed);
    }

    /// (upper bound, values at or below it), the last one without a bound; and the sum of all values.
    pub fn read(&self) -> (Vec<(Option<f64>, u64)>, f64) {
        let bounds = B::BOUNDS.iter().copied().map(Some).chain([None]);
        let mut below = 0;
        let counts = self.buckets.iter().map(|bucket| {
            below += bucket.load(Ordering::Relaxed);
            below
        });
        (bounds.zip(counts).collect(), self.sum.load(Ordering::Relaxed) as f64 / 1e6)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_counts_each_value_in_every_bucket_it_fits() {
        let histogram: Histogram<Records> = Histogram::default();
        [1.0, 7.0, 70_000.0].iter().for_each(|value| histogram.add(*value));
        let (buckets, sum) = histogram.read();
        let counts: Vec<u64> = buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [1, 2, 2, 2, 2, 2, 2, 2, 3]);
        assert_eq!((sum, buckets.last().unwrap().0), (70_008.0, None));
    }
}
