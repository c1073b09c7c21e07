//! Three engines, killed at random all the time: every call has exactly one answer, and the states left behind are
//! those of a single undisturbed run. `VEDETTE_SOAK_SECONDS=600` for the long one (default 20);
//! `VEDETTE_SOAK_SEED` repeats a choice of victims.

use crate::kafka::RealKafka;
use crate::support::process::{Process, Told};
use crate::support::{Running, Tally, assert_each_answered_once, call};
use ingest::checkpoint::{Bucket, CheckpointStore, Entries, Scope};
use ingest::engine::{EngineConfig, Membership};
use ingest::produce::send_all;
use ingest::read_back::Reader;
use ingest::topics::{self, TopicSpec};
use ingest::{Operator, Outputs, Partition};
use rand::{Rng as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tempfile::TempDir;

const PARTITIONS: u16 = 6;
const SESSIONS: usize = 50;
/// Calls of each session that are sent at once.
const TURNS: usize = 10;
const INSTANCES: [&str; 3] = ["0", "1", "2"];

fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

#[tokio::test]
async fn engines_killed_at_random_answer_every_call_once() {
    let length = Duration::from_secs(number("VEDETTE_SOAK_SECONDS").unwrap_or(20));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = number("VEDETTE_SOAK_SEED").unwrap_or(now.as_secs());
    println!("VEDETTE_SOAK_SEED={seed}");
    let mut chance = rand_chacha::ChaCha8Rng::seed_from_u64(seed);

    let broker = RealKafka::shared();
    let (calls, verdicts) = (broker.unique("calls"), broker.unique("verdicts"));
    let (group, folder) = (broker.unique("group"), TempDir::new().unwrap());
    topics::create(broker.bootstrap(), &[&calls, &verdicts].map(|name| TopicSpec::new(name, PARTITIONS)))
        .await
        .unwrap();
    let engine = |number: usize| {
        Process::start(&Told {
            brokers: broker.bootstrap(),
            group: &group,
            instance: INSTANCES[number],
            // One that is killed and comes back finds its partitions again; the others go on meanwhile. One that is
            // killed between a rebalance's two halves leaves partitions to nobody, until another one notices.
            membership: Membership::Static(INSTANCES[number].to_owned()),
            calls: &calls,
            verdicts: &verdicts,
            checkpoints: folder.path(),
        })
    };
    let mut engines: Vec<Process> = (0..INSTANCES.len()).map(engine).collect();

    let (mut seq, mut kills) = (0, 0);
    let started = Instant::now();
    while started.elapsed() < length {
        let due = tokio::time::Instant::now() + Duration::from_millis(chance.random_range(500..6_000));
        while tokio::time::Instant::now() < due {
            let turn = |seq| (0..SESSIONS).map(move |session| (format!("s-{session}"), seq));
            let turns = (seq..seq + TURNS).flat_map(turn).map(|(session, seq)| call(&calls, &session, seq));
            send_all(broker.bootstrap(), turns).await.unwrap();
            seq += TURNS;
        }
        let victim = chance.random_range(0..engines.len());
        drop(engines.remove(victim));
        engines.insert(victim, engine(victim));
        kills += 1;
    }
    println!("{kills} kills, {} calls", seq * SESSIONS);
    assert_each_answered_once(broker.bootstrap(), &verdicts, SESSIONS, seq).await;
    drop(engines);

    // One last owner of everything, with one more call of each session, leaves the final states.
    let store = Arc::new(Bucket::open(folder.path().to_str().unwrap()).unwrap());
    let config = EngineConfig {
        inputs: vec![calls.clone()],
        group: group.clone(),
        checkpoints: Some(Arc::clone(&store) as Arc<dyn CheckpointStore>),
        ..EngineConfig::new(broker.bootstrap())
    };
    let mut progress = config.progress();
    let last = Running::start(config, &verdicts);
    let turn = (0..SESSIONS).map(|session| call(&calls, &format!("s-{session}"), seq));
    send_all(broker.bootstrap(), turn).await.unwrap();
    progress.wait_for(|p| p.records >= SESSIONS as u64).await.unwrap();
    assert_eq!(last.stop().await.records, SESSIONS as u64, "something had been left to be answered");

    let count = ((seq + 1) * SESSIONS) as u64;
    let records = Reader::start(broker.bootstrap(), &calls).await.unwrap().take(count).await.unwrap();
    let factory = Tally::factory(&verdicts);
    let mut folds: BTreeMap<i32, (Box<dyn Operator>, i64)> = BTreeMap::new();
    for record in &records {
        let fold = folds.entry(record.partition);
        let (operator, next) = fold.or_insert_with(|| (factory(Partition::new(&calls, record.partition)), 0));
        operator.apply(record, &mut Outputs::default());
        *next = record.offset + 1;
    }
    for (partition, (mut operator, next)) in folds {
        let left = store.newest(&Partition::new(&calls, partition), next).unwrap().unwrap();
        assert_eq!(left.offset, next);
        let single_run = operator.entries(Scope::All);
        assert_eq!(Entries::folded(&left.segments), single_run, "state of partition {partition}");
    }
}
