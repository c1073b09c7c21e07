//! What is amiss with an engine's surroundings: facts in, rows of a table out.

use crate::config::Config;
use ingest::Partition;
use ingest::owners::Owners;
use ingest::survey::{Survey, TopicFacts};
use schema::{Millis, topics};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What was looked at.
    pub check: String,
    /// How it stands.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do; empty where there is nothing to do.
    pub next: String,
}

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, and will cost something.
    Warn,
    /// An engine does not work so, or loses calls.
    Fail,
}

impl Row {
    /// As it should be.
    pub fn ok(check: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check: check.into(), status: Status::Ok, found: found.into(), next: String::new() }
    }

    /// It works, and will cost something.
    pub fn warn(check: impl Into<String>, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check: check.into(), status: Status::Warn, found: found.into(), next: next.into() }
    }

    /// It does not work.
    pub fn fail(check: impl Into<String>, found: impl Into<String>, next: impl Into<String>) -> Self {
        Self { check: check.into(), status: Status::Fail, found: found.into(), next: next.into() }
    }
}

/// The topics that an engine of this configuration reads, and those it writes.
pub fn needed(config: &Config) -> (Vec<String>, Vec<String>) {
    let reads = config.topics.iter().map(|topic| topic.name.clone()).collect();
    let mut writes = vec![topics::VERDICTS, topics::STANDING, topics::ALERTS, topics::DEAD, topics::MODELS];
    if config.engine.decisions == crate::sinks::Decisions::All {
        writes.push(topics::DECISIONS);
    }
    if !config.engine.listen.is_empty() {
        writes.push(topics::SEALED);
    }
    // Quiet partitions are nudged while calls wait for their turn.
    let waits = config.sessions.hold_ms > 0 && !config.engine.checkpoints.is_empty();
    let ours = config.topics.iter().filter(|topic| waits && topic.format == "native");
    writes.extend(ours.map(|topic| topic.name.as_str()));
    (reads, writes.into_iter().map(str::to_owned).collect())
}

/// Whether the topics are there, and as they have to be.
pub fn of_topics(config: &Config, survey: &Survey) -> Vec<Row> {
    let (reads, writes) = needed(config);
    let mut rows = Vec::new();
    let all: BTreeSet<&String> = reads.iter().chain(&writes).collect();
    for name in all {
        let check = format!("topic {name}");
        rows.push(match survey.topics.get(name) {
            None => continue,
            Some(Ok(facts)) => Row::ok(check, format!("{} partitions", facts.offsets.len())),
            Some(Err(why)) if why.contains("does not exist") && config.kafka.create_topics && !reads.contains(name) => {
                Row::warn(check, why.clone(), "the engine makes it when it starts (`kafka.create_topics`)")
            }
            Some(Err(why)) => {
                let next =
                    "make it, or correct the name in `[[topics]]`; if it is there, this user needs Describe on it";
                Row::fail(check, why.clone(), next)
            }
        });
    }
    rows.extend(partitions(&reads, &writes, survey));
    for name in [topics::STANDING, topics::MODELS] {
        let check = format!("compaction of {name}");
        let alter = format!("kafka-configs --alter --topic {name} --add-config cleanup.policy=compact");
        rows.push(match facts(survey, name).map(|facts| facts.compacted) {
            None => continue,
            Some(Some(true)) => Row::ok(check, "compacted"),
            Some(Some(false)) => Row::fail(check, "not compacted: what counts of it is deleted by age", alter),
            Some(None) => Row::warn(check, "its settings may not be read", "this user needs DescribeConfigs on it"),
        });
    }
    rows
}

/// Partition counts that differ: equal keys lie in partitions of different numbers then.
fn partitions(reads: &[String], writes: &[String], survey: &Survey) -> Option<Row> {
    let check = "partition counts";
    let counted = reads.iter().chain(writes).filter(|name| *name != topics::MODELS);
    let counts: BTreeMap<&String, usize> =
        counted.filter_map(|name| Some((name, facts(survey, name)?.offsets.len()))).collect();
    let different: BTreeSet<usize> = counts.values().copied().collect();
    let one = reads.iter().find(|name| counts.get(name) == Some(&1));
    match (one, different.len()) {
        (_, 0) => None,
        (Some(name), _) => Some(Row::warn(
            check,
            format!("{name} has one"),
            "one engine does all of its work: give it more partitions",
        )),
        (None, 1) => Some(Row::ok(check, format!("{} each", different.first().copied().unwrap_or(0)))),
        (None, _) => {
            let found = counts.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ");
            Some(Row::warn(check, found, "whoever joins two of them by key finds no pairs: make them alike"))
        }
    }
}

/// What may be done with them.
pub fn of_access(config: &Config, survey: &Survey, written: Option<&BTreeMap<String, Option<String>>>) -> Vec<Row> {
    let group = &config.kafka.group;
    let mut rows = vec![match &survey.committed {
        Ok(_) => Row::ok("access to the group", format!("`{group}` may be read")),
        Err(why) => {
            let next =
                format!("this user needs Read on group `{group}`: kafka-acls --add --operation Read --group {group}");
            Row::fail("access to the group", why.clone(), next)
        }
    }];
    let Some(written) = written else {
        let next = "`vedette doctor --write` tries it, in transactions that are given up";
        rows.push(Row::warn("access for writing", "not tried", next));
        return rows;
    };
    for (topic, refusal) in written {
        let check = format!("writing to {topic}");
        rows.push(match refusal {
            None => Row::ok(check, "may be written"),
            Some(why) => {
                let next = format!("kafka-acls --add --operation Write --topic {topic}; transactions need Write on the transactional id, too");
                Row::fail(check, why.clone(), next)
            }
        });
    }
    rows
}

/// Whether the log still has what the group has not answered, and what its newest checkpoints stand on.
/// `checkpoints`: by partition, the offset of the newest one at or before what was committed; `None`: none are kept.
pub fn of_retention(
    survey: &Survey,
    reads: &[String],
    checkpoints: Option<&BTreeMap<Partition, Option<i64>>>,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let committed = survey.committed.as_ref().ok();
    for name in reads {
        let Some(facts) = facts(survey, name) else { continue };
        let check = format!("retention of {name}");
        let gone = facts.offsets.iter().find_map(|(number, (low, _))| {
            let partition = Partition::new(name, *number);
            let next = *committed?.get(&partition)?;
            if next < *low {
                return Some(format!("{partition}: answered up to {next}, the log starts at {low}: calls are lost"));
            }
            let kept = checkpoints?.get(&partition).copied().flatten().unwrap_or(0);
            (kept < *low && kept < next)
                .then(|| format!("{partition}: the newest checkpoint is at {kept}, the log starts at {low}"))
        });
        let longer = format!("kafka-configs --alter --topic {name} --add-config retention.ms={}", 7 * DAY_MS);
        rows.push(match (gone, facts.retention_ms) {
            (Some(found), _) => {
                let next = format!("an engine refuses to go on so. {longer}; then begin anew under another `kafka.group` and `engine.checkpoints`");
                Row::fail(check, found, next)
            }
            (None, Some(ms)) if ms < DAY_MS => {
                Row::warn(check, format!("{} h: an engine that is away for longer loses calls", ms / 3_600_000), longer)
            }
            (None, Some(ms)) => Row::ok(check, format!("{} h", ms / 3_600_000)),
            (None, None) => Row::ok(check, "without end, or not to be read"),
        });
    }
    rows
}

/// Whether somebody reads every partition, and how far behind the group is. `owners`: or why that cannot be known.
pub fn of_owners(group: &str, owners: &Result<Owners, String>, survey: &Survey, reads: &[String]) -> Row {
    let check = format!("owners in group {group}");
    let waiting = waiting(survey, reads);
    match owners {
        Err(why) => Row::warn(check, why.clone(), format!("this user needs Describe on group `{group}`")),
        Ok(Owners::Nobody) => Row::ok(check, format!("no engine is in it; {waiting} records wait")),
        Ok(Owners::Forming(state)) => {
            let found = format!("partitions are being given out ({state}); {waiting} records wait");
            Row::warn(check, found, "look again in a minute")
        }
        Ok(Owners::Settled { members, unowned }) if unowned.is_empty() => {
            Row::ok(check, format!("{members} members own every partition; {waiting} records wait"))
        }
        Ok(Owners::Settled { unowned, .. }) => {
            let list = |(partition, waiting): (&Partition, &u64)| format!("{partition} ({waiting} records wait)");
            let partitions = unowned.iter().map(list).collect::<Vec<_>>().join(", ");
            let next = "an engine with `kafka.group_instance_id` mends that within a minute; if it is still so then, stop \
                        an engine and start it under another `kafka.group_instance_id`";
            Row::fail(check, format!("nobody owns {partitions}"), next)
        }
    }
}

/// Records of `reads` that the group has not answered.
fn waiting(survey: &Survey, reads: &[String]) -> u64 {
    let mut waiting = 0;
    for name in reads {
        for (number, (low, high)) in facts(survey, name).iter().flat_map(|facts| &facts.offsets) {
            let committed = survey.committed.as_ref().ok();
            let next = committed.and_then(|all| all.get(&Partition::new(name, *number))).unwrap_or(low);
            waiting += u64::try_from(high - next).unwrap_or(0);
        }
    }
    waiting
}

/// How a topic's first records read by the decoder that is chosen for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// Its name.
    pub topic: String,
    /// Name of the chosen decoder.
    pub format: String,
    /// Records looked at.
    pub records: u64,
    /// Those of which no part could be read.
    pub dead: u64,
    /// The first reason.
    pub why: String,
    /// The decoder that reads most of them, where that is another one.
    pub better: Option<String>,
    /// Time of the newest record, by the clock that stamped it.
    pub newest: Option<Millis>,
}

/// Whether the decoders fit.
pub fn of_decoder(sample: &Sample) -> Row {
    let check = format!("decoder of {}", sample.topic);
    let Sample { format, records, dead, why, better, .. } = sample;
    match (records, dead) {
        (0, _) => Row::warn(check, "the topic is empty", "send a record, then look again"),
        (_, 0) => Row::ok(check, format!("`{format}` reads {records} of {records} records")),
        (records, dead) => {
            let found = format!("`{format}` cannot read {dead} of {records} records: {why}");
            let next = match better {
                Some(better) => format!("set `format = \"{better}\"` for it, which reads more of them"),
                None => format!("`vedette inspect --topic {}` shows what they carry", sample.topic),
            };
            if dead * 2 > *records { Row::fail(check, found, next) } else { Row::warn(check, found, next) }
        }
    }
}

/// Whether this machine's clock and the one that stamps records agree.
pub fn of_clock(samples: &[Sample], now: Millis) -> Row {
    let check = "clock";
    let Some(newest) = samples.iter().filter_map(|sample| sample.newest).max() else {
        return Row::warn(check, "no record to compare with", "look again once there are calls");
    };
    match newest.since(now) {
        0 => Row::ok(check, format!("the newest record is {} s old", now.since(newest) / 1_000)),
        ahead if ahead <= SKEW_MS => Row::ok(check, format!("the newest record is {ahead} ms ahead")),
        ahead => {
            let next = "set both clocks by NTP: certificates, tokens and deadlines rest on them";
            let found = format!("the newest record is {} s ahead of this machine", ahead / 1_000);
            if ahead > DAY_MS { Row::fail(check, found, next) } else { Row::warn(check, found, next) }
        }
    }
}

/// Whether there is room for checkpoints. `free`: bytes, or why it cannot be known or written.
pub fn of_disk(folder: &str, free: &Result<u64, String>) -> Row {
    let check = format!("disk of {folder}");
    match free {
        Err(why) => {
            Row::fail(check, why.clone(), "`engine.checkpoints` must name a folder that this user may write to")
        }
        Ok(free) if *free < 100 << 20 => {
            Row::fail(check, format!("{} MiB free", free >> 20), "make room: without it no checkpoint is stored")
        }
        Ok(free) if *free < 1 << 30 => {
            Row::warn(check, format!("{} MiB free", free >> 20), "make room before it is needed")
        }
        Ok(free) => Row::ok(check, format!("{} GiB free", free >> 30)),
    }
}

/// Who may read a file with a secret in it. `mode`: its permissions, or why they cannot be known.
pub fn of_secret(what: &str, path: &str, mode: &Result<u32, String>) -> Row {
    let check = format!("{what} {path}");
    match mode {
        Err(why) => Row::fail(check, why.clone(), "check the path and who may read it"),
        Ok(mode) if mode & 0o077 == 0 => Row::ok(check, format!("mode {:04o}", mode & 0o7777)),
        Ok(mode) => {
            Row::fail(check, format!("mode {:04o}: others may read it", mode & 0o7777), format!("chmod 600 {path}"))
        }
    }
}

/// The rows as a table, and a last line that counts them.
pub fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.check.chars().count()).max().unwrap_or(0);
    let mut out = String::new();
    for row in rows {
        let Row { check, status, found, next } = row;
        let status = match status {
            Status::Ok => "ok  ",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        out.push_str(&format!("{status}  {check:<width$}  {found}\n"));
        if !next.is_empty() {
            out.push_str(&format!("      {:<width$}  next: {next}\n", ""));
        }
    }
    let count = |status| rows.iter().filter(|row| row.status == status).count();
    out.push_str(&format!("{} ok, {} warn, {} fail\n", count(Status::Ok), count(Status::Warn), count(Status::Fail)));
    out
}

fn facts<'a>(survey: &'a Survey, name: &str) -> Option<&'a TopicFacts> {
    survey.topics.get(name)?.as_ref().ok()
}

const DAY_MS: u64 = 86_400_000;
/// Clocks that are set differ by less.
const SKEW_MS: u64 = 5_000;

#[cfg(test)]
mod tests;
