//! `vedette inspect`: what a log carries, before anything is learned from it.

use crate::cli::{Hidden, Inspect, Source, WORLD_SEED, WORLD_SESSIONS};
use crate::config::{Config, Topic};
use crate::decoders;
use crate::failure::Failure;
use crate::inspection::{Inspection, told};
use crate::progress::grouped;
use schema::Millis;
use schema::decode::{Decoded, Decoder, Received};
use schema::limits::RECORD_BYTES_MAX;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// Looks and tells.
pub async fn run(args: &Inspect, config: &Config) -> Result<(), Failure> {
    // Its fingerprints end with this command.
    let mut seen = Inspection::new(args.calls, crate::key::fresh()?);
    let of = if let Some(set) = &args.set {
        data_set(args, set, &mut seen)?
    } else if let Some(path) = &args.file {
        let decoder = decoder(args, &Topic::default())?;
        lines(path, &decoder, args.sample.max(args.calls), &mut seen)?;
        format!("{}, read as {}", path.display(), decoder.format.name())
    } else {
        topic(args, config, &mut seen).await?
    };
    Ok(std::io::stdout().write_all(told(&of, &seen).as_bytes())?)
}

async fn topic(args: &Inspect, config: &Config, seen: &mut Inspection) -> Result<String, Failure> {
    let first = config.topics.first().map(|topic| topic.name.as_str());
    let name = args.topic.as_deref().or(first).unwrap_or(schema::topics::CALLS);
    let known = config.topics.iter().find(|topic| topic.name == name).cloned();
    let decoder = decoder(args, &known.unwrap_or_else(|| Topic { name: name.to_owned(), ..Topic::default() }))?;
    let cluster = config.kafka.cluster(args.brokers.as_deref())?;
    let records = ingest::peek::newest(&cluster, name, args.sample.max(args.calls)).await?;
    for record in &records {
        let received = Received { at: record.at, id: record.id() };
        seen.add(&decoder.decode(&record.payload, &received), &received.id);
    }
    Ok(format!("topic {name} at {}, read as {}", cluster.brokers, decoder.format.name()))
}

/// The decoder that the command line names, else the one of `topic`.
fn decoder(args: &Inspect, topic: &Topic) -> Result<Decoder, Failure> {
    let mut topic = topic.clone();
    if let Some(mapping) = &args.mapping {
        topic.mapping.clone_from(mapping);
        "mapping".clone_into(&mut topic.format);
    }
    if let Some(format) = &args.format {
        topic.format.clone_from(format);
    }
    Ok(decoders::decoder(&topic)?)
}

/// The last `count` lines of a file; a line over the limit of a record is dead, not read.
fn lines(path: &Path, decoder: &Decoder, count: usize, seen: &mut Inspection) -> Result<(), Failure> {
    let unreadable = |source| Failure::Read { path: path.into(), source };
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let mut file = BufReader::new(std::fs::File::open(path).map_err(unreadable)?);
    let (mut line, mut number) = (Vec::new(), 0u64);
    let mut newest = std::collections::VecDeque::with_capacity(count.min(4_096));
    loop {
        line.clear();
        let mut bounded = (&mut file).take(RECORD_BYTES_MAX as u64 + 2);
        if bounded.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            break;
        }
        if !line.ends_with(b"\n") && line.len() > RECORD_BYTES_MAX {
            skip_line(&mut file).map_err(unreadable)?;
        }
        number += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        if newest.len() >= count {
            newest.pop_front();
        }
        newest.push_back((number, line.trim_ascii_end().to_vec()));
    }
    for (number, line) in newest {
        let received = Received { at: Millis(at), id: format!("line/{number}") };
        seen.add(&decoder.decode(&line, &received), &received.id);
    }
    Ok(())
}

fn skip_line(file: &mut impl std::io::BufRead) -> std::io::Result<()> {
    loop {
        let held = file.fill_buf()?;
        if held.is_empty() {
            return Ok(());
        }
        let end = held.iter().position(|byte| *byte == b'\n');
        let read = end.map_or(held.len(), |at| at + 1);
        file.consume(read);
        if end.is_some() {
            return Ok(());
        }
    }
}

fn data_set(args: &Inspect, set: &str, seen: &mut Inspection) -> Result<String, Failure> {
    let source = Source { data: args.data.clone(), world_seed: WORLD_SEED, world_sessions: WORLD_SESSIONS };
    let loaded = crate::source::load(&source, set, None, Hidden::default())?;
    let calls = loaded.set.calls.len();
    for call in loaded.set.calls {
        seen.add(&Decoded { calls: vec![call], ..Decoded::default() }, "");
    }
    let times = if loaded.set.timed { "" } else { ", without times" };
    Ok(format!("data set {set}, {} calls{times}", grouped(calls as u64)))
}
