//! Sessions to learn from, out of a topic: as the engine would have cut them, unlabelled.

use super::kept::{Begun, Kept};
use crate::cli::Fit;
use crate::config::{Config, Topic};
use crate::decoders;
use crate::failure::{Failure, FitFailure};
use crate::gaps::Gaps;
use crate::progress::{Progress, grouped};
use crate::sightings;
use crate::states::{self, Who};
use cert_manager::est::server::wall_clock;
use detector::TrainingSession;
use ingest::Record;
use ingest::cluster::Cluster;
use ingest::stretch::{self, Stretch};
use schema::decode::{Decoder, Received, sealed};
use schema::{Call, Millis, Phase, StateId, TenantKey, topics};
use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;

/// Reads what the command line asks for, or what is left of it where an earlier reading was interrupted. Blocks.
pub fn sessions(
    args: &Fit,
    topic: &str,
    config: &Config,
    key: &TenantKey,
) -> Result<(Vec<TrainingSession>, Kept), Failure> {
    let cluster = config.kafka.cluster(args.brokers.as_deref())?;
    let known = config.topics.iter().find(|known| known.name == topic).cloned();
    let decoder = decoders::decoder(&known.unwrap_or_else(|| Topic { name: topic.to_owned(), ..Topic::default() }))?;
    let asked = Begun {
        topic: topic.to_owned(),
        since: args.since,
        format: decoder.format.name().to_owned(),
        key: key.name(),
        stretches: BTreeMap::new(),
    };
    // Without a key that lasts, what was sealed in one sitting says nothing in the next.
    let lasting = !config.seal.key_file.as_os_str().is_empty();
    let mut kept = Kept::open(&args.out, lasting && !args.fresh, &asked)?;
    let begun = match kept.begun() {
        Some(begun) => {
            let calls = grouped(kept.calls());
            eprintln!(
                "going on with the reading of {topic} that was interrupted: {calls} calls are there; --fresh begins anew"
            );
            begun.clone()
        }
        None => {
            let since = args.since.map(|since| since.at(Millis(wall_clock().0)));
            let stretches = stretch::look(&cluster, topic, since)?;
            if stretches.values().all(|stretch| stretch.is_empty()) {
                return Err(FitFailure::Nothing { topic: topic.to_owned(), since: args.since.is_some() }.into());
            }
            let begun = Begun { stretches, ..asked };
            if lasting {
                kept.begin(&begun)?;
            } else {
                eprintln!("without `seal.key_file` an interrupted reading begins anew");
            }
            begun
        }
    };
    read(&cluster, &begun, &decoder, key, &mut kept)?;
    if kept.dead() > 0 {
        eprintln!("{} records could not be read: `vedette inspect --topic {topic}` says why", grouped(kept.dead()));
    }
    let sessions = assembled(kept.take_calls(), config.sessions.idle_ms, key);
    if sessions.is_empty() {
        return Err(FitFailure::Nothing { topic: topic.to_owned(), since: args.since.is_some() }.into());
    }
    Ok((sessions, kept))
}

/// Reads what is missing, and keeps each record's calls, sealed.
fn read(cluster: &Cluster, begun: &Begun, decoder: &Decoder, key: &TenantKey, kept: &mut Kept) -> Result<(), Failure> {
    let open: BTreeMap<i32, Stretch> = begun
        .stretches
        .iter()
        .map(|(number, stretch)| (*number, Stretch { from: kept.next(*number).unwrap_or(stretch.from), ..*stretch }))
        .collect();
    let total = open.values().fold(0u64, |total, stretch| total.saturating_add(stretch.len()));
    let mut progress = Progress::start("reading records", total as usize);
    let mut at: BTreeMap<i32, i64> = open.iter().map(|(number, stretch)| (*number, stretch.from)).collect();
    stretch::read(cluster, &begun.topic, &open, |record: Record| {
        let first = begun.stretches.get(&record.partition).is_some_and(|stretch| {
            begun.since.is_some()
                && stretch.log_start > 0
                && stretch.from == stretch.log_start
                && record.offset == stretch.from
        });
        if first {
            return Err(FitFailure::RetentionTooShort { topic: begun.topic.clone(), oldest: record.at }.into());
        }
        let before = at.insert(record.partition, record.offset + 1).unwrap_or(record.offset);
        progress.advance(usize::try_from(record.offset + 1 - before).unwrap_or(0));
        let calls = calls(&record, decoder, key, kept);
        kept.keep(record.partition, record.offset + 1, calls)
    })?;
    progress.finish();
    kept.flush()
}

/// The calls of one record, sealed for the fit.
fn calls(record: &Record, decoder: &Decoder, key: &TenantKey, kept: &mut Kept) -> Vec<Call> {
    if record.is_nudge() {
        return Vec::new();
    }
    let received = Received { at: record.at, id: record.id() };
    if *record.topic == *topics::SEALED {
        let call = sealed::decode(&record.payload, &received);
        kept.count_dead(u64::from(call.is_err()));
        return call.into_iter().collect();
    }
    let decoded = decoder.decode(&record.payload, &received);
    kept.count_dead(decoded.dead.len() as u64);
    decoded.calls.iter().map(|raw| schema::seal_for_fit(raw, key)).collect()
}

/// Calls as they came, by partition → sessions, by the time of their first call: cut where they were idle, each call once,
/// with what a later sighting told of its end, in the order of their numbers where all are numbered.
fn assembled(calls: BTreeMap<i32, Vec<Call>>, idle_ms: u64, key: &TenantKey) -> Vec<TrainingSession> {
    let mut sessions: Vec<Vec<Call>> = Vec::new();
    for of_partition in calls.into_values() {
        let mut gaps = Gaps::new(idle_ms, GAPS_IN_MEMORY);
        let mut places: HashMap<StateId, Session> = HashMap::new();
        for call in of_partition {
            let call = gaps.cut_sealed(call, key);
            let session = places.entry(states::of_session(key, &Who::from(&call))).or_insert_with(|| {
                sessions.push(Vec::new());
                Session { at: sessions.len() - 1, ids: HashMap::new() }
            });
            let Some(calls) = sessions.get_mut(session.at) else { continue };
            match session.ids.get(call.id.as_str()).and_then(|at| calls.get_mut(*at)) {
                Some(known) if call.phase != Phase::Request && known.phase == Phase::Request => {
                    sightings::end(known, &call);
                    known.phase = Phase::Done;
                }
                Some(_) => {} // it tells nothing new
                None => {
                    session.ids.insert(call.id.as_str().to_owned(), calls.len());
                    calls.push(call);
                }
            }
        }
    }
    for calls in &mut sessions {
        if calls.iter().all(|call| call.seq.is_some()) {
            calls.sort_by_key(|call| call.seq); // stable
        }
    }
    let first = |calls: &Vec<Call>| calls.first().map(|call| (call.at, call.session.clone()));
    sessions.sort_by_cached_key(|calls| first(calls).map(|(at, session)| (at, session.to_string())));
    sessions.into_iter().map(|calls| TrainingSession { calls, pool: None }).collect()
}

/// Where a session's calls are, and which they are.
struct Session {
    at: usize,
    ids: HashMap<String, usize>,
}

/// Derived sessions under way at one time; the others wait on disk.
const GAPS_IN_MEMORY: NonZeroU32 = match NonZeroU32::new(20_000) {
    Some(many) => many,
    None => NonZeroU32::MIN,
};
