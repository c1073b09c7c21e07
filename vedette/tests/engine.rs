//! `vedette engine` as processes on a real Kafka: killed, starved of their broker and fed poison, they say of every
//! call once what `vedette score` says of it.
//!
//! `make soak` runs the first test for `VEDETTE_SOAK_SECONDS=600`; `VEDETTE_SOAK_SEED` repeats a choice of victims.

use crate::kafka::RealKafka;
use crate::world::World;
use ingest::checkpoint::{Bucket, CheckpointStore as _, Entries, Scope};
use ingest::produce::send_all;
use ingest::{Operator as _, Output, Outputs, Partition, Record};
use rand::{Rng as _, SeedableRng as _};
use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use schema::{Millis, RawCall, Verdict, topics};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::read_to_string;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use vedette::commands::replay::{Keys, record_under};
use vedette::operator::Judge;
use vedette::scores::ScoreLine;

const PARTITIONS: u16 = 6;
const MEMBERS: usize = 3;
const SESSIONS: u32 = 240;
const SEED: u64 = 3;

/// One `vedette engine` of a group, killed on drop.
struct Engine {
    child: Child,
    log: PathBuf,
}

impl Engine {
    fn start(world: &World, broker: &str, name: &str) -> Self {
        let path = world.path(&format!("{name}.log"));
        let log = std::fs::File::options().create(true).append(true).open(&path).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_vedette"))
            .args(["engine", "--brokers", broker, "--model"])
            .arg(world.path("model"))
            .arg("--config")
            .arg(world.path(&format!("{name}.toml")))
            .current_dir(world.path(""))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        Self { child: child.unwrap(), log: path }
    }

    /// Asks it to end, as a service manager does; it must end well.
    fn stop(mut self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
        let status = self.child.wait().unwrap();
        assert!(status.success(), "an engine that is asked to end: {status}\n{}", read_to_string(&self.log).unwrap());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A world with a model, and a configuration for each member.
fn set_up(listen: &str) -> World {
    let world = World::new();
    std::fs::write(world.path("client.properties"), "session.timeout.ms=6000\n").unwrap();
    for member in 0..MEMBERS {
        let config = format!(
            "[kafka]\ncreate_topics = false\nclient_file = \"client.properties\"\n\
             [engine]\ninstance = \"{member}\"\ncheckpoints = \"checkpoints\"\ncheckpoint_ms = 1000\n\
             decisions = \"none\"\nlisten = \"{listen}\"\n\
             [seal]\nkey_file = \"key\"\n[limits]\nsessions_max = 20\nprincipals_max = 5\n"
        );
        std::fs::write(world.path(&format!("{member}.toml")), config).unwrap();
    }
    let size = ["--world-sessions", &SESSIONS.to_string(), "--world-seed", &SEED.to_string()];
    world.ok("fit --config @0.toml --out @model", &size);
    world.ok("score --config @0.toml --model @model --out @scores", &size);
    world
}

async fn make_topics(broker: &RealKafka) {
    ingest::topics::create(broker.bootstrap(), &vedette::topics::with_partitions(PARTITIONS)).await.unwrap();
}

/// The calls of one round, as sessions and principals of their own, two days before those of the last round: what asks a model
/// API at the same time is looked at together.
fn round(calls: &[RawCall], keys: &Keys<'_>, number: u64) -> Vec<Output> {
    let rename = |known: &RawCall| {
        let mut call = known.clone();
        let (session, seq) = call.id.as_str().rsplit_once('/').unwrap();
        call.id = format!("{session}~{number}/{seq}").parse().unwrap();
        call.session = format!("{}~{number}", call.session).parse().unwrap();
        call.principal = call.principal.map(|principal| format!("{principal}~{number}").parse().unwrap());
        call.at = Millis(call.at.0 - number * 2 * 86_400_000);
        record_under(keys.key(known), &call)
    };
    calls.iter().map(rename).collect()
}

/// All committed records of a topic, up to its end as it is now.
fn read_all(broker: &RealKafka, topic: &str) -> Vec<Record> {
    let consumer: BaseConsumer = broker
        .client()
        .set("group.id", "reads-all")
        .set("enable.auto.commit", "false")
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..i32::from(PARTITIONS) {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let (mut records, mut ended) = (Vec::new(), HashSet::new());
    while ended.len() < usize::from(PARTITIONS) {
        match consumer.poll(Duration::from_secs(30)).unwrap() {
            Ok(message) => records.push(Record {
                topic: topic.into(),
                partition: message.partition(),
                offset: message.offset(),
                at: Millis(message.timestamp().to_millis().unwrap() as u64),
                key: message.key().map(<[u8]>::to_vec),
                payload: message.payload().unwrap_or_default().to_vec(),
            }),
            Err(KafkaError::PartitionEOF(partition)) => {
                ended.insert(partition);
            }
            Err(error) => panic!("{error}"),
        }
    }
    records
}

fn number(name: &str) -> Option<u64> {
    Some(std::env::var(name).ok()?.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_killed_at_random_say_of_every_call_once_what_score_says() {
    let length = Duration::from_secs(number("VEDETTE_SOAK_SECONDS").unwrap_or(15));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let seed = number("VEDETTE_SOAK_SEED").unwrap_or(now.as_secs());
    println!("VEDETTE_SOAK_SEED={seed}");
    let mut chance = rand_chacha::ChaCha8Rng::seed_from_u64(seed);

    let world = set_up("");
    let (set, _) = datasets::world::generate(SEED, SESSIONS);
    let mut calls = Vec::new();
    datasets::replay::stream(&set, &datasets::replay::Faults::default())
        .into_iter()
        .for_each(|(_, index)| calls.push(set.calls[index].clone()));
    let keys = Keys::of(&set);
    let mut broker = RealKafka::start();
    make_topics(&broker).await;
    let start = |member: usize, broker: &RealKafka| Engine::start(&world, broker.bootstrap(), &member.to_string());
    let mut engines: Vec<Engine> = (0..MEMBERS).map(|member| start(member, &broker)).collect();

    // Each killed every 5 to 25 seconds, sooner in a short run; the broker twice in a long one. Calls come all the while.
    let started = Instant::now();
    let (mut rounds, mut kills, mut restarts) = (0, 0, 0);
    let gap_ms = if length > Duration::from_secs(60) { 5_000..25_000 } else { 5_000..14_000 };
    let mut within = |ms: &Range<u64>| Duration::from_millis(chance.random_range(ms.clone()));
    let mut kill_at: Vec<Instant> = (0..MEMBERS).map(|_| started + within(&gap_ms)).collect();
    while started.elapsed() < length {
        // One session after the other falls silent half-way through and goes on in a later hand.
        for part in round(&calls, &keys, rounds).chunks(calls.len().div_ceil(4)) {
            send_all(broker.bootstrap(), part.to_vec()).await.unwrap();
            for (member, kill_at) in kill_at.iter_mut().enumerate().filter(|(_, at)| Instant::now() >= **at) {
                drop(engines.remove(member));
                engines.insert(member, start(member, &broker));
                *kill_at = Instant::now() + within(&gap_ms);
                kills += 1;
            }
            tokio::time::sleep(within(&(100..500))).await; // the pace of the load, not a wait for anything
        }
        rounds += 1;
        if length > Duration::from_secs(60) && restarts < 2 && started.elapsed() > length * (restarts + 1) / 3 {
            tokio::task::block_in_place(|| broker.restart());
            restarts += 1;
        }
    }
    // The last owner of a partition may have died with all of it answered, and its heir be asked to end before it has folded
    // that again: who answers a last round has.
    send_all(broker.bootstrap(), round(&calls, &keys, rounds)).await.unwrap();
    rounds += 1;
    let count = rounds as usize * calls.len();
    println!("{count} calls, {kills} kills, {restarts} restarts of the broker");
    assert!(kills > 0);

    // All there is, answered; the engines then leave, each with a last checkpoint.
    let mut reader = ingest::read_back::Reader::start(broker.bootstrap(), topics::VERDICTS).await.unwrap();
    reader.take(count as u64).await.unwrap();
    engines.into_iter().for_each(Engine::stop);

    let scores: HashSet<String> = world.sorted("scores").into_iter().collect();
    assert_eq!(scores.len(), calls.len());
    let mut answered: HashMap<u64, HashSet<String>> = HashMap::new();
    for verdict in read_all(&broker, topics::VERDICTS) {
        let verdict: Verdict = serde_json::from_slice(&verdict.payload).unwrap();
        let mut line = ScoreLine::of(&verdict, vedette::config::ALPHA).unwrap();
        let (session, round) = line.session.rsplit_once('~').unwrap();
        let round = round.parse().unwrap();
        line.session = session.to_owned();
        let line = line.to_json();
        assert!(scores.contains(&line), "not what `score` says: {line} of round {round}");
        assert!(answered.entry(round).or_default().insert(line), "`{}` is answered twice", verdict.id);
    }
    assert_eq!(answered.len() as u64, rounds);
    assert!(answered.values().all(|lines| lines.len() == calls.len()), "a call is not answered");

    // What the last owners left is what one undisturbed run leaves, to the byte.
    let config = vedette::config::load(Some(&world.path("0.toml"))).unwrap();
    let config = vedette::config::Config { seal: vedette::config::Seal { key_file: world.path("key") }, ..config };
    let detector = detector::Detector::new(vedette::parts::model(&world.path("model")).unwrap());
    let parts = vedette::parts::for_traffic(&config, detector).unwrap();
    let mut single: BTreeMap<i32, (Judge, i64)> = BTreeMap::new();
    for call in read_all(&broker, topics::CALLS) {
        let judge = || Judge::new(Arc::clone(&parts)).kept().in_order(config.sessions.bounds());
        let (judge, next) = single.entry(call.partition).or_insert_with(|| (judge(), 0));
        judge.apply(&call, &mut Outputs::default());
        *next = call.offset + 1;
    }
    let store = Bucket::open(world.path("checkpoints").to_str().unwrap()).unwrap();
    assert!(!single.is_empty());
    for (partition, (mut judge, next)) in single {
        let left = store.newest(&Partition::new(topics::CALLS, partition), i64::MAX).unwrap().unwrap();
        assert_eq!(left.offset, next, "the last checkpoint of partition {partition}");
        let (left, single) = (Entries::folded(&left.segments), Entries::folded([&judge.entries(Scope::All)]));
        assert!(left == single, "the state of partition {partition} is not that of a single run");
    }
}

/// The answer to `GET path`: status and body.
fn get(address: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_is_counted_and_stops_nothing() {
    // A port that was free a moment ago.
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string();
    let world = set_up(&address);
    let broker = RealKafka::shared();
    make_topics(broker).await;
    let engine = Engine::start(&world, broker.bootstrap(), "0");

    // Of 2,000 calls: 1 % malformed, 0.1 % oversize, 1 % repeated, 1 % two hours late.
    let at = 1_795_343_040_000_u64;
    let call = |n: u64, at: u64| {
        let payload = format!(
            r#"{{"v":1,"id":"c-{n}","at":{at},"session":"s-{}","tool":"search","args":{{"q":"{n}"}}}}"#,
            n % 50
        );
        Output {
            topic: topics::CALLS.to_owned(),
            key: format!("s-{}", n % 50).into_bytes(),
            payload: payload.into_bytes(),
        }
    };
    let mut records = Vec::new();
    for n in 0..2_000 {
        let good = call(n, at + n);
        records.push(match n {
            n if n % 100 == 7 => Output { payload: br#"{"v":1,"at":17,"tool":"t"#.to_vec(), ..good.clone() },
            n if n % 1_000 == 13 => {
                let payload =
                    format!(r#"{{"at":1,"tool":"t","session":"s","args":{{"x":"{}"}}}}"#, "x".repeat(4 << 20));
                Output { payload: payload.into_bytes(), ..good.clone() }
            }
            n if n % 100 == 60 => call(n, at + n - 7_200_000),
            _ => good.clone(),
        });
        if n % 100 == 80 {
            records.push(good);
        }
    }
    let (sent, good) = (records.len() as u64, 2_000 - 20 - 2);
    send_all(broker.bootstrap(), records).await.unwrap();
    let mut verdicts = ingest::read_back::Reader::start(broker.bootstrap(), topics::VERDICTS).await.unwrap();
    let mut dead = ingest::read_back::Reader::start(broker.bootstrap(), topics::DEAD).await.unwrap();
    let ids: HashSet<String> = verdicts
        .take(good)
        .await
        .unwrap()
        .iter()
        .map(|record| serde_json::from_slice::<Verdict>(&record.payload).unwrap().id.to_string())
        .collect();
    assert_eq!(ids.len() as u64, good, "one verdict for each good call");
    dead.take(22).await.unwrap();

    // Counts are of committed work; the last batch may be a moment behind what can be read.
    let counted = loop {
        let (status, page) = get(&address, "/metrics").unwrap();
        assert_eq!(status, 200);
        if page.contains(&format!("vedette_calls_total {sent}\n")) {
            break page;
        }
        tokio::task::yield_now().await;
    };
    for line in [
        "vedette_dead_letters_total 22",
        "vedette_duplicates_total 20",
        "vedette_late_total 20",
        "vedette_verdicts_total 1978",
    ] {
        assert!(counted.lines().any(|found| found == line), "{line} is missing in\n{counted}");
    }
    assert_eq!(get(&address, "/healthz").unwrap().0, 200);
    assert_eq!(get(&address, "/readyz").unwrap(), (200, "ready\n".to_owned()));
    engine.stop();
}
