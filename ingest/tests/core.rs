//! What the engine's core promises, fact by fact: each test says what happens and reads what is to be done.

use ingest::checkpoint::{Entries, Scope};
use ingest::engine::Limits;
use ingest::engine::core::{Action, Core, Input, Persistence, Start};
use ingest::{NUDGE, Operator, Outputs, Partition, Record};
use schema::Millis;

/// Answers every record with its offset; the state is the last one.
struct Offsets(Vec<u8>);

impl Operator for Offsets {
    fn apply(&mut self, record: &Record, out: &mut Outputs) {
        self.0 = record.offset.to_string().into_bytes();
        out.push("out", b"", &self.0);
    }
    fn entries(&mut self, _: Scope) -> Entries {
        Entries::whole(&self.0)
    }
}

type Factory = fn(Partition) -> Box<dyn Operator>;

/// A core that owns partition 0 from offset 10, takes 3 records a batch, and lingers for 5 ms, or 9.
fn core(persistence: Persistence) -> Core<Factory> {
    let limits =
        Limits { batch_records_max: 3, linger_ms: 5, busy_linger_ms: 9, checkpoint_records: 2, ..Limits::default() };
    let mut core = Core::new((|_| Box::new(Offsets(vec![]))) as Factory, limits, persistence);
    let start = Start { from: 10, live_from: 10, checkpoint: None };
    core.handle(Input::Assigned(calls(), start)).unwrap();
    core
}

fn calls() -> Partition {
    Partition::new("in", 0)
}

fn record(offset: i64) -> Input {
    Input::Record(told(offset))
}

fn told(offset: i64) -> Record {
    Record { topic: "in".into(), partition: 0, offset, at: Millis(0), key: None, payload: vec![1] }
}

/// Tells the core what happens and writes down what it wants done.
#[track_caller]
fn check(core: &mut Core<Factory>, inputs: Vec<Input>, expected: &str) {
    inputs.into_iter().for_each(|input| core.handle(input).unwrap());
    let said: Vec<String> = std::iter::from_fn(|| core.next_action()).map(|action| said(&action)).collect();
    assert_eq!(said.join(", "), expected);
}

fn said(action: &Action) -> String {
    match action {
        Action::Commit(batch) => {
            let outputs: Vec<&str> = batch.outputs().map(|o| std::str::from_utf8(o.payload).unwrap()).collect();
            format!("commit {} up to {}", outputs.join(" "), batch.parts[0].next)
        }
        Action::Persist(_, checkpoint) => {
            let since = checkpoint.since.map_or(String::new(), |since| format!(" since {since}"));
            format!("persist at {}{since}", checkpoint.offset)
        }
        Action::Release(partition) => format!("release {partition}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

#[test]
fn a_batch_goes_when_it_has_lingered_or_is_full() {
    let core = &mut core(Persistence::None);
    check(core, vec![record(10), record(11), Input::Dry, Input::Tick(Millis(4))], "");
    check(core, vec![Input::Tick(Millis(5))], "commit 10 11 up to 12");
    check(core, vec![Input::Committed, record(12), record(13)], "");
    check(core, vec![record(14)], "commit 12 13 14 up to 15");
}

#[test]
fn a_batch_lingers_longer_while_there_is_more_to_be_read() {
    let core = &mut core(Persistence::None);
    check(core, vec![record(10), Input::Dry, record(11), Input::Tick(Millis(5))], "");
    check(core, vec![Input::Tick(Millis(9))], "commit 10 11 up to 12");
}

#[test]
fn reading_pauses_while_one_batch_is_full_and_one_is_on_its_way() {
    let core = &mut core(Persistence::None);
    check(core, (10..13).map(record).collect(), "commit 10 11 12 up to 13");
    check(core, (13..15).map(record).collect(), "");
    check(core, vec![record(15)], "pause");
    check(core, vec![Input::Committed], "commit 13 14 15 up to 16, resume");
}

#[test]
fn a_batch_given_up_is_written_again_as_it_was() {
    let core = &mut core(Persistence::None);
    (10..13).for_each(|offset| core.handle(record(offset)).unwrap());
    let Some(Action::Commit(batch)) = core.next_action() else { panic!("no batch") };
    check(core, vec![record(13), Input::Aborted(batch)], "commit 10 11 12 up to 13");
}

#[test]
fn a_lost_partition_writes_nothing_more() {
    let core = &mut core(Persistence::None);
    (10..13).for_each(|offset| core.handle(record(offset)).unwrap());
    let Some(Action::Commit(batch)) = core.next_action() else { panic!("no batch") };
    check(core, vec![record(13), Input::Lost(vec![calls()]), Input::Aborted(batch)], "");
    check(core, vec![record(14), Input::Tick(Millis(100))], "");
}

#[test]
fn a_revoked_partition_is_released_once_all_it_answered_is_committed() {
    let core = &mut core(Persistence::None);
    check(core, vec![record(10), Input::Revoked(vec![calls()])], "commit 10 up to 11");
    check(core, vec![record(11), Input::Committed], "release in/0");
}

#[test]
fn a_checkpoint_is_persisted_only_after_its_offset_is_committed() {
    let core = &mut core(Persistence::Checkpoints);
    check(core, vec![], "persist at 10");
    check(core, vec![Input::Persisted(calls()), record(10), record(11), record(12)], "commit 10 11 12 up to 13");
    check(core, vec![Input::Committed], "persist at 13 since 10");
    // One that is not safe is nothing to add to.
    let inputs = (13..16).map(record).chain([Input::NotPersisted(calls())]).collect();
    check(core, inputs, "commit 13 14 15 up to 16");
    let inputs = std::iter::once(Input::Committed).chain((16..19).map(record)).collect();
    check(core, inputs, "commit 16 17 18 up to 19");
    check(core, vec![Input::Committed], "persist at 19");
}

#[test]
fn a_stop_leaves_a_checkpoint_of_the_last_record_then_releases() {
    let core = &mut core(Persistence::Checkpoints);
    check(core, vec![Input::Persisted(calls()), record(10), Input::Stop], "persist at 10, commit 10 up to 11");
    check(core, vec![Input::Committed], "persist at 11 since 10");
    check(core, vec![Input::Persisted(calls())], "release in/0, stopped");
}

#[test]
fn a_checkpoint_that_cannot_be_stored_does_not_hold_a_partition_back() {
    let core = &mut core(Persistence::Checkpoints);
    check(core, vec![Input::Persisted(calls()), record(10), Input::Stop], "persist at 10, commit 10 up to 11");
    check(core, vec![Input::Committed], "persist at 11 since 10");
    check(core, vec![Input::NotPersisted(calls())], "release in/0, stopped");
}

/// Waits for time to pass, always.
struct Waiting(Offsets);

impl Operator for Waiting {
    fn apply(&mut self, record: &Record, out: &mut Outputs) {
        if record.payload != NUDGE {
            self.0.apply(record, out);
        }
    }
    fn waits(&self) -> bool {
        true
    }
}

#[test]
fn a_partition_is_nudged_when_it_is_quiet_and_its_operator_waits_for_time_to_pass() {
    let limits = Limits { quiet_ms: Some(50), linger_ms: 5, ..Limits::default() };
    let mut core = Core::new((|_| Box::new(Waiting(Offsets(vec![])))) as Factory, limits, Persistence::None);
    core.handle(Input::Assigned(calls(), Start { from: 5, live_from: 8, checkpoint: None })).unwrap();
    let core = &mut core;
    // Not while it replays, nor while there is more to be read.
    check(core, vec![record(5), Input::Dry, Input::Tick(Millis(60))], "");
    check(core, vec![record(6), record(7), Input::Tick(Millis(120))], "");
    let nudge = r#"commit {"v":1,"nudge":true} up to 8"#;
    check(core, vec![Input::Dry, Input::Tick(Millis(121)), Input::Tick(Millis(130))], nudge);
    check(core, vec![Input::Committed, Input::Tick(Millis(160))], "");
    let mut came = Record { payload: NUDGE.to_vec(), ..told(8) };
    check(core, vec![Input::Record(came.clone()), Input::Dry, Input::Tick(Millis(170))], "commit  up to 9");
    came.offset = 9;
    check(core, vec![Input::Committed, Input::Tick(Millis(205)), Input::Tick(Millis(211))], "");
    check(core, vec![Input::Tick(Millis(220)), Input::Tick(Millis(226))], &nudge.replace('8', "9"));
    assert_eq!(core.counts().nudges, 2);
}

#[test]
fn records_answered_by_an_earlier_owner_are_folded_in_silence() {
    let core = &mut core(Persistence::None);
    let start = Start { from: 5, live_from: 8, checkpoint: None };
    core.handle(Input::Assigned(calls(), start)).unwrap();
    let inputs = (5..9).map(record).chain([Input::Dry, Input::Tick(Millis(5))]).collect();
    check(core, inputs, "commit 8 up to 9");
    assert_eq!(core.counts().replayed, 3);
}
