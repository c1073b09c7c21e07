//! `vedette doctor`: what is amiss with an engine's surroundings, before the engine says so.

use crate::cli::Doctor;
use crate::config::{Config, Topic};
use crate::decoders;
use crate::doctor::{
    Row, Sample, Status, needed, of_access, of_clock, of_decoder, of_disk, of_owners, of_retention, of_secret,
    of_topics, table,
};
use crate::failure::{self, Failure};
use cert_manager::est::server::wall_clock;
use ingest::checkpoint::{Bucket, CheckpointStore as _};
use ingest::cluster::Cluster;
use ingest::owners::{Looker, Owners};
use ingest::survey::{self, Survey};
use ingest::{Partition, Record};
use schema::Millis;
use schema::decode::{Decoded, Decoder, Format, Received};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

/// Looks at everything, tells it, and fails where something does.
pub async fn run(args: &Doctor, config: &Config) -> Result<(), Failure> {
    let cluster = config.kafka.cluster(args.brokers.as_deref())?;
    let mut rows = of_files(config);
    rows.extend(of_kafka(args, config, &cluster).await);
    let failed = rows.iter().filter(|row| row.status == Status::Fail).count();
    let text = match args.json {
        true => serde_json::to_string(&rows).map_err(std::io::Error::other)? + "\n",
        false => table(&rows),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    if failed > 0 { Err(Failure::Unwell { failed }) } else { Ok(()) }
}

async fn of_kafka(args: &Doctor, config: &Config, cluster: &Cluster) -> Vec<Row> {
    let (reads, writes) = needed(config);
    let all: Vec<String> = reads.iter().chain(&writes).cloned().collect();
    let survey = match survey::look(cluster, &config.kafka.group, &all).await {
        Ok(survey) => survey,
        Err(error) => {
            let why = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            return vec![Row::fail("brokers", format!("{error}{why}"), failure::advice(&error))];
        }
    };
    let mut rows = vec![Row::ok("brokers", cluster.brokers.clone())];
    rows.extend(of_topics(config, &survey));
    let written = match args.write {
        false => None,
        true => {
            let there = writes.iter().filter(|name| matches!(survey.topics.get(*name), Some(Ok(_)))).cloned();
            let (id, there) = (format!("{}-doctor", config.kafka.group), there.collect::<Vec<_>>());
            match survey::may_write(cluster, &id, &there).await {
                Ok(written) => Some(written),
                Err(error) => {
                    let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    let next =
                        format!("this user needs Write on transactional ids that begin with `{}`", config.kafka.group);
                    rows.push(Row::fail("transactions", format!("{error}: {why}"), next));
                    None
                }
            }
        }
    };
    rows.extend(of_access(config, &survey, written.as_ref()));
    let group = &config.kafka.group;
    rows.push(of_owners(group, &owners(cluster, group, &reads).await, &survey, &reads));
    let checkpoints = checkpoints(config, &survey, &reads);
    rows.extend(of_retention(&survey, &reads, checkpoints.as_ref()));
    let mut samples = Vec::new();
    for topic in &config.topics {
        if matches!(survey.topics.get(&topic.name), Some(Ok(_))) {
            match sample(cluster, topic).await {
                Ok(sample) => samples.push(sample),
                Err(error) => {
                    let next =
                        format!("this user needs Read on it: kafka-acls --add --operation Read --topic {}", topic.name);
                    rows.push(Row::fail(format!("reading {}", topic.name), error, next));
                }
            }
        }
    }
    rows.extend(samples.iter().map(of_decoder));
    rows.push(of_clock(&samples, Millis(wall_clock().0)));
    rows
}

/// Who owns the partitions of `reads`, or why that cannot be known.
async fn owners(cluster: &Cluster, group: &str, reads: &[String]) -> Result<Owners, String> {
    let looker = Looker::new(cluster, group, reads).map_err(|error| error.to_string())?;
    let looked = tokio::task::spawn_blocking(move || looker.look()).await.map_err(|error| error.to_string())?;
    looked.map_err(|error| {
        let why = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{why}")
    })
}

/// By partition: offset of the newest checkpoint at or before what was committed. None where none are kept.
fn checkpoints(config: &Config, survey: &Survey, reads: &[String]) -> Option<BTreeMap<Partition, Option<i64>>> {
    if config.engine.checkpoints.is_empty() {
        return None;
    }
    let store = Bucket::open(&config.engine.checkpoints).ok()?;
    let committed = survey.committed.as_ref().ok()?;
    let ours = committed.iter().filter(|(partition, _)| reads.iter().any(|name| **name == *partition.topic));
    let newest = |(partition, offset): (&Partition, &i64)| {
        (partition.clone(), store.newest(partition, *offset).ok().flatten().map(|stored| stored.offset))
    };
    Some(ours.map(newest).collect())
}

/// How the newest records of a topic read.
async fn sample(cluster: &Cluster, topic: &Topic) -> Result<Sample, String> {
    let decoder = decoders::decoder(topic).map_err(|error| error.to_string())?;
    let records = ingest::peek::newest(cluster, &topic.name, RECORDS).await.map_err(|error| {
        let why = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{why}")
    })?;
    let (dead, why) = unread(&decoder, &records);
    let others = Format::NAMES.iter().filter_map(|name| Format::named(name)).filter(|format| *format != decoder.format);
    let best = others
        .map(|format| (unread(&Decoder { format: format.clone(), routes: decoder.routes.clone() }, &records).0, format))
        .min_by_key(|(dead, _)| *dead)
        .filter(|(of_other, _)| *of_other < dead);
    Ok(Sample {
        topic: topic.name.clone(),
        format: decoder.format.name().to_owned(),
        records: records.len() as u64,
        dead,
        why,
        better: best.map(|(_, format)| format.name().to_owned()),
        newest: records.iter().map(|record| record.at).max(),
    })
}

/// Records of which nothing can be read, and the first reason.
fn unread(decoder: &Decoder, records: &[Record]) -> (u64, String) {
    let (mut dead, mut why) = (0, String::new());
    for record in records {
        let received = Received { at: record.at, id: record.id() };
        let Decoded { calls, dead: errors, .. } = decoder.decode(&record.payload, &received);
        if calls.is_empty() {
            dead += 1;
            if let Some(error) = errors.first().filter(|_| why.is_empty()) {
                why = error.to_string();
            }
        }
    }
    (dead, if why.is_empty() { "they hold no calls".to_owned() } else { why })
}

fn of_files(config: &Config) -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, path) in [
        ("key file", &config.seal.key_file),
        ("password file", &config.kafka.sasl.password_file),
        ("private key", &config.engine.tls.key),
    ] {
        // A key file is made, with the right mode, where it is missing.
        let missing_is_fine = what == "key file" && !path.exists();
        if !path.as_os_str().is_empty() && !missing_is_fine {
            rows.push(of_secret(what, &path.display().to_string(), &mode(path)));
        }
    }
    rows.push(match (config.detector.model.as_os_str().is_empty(), crate::parts::model(&config.detector.model)) {
        (true, _) => Row::warn(
            "model",
            "none is configured: every verdict says `learning`",
            "`vedette fit`, then `detector.model`",
        ),
        (false, Ok(model)) => Row::ok("model", model.digest().to_string()),
        (false, Err(failure)) => Row::fail("model", failure.to_string(), "learn it again, or correct `detector.model`"),
    });
    let checkpoints = &config.engine.checkpoints;
    match checkpoints.strip_prefix("file://").unwrap_or(checkpoints) {
        "" => rows.push(Row::warn(
            "checkpoints",
            "none are kept: a session under way begins anew where its partition moves",
            "set `engine.checkpoints` and `seal.key_file`",
        )),
        folder if !folder.contains(':') => rows.push(of_disk(folder, &room(Path::new(folder)))),
        elsewhere => rows.push(match Bucket::open(elsewhere) {
            Ok(_) => Row::ok("checkpoints", elsewhere),
            Err(error) => Row::fail("checkpoints", error.to_string(), "correct `engine.checkpoints`"),
        }),
    }
    rows
}

/// Bytes that are free where `folder` is or will be, once it is seen that it may be written to.
fn room(folder: &Path) -> Result<u64, String> {
    std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    tempfile::tempfile_in(folder).map_err(|error| error.to_string())?;
    let stat = rustix::fs::statvfs(folder).map_err(|error| error.to_string())?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

fn mode(path: &Path) -> Result<u32, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    Ok(std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()))
}

/// Records of each topic that are looked at.
const RECORDS: usize = 200;
