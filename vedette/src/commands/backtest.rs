//! `vedette backtest`: what another model would have decided of calls that were.

use crate::backtest::{Diff, Side, Turned};
use crate::cli::{Backtest, Hidden};
use crate::config::Config;
use crate::failure::Failure;
use crate::pipeline::Parts;
use crate::progress::grouped;
use cert_manager::est::server::wall_clock;
use datasets::replay::{Faults, stream};
use detector::Detector;
use ingest::Record;
use schema::decode::{Received, sealed};
use schema::limits::RECORD_BYTES_MAX;
use schema::{Millis, topics};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

/// Judges the calls twice, tells where the two part, and ends with status 2 where a session is turned.
pub async fn run(args: &Backtest, config: &Config) -> Result<(), Failure> {
    let now = Millis(wall_clock().0);
    let (from, to) = (args.from.map_or(Millis(0), |from| from.at(now)), args.to.map_or(now, |to| to.at(now)));
    let old = crate::parts::detector(config, args.against.as_deref())?;
    let new = match &args.model {
        Some(path) => Detector::new(crate::parts::model(path)?),
        None => old.clone(),
    };
    let digests = [old.digest(), new.digest()];
    let of_a_set = args.topic.is_none() && args.file.is_none();
    // One key for both: they see the same calls.
    let old =
        if of_a_set { crate::parts::for_data_sets(config, old)? } else { crate::parts::for_traffic(config, old)? };
    let new = Arc::new(Parts { detector: Arc::new(new), ..(*old).clone() });

    let mut diff = Diff::default();
    let mut sides = Sides { old, new, by_partition: HashMap::new() };
    if let Some(topic) = &args.topic {
        let cluster = config.kafka.cluster(args.brokers.as_deref())?;
        tokio::task::block_in_place(|| {
            ingest::window::each(&cluster, topic, from, to, |record| sides.take(&record, &mut diff))
        })?;
    } else if let Some(file) = &args.file {
        lines(file, &mut sides, &mut diff, from, to)?;
    } else {
        let loaded = crate::source::load(&args.source, &args.set, None, Hidden::default())?;
        let mut side = Side::new(&sides.old, &sides.new);
        for (_, index) in stream(&loaded.set, &Faults::default()) {
            let within = |at: Millis| !loaded.set.timed || (at >= from && at < to);
            if let Some(call) = loaded.set.calls.get(index).filter(|call| within(call.at)) {
                side.judge(call, &mut diff);
            }
        }
    }
    tell(&diff, digests)
}

/// A pair of paths for each partition, as engines have one each.
struct Sides {
    old: Arc<Parts>,
    new: Arc<Parts>,
    by_partition: HashMap<i32, Side>,
}

impl Sides {
    fn take(&mut self, record: &Record, diff: &mut Diff) {
        let side = self.by_partition.entry(record.partition).or_insert_with(|| Side::new(&self.old, &self.new));
        let received = Received { at: record.at, id: record.id() };
        if *record.topic == *topics::SEALED {
            match sealed::decode(&record.payload, &received) {
                Ok(call) => side.judge_sealed(&call, diff),
                Err(_) => diff.dead += 1,
            }
            return;
        }
        let decoded = self.old.decoders.of_topic(&record.topic).decode(&record.payload, &received);
        diff.dead += decoded.dead.len() as u64;
        decoded.calls.iter().for_each(|raw| side.judge(raw, diff));
    }
}

/// One record a line, read by the decoder of the configuration's first topic; only calls of the time asked for.
fn lines(path: &Path, sides: &mut Sides, diff: &mut Diff, from: Millis, to: Millis) -> Result<(), Failure> {
    let unreadable = |source| Failure::Read { path: path.into(), source };
    let mut file = BufReader::new(std::fs::File::open(path).map_err(unreadable)?);
    let decoder = sides.old.decoders.first().clone();
    let mut side = Side::new(&sides.old, &sides.new);
    let (mut line, mut number) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        let mut bounded = (&mut file).take(RECORD_BYTES_MAX as u64 + 2);
        if bounded.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            return Ok(());
        }
        number += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let received = Received { at: to, id: format!("line/{number}") };
        let decoded = decoder.decode(line.trim_ascii_end(), &received);
        diff.dead += decoded.dead.len() as u64;
        let calls = decoded.calls.iter().filter(|call| call.at >= from && call.at < to);
        calls.for_each(|raw| side.judge(raw, diff));
    }
}

/// Counts, the two lists, one line of JSON.
fn tell(diff: &Diff, [old, new]: [schema::Digest; 2]) -> Result<(), Failure> {
    let (denied, allowed) = (diff.allow_to_deny(), diff.deny_to_allow());
    let mut out = std::io::stdout();
    writeln!(out, "old model   {old}\nnew model   {new}")?;
    writeln!(out, "judged      {} calls of {} sessions", grouped(diff.calls), grouped(diff.sessions() as u64))?;
    if diff.dead > 0 {
        writeln!(out, "dead        {} records could not be read", grouped(diff.dead))?;
    }
    writeln!(
        out,
        "flagged     {} sessions by the old, {} by the new",
        grouped(diff.flagged_old),
        grouped(diff.flagged_new)
    )?;
    writeln!(
        out,
        "otherwise   {} calls decided, {} risks",
        grouped(diff.decisions_changed),
        grouped(diff.risks_changed)
    )?;
    for (title, list) in [("ALLOW -> DENY", &denied), ("DENY -> ALLOW", &allowed)] {
        writeln!(out, "{title}  {} sessions", grouped(list.len() as u64))?;
        for Turned { session, stop, elsewhere } in list.iter().take(SHOWN) {
            let (call, tool, risk) = (&stop.call, &stop.tool, stop.risk);
            writeln!(out, "  {session}  at {call} ({tool})  risk {risk:.3}, else {elsewhere:.3}  {:?}", stop.pattern)?;
        }
        if list.len() > SHOWN {
            writeln!(out, "  and {} more: the last line has them all", list.len() - SHOWN)?;
        }
    }
    let (allow_to_deny, deny_to_allow) = (denied.len(), allowed.len());
    let mut line = serde_json::to_value(diff).map_err(std::io::Error::other)?;
    if let Some(line) = line.as_object_mut() {
        line.insert("sessions".into(), diff.sessions().into());
        line.insert("allow_to_deny".into(), serde_json::to_value(denied).map_err(std::io::Error::other)?);
        line.insert("deny_to_allow".into(), serde_json::to_value(allowed).map_err(std::io::Error::other)?);
    }
    writeln!(out, "{line}")?;
    match allow_to_deny + deny_to_allow {
        0 => Ok(()),
        _ => Err(Failure::Turned { allow_to_deny, deny_to_allow }),
    }
}

/// Sessions of each list that are shown.
const SHOWN: usize = 20;
