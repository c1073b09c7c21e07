//! `vedette replay`: a data set's calls into Kafka, as if they happened now.

use crate::cli::Hidden;
use crate::cli::Replay;
use crate::config::Config;
use crate::failure::Failure;
use crate::progress::{Progress, grouped};
use crate::source::{self, Selection};
use datasets::Dataset;
use datasets::replay::{Faults, stream};
use ingest::Output;
use schema::{RawCall, Session, topics};
use std::collections::HashSet;
use std::io::Write as _;
use std::time::Duration;

/// Sends all calls, then says how many.
pub async fn run(args: &Replay, config: &Config) -> Result<(), Failure> {
    let cluster = config.kafka.cluster(args.brokers.as_deref())?;
    let loaded = source::load(&args.source, &args.set, None, Hidden::default())?;
    let selection = Selection { split: args.split, fold: None, not_fold: None };
    let taken: HashSet<usize> = selection.of(&loaded.set)?.into_iter().flatten().collect();
    let faults = Faults { late: args.late, repeated: args.repeated, reordered: args.reordered, seed: args.seed };
    let mut arrivals = stream(&loaded.set, &faults);
    arrivals.retain(|(_, index)| taken.contains(index));

    ingest::topics::create(&cluster, &crate::topics::all()).await?;
    let keys = Keys::of(&loaded.set);
    let mut progress = Progress::start("sending calls", arrivals.len());
    let mut before = None;
    let records = arrivals.into_iter().filter_map(|(at, index)| {
        if let Some(speed) = args.speed {
            let recorded = before.replace(at).map_or(0, |before| at.since(before));
            // The sender asks for one record after the other and Kafka's own threads do the sending, so waiting here
            // holds up nothing else.
            tokio::task::block_in_place(|| std::thread::sleep(gap(recorded, speed)));
        }
        progress.advance(1);
        loaded.set.calls.get(index).map(|call| keys.record(call))
    });
    let sent = ingest::produce::send_all(&cluster, records).await?;
    progress.finish();
    writeln!(std::io::stdout(), "sent {} calls to {} at {}", grouped(sent.records), topics::CALLS, cluster.brokers)?;
    Ok(())
}

/// The call as its gateway would have written it.
pub fn record(call: &RawCall) -> Output {
    record_under(crate::door::lines::key(call.principal.as_ref(), &call.session), call)
}

/// The same under another key.
pub fn record_under(key: &str, call: &RawCall) -> Output {
    Output {
        topic: topics::CALLS.to_owned(),
        key: key.as_bytes().to_vec(),
        payload: schema::decode::native::encode(call),
    }
}

/// What the calls of a data set are keyed by. Sessions that ask a model API and do nothing else are keyed by that API, so that
/// identities which copy it together meet in one partition; all others by who answers for them.
pub struct Keys<'a> {
    mixed: HashSet<&'a Session>,
}

impl<'a> Keys<'a> {
    /// Looks through all calls once.
    pub fn of(set: &'a Dataset) -> Self {
        let others = set.calls.iter().filter(|call| !schema::seal::holds_query(&call.args));
        Self { mixed: others.map(|call| &call.session).collect() }
    }

    /// The key of a call of the set.
    pub fn key<'c>(&self, call: &'c RawCall) -> &'c str {
        match &call.app {
            Some(app) if !self.mixed.contains(&call.session) => app.as_str(),
            _ => crate::door::lines::key(call.principal.as_ref(), &call.session),
        }
    }

    /// The call as its gateway would have written it.
    pub fn record(&self, call: &RawCall) -> Output {
        record_under(self.key(call), call)
    }
}

/// Waiting time for `recorded` ms at `speed` times the recorded pace.
fn gap(recorded: u64, speed: f64) -> Duration {
    let ms = recorded as f64 / speed;
    if ms.is_finite() && ms > 0.0 { Duration::from_millis(ms as u64) } else { Duration::ZERO }
}
