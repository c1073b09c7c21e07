//! A row for each thing that can be amiss.

use super::*;

fn topic(partitions: i32, compacted: bool, retention_ms: u64) -> Result<TopicFacts, String> {
    let offsets = (0..partitions).map(|number| (number, (100, 900))).collect();
    Ok(TopicFacts { offsets, compacted: Some(compacted), retention_ms: Some(retention_ms) })
}

/// A cluster on which all is well.
fn healthy(config: &Config) -> Survey {
    let mut survey = Survey::default();
    let (reads, writes) = needed(config);
    for name in reads.into_iter().chain(writes) {
        let compacted = [topics::STANDING, topics::MODELS].contains(&name.as_str());
        survey.topics.insert(name, topic(12, compacted, 7 * DAY_MS));
    }
    survey
}

#[track_caller]
fn check(rows: &[Row], name: &str, status: Status, words: &[&str]) {
    let row = rows.iter().find(|row| row.check == name).unwrap_or_else(|| panic!("no row `{name}` in {rows:#?}"));
    let said = format!("{} {}", row.found, row.next);
    assert!(row.status == status && words.iter().all(|word| said.contains(word)), "{row:?}");
    assert_eq!(row.next.is_empty(), status == Status::Ok, "what is amiss has a next step: {row:?}");
}

#[test]
fn where_all_is_well_nothing_is_asked_for() {
    let config = Config::default();
    let survey = healthy(&config);
    let (reads, writes) = needed(&config);
    let mut rows = of_topics(&config, &survey);
    rows.extend(of_access(&config, &survey, Some(&writes.into_iter().map(|name| (name, None)).collect())));
    rows.extend(of_retention(&survey, &reads, None));
    assert!(rows.len() > 15 && rows.iter().all(|row| row.status == Status::Ok), "{rows:#?}");
    assert!(table(&rows).ends_with(" ok, 0 warn, 0 fail\n"));
}

#[test]
fn topics_that_are_missing_uneven_or_not_compacted_are_named() {
    let mut config = Config::default();
    let mut survey = healthy(&config);
    let gone = || Err("it does not exist".to_owned());
    survey.topics.insert(topics::CALLS.into(), gone());
    survey.topics.insert(topics::ALERTS.into(), gone());
    survey.topics.insert(topics::STANDING.into(), topic(12, false, DAY_MS));
    survey.topics.insert(topics::VERDICTS.into(), topic(6, false, DAY_MS));
    let rows = of_topics(&config, &survey);
    check(&rows, "topic agent.calls", Status::Fail, &["does not exist", "make it"]);
    check(&rows, "topic agent.alerts", Status::Warn, &["the engine makes it"]);
    check(&rows, "compaction of agent.standing", Status::Fail, &["cleanup.policy=compact"]);
    check(&rows, "partition counts", Status::Warn, &["agent.verdicts 6", "agent.standing 12"]);
    config.kafka.create_topics = false;
    check(&of_topics(&config, &survey), "topic agent.alerts", Status::Fail, &["make it"]);
    survey.topics.insert(topics::CALLS.into(), topic(1, false, DAY_MS));
    check(&of_topics(&config, &survey), "partition counts", Status::Warn, &["agent.calls has one", "more partitions"]);
}

#[test]
fn what_may_not_be_done_is_told_with_the_permission_that_is_missing() {
    let config = Config::default();
    let mut survey = healthy(&config);
    check(&of_access(&config, &survey, None), "access for writing", Status::Warn, &["--write"]);
    survey.committed = Err("Group authorization failed".to_owned());
    let written = BTreeMap::from([("agent.alerts".to_owned(), Some("Topic authorization failed".to_owned()))]);
    let rows = of_access(&config, &survey, Some(&written));
    check(&rows, "access to the group", Status::Fail, &["--operation Read --group vedette"]);
    check(&rows, "writing to agent.alerts", Status::Fail, &["authorization", "--operation Write --topic agent.alerts"]);
}

#[test]
fn a_log_that_starts_after_what_is_needed_fails_before_the_engine_does() {
    let config = Config::default();
    let (reads, _) = needed(&config);
    let partition = Partition::new(topics::CALLS, 3);
    let at = |committed: i64, kept: Option<i64>| {
        let mut survey = healthy(&config);
        survey.committed = Ok(BTreeMap::from([(partition.clone(), committed)]));
        of_retention(&survey, &reads, Some(&BTreeMap::from([(partition.clone(), kept)])))
    };
    let row = "retention of agent.calls";
    check(&at(800, Some(700)), row, Status::Ok, &["168 h"]);
    check(&at(99, Some(99)), row, Status::Fail, &["answered up to 99, the log starts at 100"]);
    check(&at(800, Some(60)), row, Status::Fail, &["agent.calls/3", "checkpoint is at 60", "retention.ms="]);
    check(&at(800, None), row, Status::Fail, &["checkpoint is at 0"]);
    let mut survey = healthy(&config);
    survey.topics.insert(topics::CALLS.into(), topic(12, false, 3_600_000));
    check(&of_retention(&survey, &reads, None), row, Status::Warn, &["1 h", "away for longer"]);
}

#[test]
fn partitions_that_nobody_owns_are_told_with_what_waits_there() {
    let config = Config::default();
    let mut survey = healthy(&config);
    let (reads, _) = needed(&config);
    let calls = |number| Partition::new(topics::CALLS, number);
    survey.committed = Ok((0..12).map(|number| (calls(number), if number == 4 { 780 } else { 900 })).collect());
    let row = "owners in group vedette";
    let of = |owners| [of_owners("vedette", &owners, &survey, &reads)];
    let settled = |unowned| Ok(Owners::Settled { members: 3, unowned });
    check(&of(settled(BTreeMap::new())), row, Status::Ok, &["3 members own every partition", "120 records wait"]);
    check(&of(settled([(calls(4), 120)].into())), row, Status::Fail, &["agent.calls/4 (120 records wait)", "mends"]);
    check(&of(Ok(Owners::Nobody)), row, Status::Ok, &["no engine"]);
    check(&of(Ok(Owners::Forming("PreparingRebalance".into()))), row, Status::Warn, &["PreparingRebalance"]);
    check(&of(Err("no answer".into())), row, Status::Warn, &["no answer", "Describe on group `vedette`"]);
}

#[test]
fn a_decoder_that_does_not_fit_is_told_with_the_one_that_does() {
    let sample = |records, dead, better: Option<&str>| {
        let why = "no `tool`".to_owned();
        let better = better.map(str::to_owned);
        [of_decoder(&Sample { topic: "t".into(), format: "native".into(), records, dead, why, better, newest: None })]
    };
    check(&sample(0, 0, None), "decoder of t", Status::Warn, &["empty"]);
    check(&sample(50, 0, None), "decoder of t", Status::Ok, &["50 of 50"]);
    check(&sample(50, 2, None), "decoder of t", Status::Warn, &["2 of 50", "no `tool`", "vedette inspect --topic t"]);
    check(&sample(50, 50, Some("envoy")), "decoder of t", Status::Fail, &["format = \"envoy\""]);
}

#[test]
fn clocks_disks_and_modes_have_their_bounds() {
    let clock =
        |newest: Option<u64>| [of_clock(&[Sample { newest: newest.map(Millis), ..Sample::default() }], Millis(DAY_MS))];
    check(&clock(Some(DAY_MS - 7_000)), "clock", Status::Ok, &["7 s old"]);
    check(&clock(Some(DAY_MS + 4_000)), "clock", Status::Ok, &["4000 ms ahead"]);
    check(&clock(Some(DAY_MS + 60_000)), "clock", Status::Warn, &["60 s ahead", "NTP"]);
    check(&clock(Some(3 * DAY_MS)), "clock", Status::Fail, &["NTP"]);
    check(&clock(None), "clock", Status::Warn, &["no record"]);
    let disk = |free| [of_disk("d", &free)];
    check(&disk(Ok(5 << 30)), "disk of d", Status::Ok, &["5 GiB"]);
    check(&disk(Ok(500 << 20)), "disk of d", Status::Warn, &["500 MiB"]);
    check(&disk(Ok(50 << 20)), "disk of d", Status::Fail, &["50 MiB"]);
    check(&disk(Err("permission denied".into())), "disk of d", Status::Fail, &["may write"]);
    let secret = |mode| [of_secret("key", "k", &mode)];
    check(&secret(Ok(0o100_600)), "key k", Status::Ok, &["0600"]);
    check(&secret(Ok(0o100_640)), "key k", Status::Fail, &["0640", "chmod 600 k"]);
    check(&secret(Err("gone".into())), "key k", Status::Fail, &["gone"]);
}
