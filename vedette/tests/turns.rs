//! Calls that come out of order, within the bound or not, and what the engine's fold makes of them.

use crate::world::{SMALL, World};
use ingest::checkpoint::Scope;
use ingest::hold::Bounds;
use ingest::{NUDGE, Operator as _, Outputs, Record};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use schema::{Millis, RawCall, Verdict, topics};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use vedette::commands::replay::record;
use vedette::operator::Judge;
use vedette::pipeline::Parts;
use vedette::scores::ScoreLine;

/// A model, what `score` says of every call, and the calls as records in the order in which they happened. Without the sessions
/// that query a model: what several of them show together depends on their order, which no numbers of theirs restore.
fn set_up() -> (Arc<Parts>, Vec<String>, Vec<Record>) {
    let world = World::new();
    world.ok("fit --out @model", &SMALL);
    world.ok("score --model @model --out @scores", &SMALL);
    let detector = detector::Detector::new(vedette::parts::model(&world.path("model")).unwrap());
    let parts = vedette::parts::for_data_sets(&vedette::config::Config::default(), detector).unwrap();
    let (set, _) = datasets::world::generate(3, 240);
    let calls = datasets::replay::stream(&set, &datasets::replay::Faults::default());
    let queries = |call: &RawCall| detector::query_record(&schema::seal(call, &parts.key)).is_some();
    let without: HashSet<String> =
        set.calls.iter().filter(|call| queries(call)).map(|call| call.session.to_string()).collect();
    let taken = |(_, index): &(Millis, usize)| !without.contains(set.calls[*index].session.as_str());
    let scores = world.sorted("scores").into_iter().filter(|line| {
        let line: ScoreLine = serde_json::from_str(line).unwrap();
        !without.contains(&line.session)
    });
    let scores: Vec<String> = scores.collect();
    assert!(!without.is_empty() && scores.len() > 300, "{} calls", scores.len());
    let one = |(at, index): (Millis, usize)| Record {
        topic: topics::CALLS.into(),
        partition: 0,
        offset: 0,
        at: Millis(1_795_343_040_000 + at.0),
        key: None,
        payload: record(&set.calls[index]).payload,
    };
    let records = calls.into_iter().filter(taken).map(one).collect();
    (parts, scores, records)
}

fn judge(parts: &Arc<Parts>) -> Judge {
    Judge::new(Arc::clone(parts)).kept().in_order(Bounds::default()).nudged()
}

/// Gives records their offsets, a nudge at the end, and folds them; `crash` at a record takes over from what was kept.
fn folded(parts: &Arc<Parts>, mut records: Vec<Record>, crash: impl Fn(usize) -> bool) -> Vec<Verdict> {
    let last = records.last().unwrap();
    records.push(Record { at: Millis(last.at.0 + 2_000), payload: NUDGE.to_vec(), ..last.clone() });
    let (mut operator, mut segments, mut out) = (judge(parts), Vec::new(), Outputs::default());
    for (at, record) in records.iter().enumerate() {
        if crash(at) {
            segments.push(operator.entries(Scope::Changed));
            operator = judge(parts);
            segments.iter().for_each(|segment| operator.restore(segment).unwrap());
        }
        operator.apply(&Record { offset: at as i64, ..record.clone() }, &mut out);
    }
    assert!(!operator.waits(), "something still waits");
    let verdicts = out.iter().filter(|output| output.topic == topics::VERDICTS);
    verdicts.map(|output| serde_json::from_slice(output.payload).unwrap()).collect()
}

fn lines(verdicts: &[Verdict]) -> Vec<String> {
    let line = |verdict| ScoreLine::of(verdict, vedette::config::ALPHA).unwrap().to_json();
    let mut lines: Vec<String> = verdicts.iter().map(line).collect();
    lines.sort_unstable();
    lines
}

/// Each record as late as `delay` says, in the order in which they then come.
fn delayed(records: &[Record], mut delay: impl FnMut(usize) -> u64) -> Vec<Record> {
    let mut late: Vec<Record> = records.to_vec();
    late.iter_mut().enumerate().for_each(|(at, record)| record.at = Millis(record.at.0 + delay(at)));
    late.sort_by_key(|record| record.at);
    late
}

#[test]
fn calls_out_of_order_within_the_bound_are_judged_as_score_judges_them() {
    let (parts, scores, records) = set_up();
    // In order nothing waits, with numbers or without.
    assert_eq!(lines(&folded(&parts, records.clone(), |_| false)), scores);
    for seed in 0..4 {
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let mut late = delayed(&records, |_| chance.random_range(0..2_000));
        // Some come twice, the second time at any time.
        for _ in 0..100 {
            let twice = chance.random_range(0..late.len());
            let again = Record { at: Millis(late[twice].at.0 + 1_000), ..late[twice].clone() };
            late.push(again);
        }
        late.sort_by_key(|record| record.at);
        let order = |records: &[Record]| records.iter().map(|record| record.payload.clone()).collect::<Vec<_>>();
        assert_ne!(order(&late), order(&records), "the test is to disturb the order");
        assert_eq!(lines(&folded(&parts, late, |at| at % 97 == 5)), scores, "seed {seed}");
    }
}

#[test]
fn what_is_late_beyond_the_bound_holds_nothing_up_and_everything_is_judged_once() {
    let (parts, scores, records) = set_up();
    let mut chance = ChaCha8Rng::seed_from_u64(9);
    let late = delayed(&records, |_| if chance.random_ratio(1, 20) { chance.random_range(2_000..60_000) } else { 0 });
    let undisturbed = folded(&parts, late.clone(), |_| false);
    let taken_over = folded(&parts, late, |at| at % 53 == 7);
    assert_eq!(undisturbed, taken_over, "the same, in the same order, whoever takes over");
    let mut ids: BTreeMap<String, u32> = BTreeMap::new();
    undisturbed.iter().for_each(|verdict| *ids.entry(verdict.id.to_string()).or_default() += 1);
    assert!(ids.len() == scores.len() && ids.values().all(|times| *times == 1));
}
