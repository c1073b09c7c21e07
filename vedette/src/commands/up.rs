//! `vedette up`: all of it on one machine, and what was caught at the end.

mod table;

use crate::cli::{Hidden, Split, Up};
use crate::commands::{fit, measure, policy, replay, score};
use crate::config::{ALPHA, Config};
use crate::failure::Failure;
use crate::operator::Judge;
use crate::pipeline::Parts;
use crate::progress::{Progress, grouped};
use crate::scores::ScoreLine;
use crate::source::{self, Loaded, Selection};
use datasets::replay::{Faults, stream};
use detector::Detector;
use ingest::cluster::Cluster;
use ingest::engine::{Delivery, EngineConfig};
use ingest::mock::MockKafka;
use ingest::produce::Pace;
use ingest::read_back::Reader;
use ingest::{IngestError, Operator, Output, Record};
use schema::{DeadLetter, Decision, Ladder, Millis, Verdict, topics};
use std::collections::{BTreeMap, HashSet};
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use table::Counted;

/// Starts everything, replays, tells; ends there with `--once`, else serves until asked to end.
pub async fn run(args: &Up, config: &Config) -> Result<(), Failure> {
    args.out.as_deref().map_or(Ok(()), fit::writable)?;
    let loaded = source::load(&args.source, &args.set, None, Hidden::default())?;
    let parts = crate::parts::for_data_sets(config, detector(args, config, &loaded)?)?;

    // Taken first: an address that cannot be had is said before the work, not after it.
    let listener = if args.once { None } else { Some(policy::listen(&config.policy.listen).await?) };
    let kafka = Kafka::start(args.brokers.as_deref(), config).await?;
    let mut settings = EngineConfig::new(&kafka.cluster);
    settings.group = "vedette-up".to_owned();
    // One member: a second one joining takes partitions away, and without checkpoints their sessions' states with them.
    settings.delivery = kafka.delivery;
    let progress = settings.progress();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let (of_this_run, shared) = (kafka.began, Arc::clone(&parts));
    let judge = move |_| -> Box<dyn Operator> { Box::new(Judge::new(Arc::clone(&shared)).since(of_this_run)) };
    let mut engine = tokio::spawn(ingest::engine::run(settings, judge, stopped));

    let records = calls(args, &loaded)?;
    let sent = records.len();
    eprintln!("replaying {} calls through Kafka at {}", grouped(sent as u64), kafka.cluster.brokers);
    let answers = tokio::select! {
        answers = through_kafka(&kafka, records, progress) => answers?,
        ended = &mut engine => return Err(ended_early(ended)),
    };
    tell(args, &answers, sent, &parts)?;
    if let Some(listener) = listener {
        let address = &config.policy.listen;
        eprintln!(
            "serving: Kafka at {}, decisions at http://{address}/v1/decide; Ctrl-C ends it",
            kafka.cluster.brokers
        );
        policy::serve(listener, Arc::clone(&parts), config, crate::shutdown::asked()).await?;
    }
    drop(stop);
    if let Ok(ended) = engine.await {
        ended?;
    }
    Ok(())
}

/// The model named, else one learned from the set's honest sessions.
fn detector(args: &Up, config: &Config, loaded: &Loaded) -> Result<Detector, Failure> {
    if let Some(path) = &args.model {
        return Ok(Detector::new(crate::parts::model(path)?));
    }
    let selection = Selection { split: Split::Train, ..Selection::default() };
    let sessions = fit::sealed(loaded, &selection, &crate::parts::key_for_data_sets(config)?)?;
    eprintln!("learning from {} honest sessions of `{}`", grouped(sessions.len() as u64), args.set);
    Ok(Detector::new(fit::learn(&sessions, SEED)?))
}

/// The calls to send, in the order they happened: all of a named set, the part of the world that was not learned from.
fn calls(args: &Up, loaded: &Loaded) -> Result<Vec<Output>, Failure> {
    let split = if args.source.data.is_some() { Split::All } else { Split::Test };
    let selection = Selection { split, ..Selection::default() };
    let taken: HashSet<usize> = selection.of(&loaded.set)?.into_iter().flatten().collect();
    let in_order = stream(&loaded.set, &Faults::default()).into_iter().filter(|(_, index)| taken.contains(index));
    let keys = replay::Keys::of(&loaded.set);
    Ok(in_order.filter_map(|(_, index)| loaded.set.calls.get(index)).map(|call| keys.record(call)).collect())
}

/// A Kafka to work on.
struct Kafka {
    cluster: Cluster,
    delivery: Delivery,
    /// When this run began, by the clock that stamps its records: what earlier runs left is none of ours.
    began: Millis,
    /// Ends with this run.
    _mock: Option<MockKafka>,
}

impl Kafka {
    /// The one named, else one inside this process.
    async fn start(named: Option<&str>, config: &Config) -> Result<Self, Failure> {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let began = Millis(began);
        if named.is_some() {
            let cluster = config.kafka.cluster(named)?;
            ingest::topics::create(&cluster, &crate::topics::all()).await?;
            return Ok(Self { cluster, delivery: Delivery::ExactlyOnce, began, _mock: None });
        }
        let mock = MockKafka::start(&crate::topics::with_partitions(MOCK_PARTITIONS))?;
        let cluster = Cluster::from(mock.bootstrap());
        Ok(Self { cluster, delivery: Delivery::AtLeastOnce, began, _mock: Some(mock) })
    }
}

/// What came back.
struct Answers {
    lines: Vec<ScoreLine>,
    decisions: BTreeMap<Ladder, u64>,
    dead: u64,
    seconds: f64,
}

/// Sends `records` and reads until each has its verdict and decision, or its dead letter.
async fn through_kafka(
    kafka: &Kafka,
    records: Vec<Output>,
    progress: tokio::sync::watch::Receiver<ingest::engine::Progress>,
) -> Result<Answers, Failure> {
    let mut verdicts = Reader::start(&kafka.cluster, topics::VERDICTS).await?;
    let mut decisions = Reader::start(&kafka.cluster, topics::DECISIONS).await?;
    let mut dead = Reader::start(&kafka.cluster, topics::DEAD).await?;
    // The clock starts when the engine has its partitions: joining a group is no part of judging.
    let mut joined = progress.clone();
    let ended = |_| IngestError::Ended { what: "engine" };
    joined.wait_for(|progress| progress.partitions > 0).await.map_err(ended)?;
    let pace = Pace::new(progress).and_reader(&verdicts).and_reader(&decisions);

    let (sent, began) = (records.len(), Instant::now());
    let mut bar = Progress::start("calls answered", sent);
    let mut answers = Answers { lines: Vec::with_capacity(sent), decisions: BTreeMap::new(), dead: 0, seconds: 0.0 };
    let (mut judged, mut decided) = (HashSet::new(), HashSet::new());
    let sending = ingest::produce::send_paced(&kafka.cluster, records, pace);
    tokio::pin!(sending);
    let mut all_sent = false;
    let ours = |record: &Record| record.at >= kafka.began;
    while answers.lines.len() + (answers.dead as usize) < sent || decided.len() + (answers.dead as usize) < sent {
        tokio::select! {
            done = &mut sending, if !all_sent => { done?; all_sent = true; }
            record = verdicts.next() => {
                let record = record?;
                let verdict: Verdict = if ours(&record) { read(topics::VERDICTS, &record)? } else { continue };
                if let Some(line) = ScoreLine::of(&verdict, ALPHA).filter(|_| judged.insert(verdict.id.clone())) {
                    answers.lines.push(line);
                    bar.advance(1);
                }
            }
            record = decisions.next() => {
                let record = record?;
                let decision: Decision = if ours(&record) { read(topics::DECISIONS, &record)? } else { continue };
                if decided.insert(decision.id.clone()) {
                    *answers.decisions.entry(decision.would).or_default() += 1;
                }
            }
            record = dead.next() => {
                let record = record?;
                let letter: DeadLetter = if ours(&record) { read(topics::DEAD, &record)? } else { continue };
                tracing::warn!(partition = letter.partition, offset = letter.offset, reason = ?letter.reason, "a call could not be read");
                answers.dead += 1;
            }
        }
    }
    if !all_sent {
        sending.await?;
    }
    bar.finish();
    answers.seconds = began.elapsed().as_secs_f64();
    Ok(answers)
}

fn read<T: serde::de::DeserializeOwned>(topic: &'static str, record: &Record) -> Result<T, Failure> {
    serde_json::from_slice(&record.payload).map_err(|error| Failure::ReadBack {
        topic,
        reason: format!("{:?} error in line {}", error.classify(), error.line()),
    })
}

/// The table, the file, the line of JSON.
fn tell(args: &Up, answers: &Answers, sent: usize, parts: &Parts) -> Result<(), Failure> {
    // The risks first: they need no labels, and a set without them still gets its file.
    if let Some(path) = &args.out {
        let mut lines: Vec<String> = answers.lines.iter().map(ScoreLine::to_json).collect();
        lines.sort_unstable();
        fit::write(path, &score::file(lines))?;
    }
    let labels = source::labels(&args.source, &args.set)?;
    let counted = Counted::of(&measure::joined(&answers.lines, &labels));
    let summary = counted.summary(sent as u64, answers.lines.len() as u64, answers.seconds);
    let mut out = std::io::stdout();
    out.write_all(counted.table(&summary, &answers.decisions, parts.mode == schema::Mode::Enforce).as_bytes())?;
    if answers.dead > 0 {
        writeln!(out, "dead        {} calls could not be read: see {}", grouped(answers.dead), topics::DEAD)?;
    }
    if let Some(path) = &args.out {
        writeln!(out, "risks       {}", path.display())?;
    }
    let set =
        args.source.data.as_ref().map_or(String::new(), |dir| format!(" --data {} --set {}", dir.display(), args.set));
    writeln!(
        out,
        "next        vedette fit{set} --out model    learn a model and keep it\n            \
         vedette explain --model model{set}    see why the riskiest session was flagged\n            \
         vedette measure --model model{set}    what is caught, when, at what price"
    )?;
    writeln!(out, "{}", serde_json::to_string(&summary).map_err(std::io::Error::other)?)?;
    Ok(())
}

fn ended_early(ended: Result<Result<ingest::engine::Summary, IngestError>, tokio::task::JoinError>) -> Failure {
    match ended {
        Ok(Err(error)) => error.into(),
        _ => IngestError::Ended { what: "engine" }.into(),
    }
}

/// Seed of the model that `up` learns: the default of `fit`, so both give the same model.
const SEED: u64 = 7;
/// Partitions of a topic on the in-process Kafka.
const MOCK_PARTITIONS: u16 = 4;
