//! A door that sees requests only, and an engine that reads the log: what the engine knows of a session's results reaches
//! the door by `agent.standing`.

use crate::fitted::FITTED;
use datasets::labels::{Label, Outcome, SessionLabel};
use ingest::{Operator as _, Outputs, Record};
use policy::server::{AppState, Question};
use schema::{Ladder, Mode, Phase, RawCall, StandingRecord, topics};
use std::collections::BTreeMap;
use std::sync::Arc;
use vedette::config::Config;
use vedette::operator::Judge;
use vedette::pipeline::Parts;
use vedette::webhook::Owner;

fn config() -> Config {
    let mut config = Config::default();
    config.policy.mode = Mode::Enforce;
    // The sessions are asked about faster than they happened: their pace is not what is tested.
    config.policy.burst = policy::Burst { nats_max: 1e9, calls_max: u32::MAX, ..config.policy.burst };
    config.policy.routes.default.deadline_ms = 60_000;
    config
}

fn request(call: &RawCall) -> RawCall {
    RawCall { phase: Phase::Request, status: None, result: None, result_bytes: None, ..call.clone() }
}

/// What an engine tells of a session once it has read `calls`, a batch each.
struct Engine {
    judge: Judge,
    offset: i64,
}

impl Engine {
    fn new(parts: &Arc<Parts>) -> Self {
        Self { judge: Judge::new(Arc::clone(parts)), offset: 0 }
    }

    fn reads(&mut self, call: &RawCall) -> Vec<(Vec<u8>, StandingRecord)> {
        let (payload, at) = (schema::decode::native::encode(call), call.at);
        let topic = topics::CALLS.into();
        let record = Record { topic, partition: 0, offset: self.offset, at, key: None, payload };
        self.offset += 1;
        let mut out = Outputs::default();
        self.judge.apply(&record, &mut out);
        self.judge.complete(&mut out);
        let standings = out.iter().filter(|output| output.topic == topics::STANDING);
        standings.map(|output| (output.key.to_vec(), StandingRecord::read(output.payload).unwrap())).collect()
    }
}

/// The doors' state, and the owner behind it.
fn door(parts: &Arc<Parts>) -> (AppState, Arc<Owner>) {
    vedette::commands::policy::doors(Arc::clone(parts), &config()).unwrap()
}

/// Denials of each session, asked about request by request. `hears`: of what an engine tells of its log.
async fn denied(parts: &Arc<Parts>, hears: bool) -> Vec<bool> {
    let mut sessions = Vec::new();
    for calls in FITTED.others.iter().take(150) {
        let ((state, owner), mut engine) = (door(parts), Engine::new(parts));
        let mut denied = false;
        for call in calls {
            let judged = state.judge(Question::of(request(call), "native")).await.unwrap();
            denied |= judged.decision.would == Ladder::Deny;
            for (_, record) in engine.reads(call).iter().filter(|_| hears) {
                owner.standings().hear(record);
            }
        }
        sessions.push(denied);
    }
    sessions
}

/// The same where the door is told of results as well.
async fn denied_with_results(parts: &Arc<Parts>) -> Vec<bool> {
    let mut sessions = Vec::new();
    for calls in FITTED.others.iter().take(150) {
        let (state, _) = door(parts);
        let mut denied = false;
        for call in calls {
            let judged = state.judge(Question::of(request(call), "native")).await.unwrap();
            denied |= judged.decision.would == Ladder::Deny;
            state.scorer.result(RawCall { phase: Phase::Result, ..call.clone() }).await.unwrap();
        }
        sessions.push(denied);
    }
    sessions
}

#[tokio::test]
async fn a_door_that_sees_requests_only_goes_by_the_results_in_the_log() {
    let parts = vedette::parts::for_data_sets(&config(), FITTED.detector.clone()).unwrap();
    let all = denied_with_results(&parts).await;
    let (deaf, hears) = (denied(&parts, false).await, denied(&parts, true).await);
    let (_, labels) = datasets::world::generate(4, 400); // as `FITTED` has it
    let count = |denied: &[bool], wanted: &dyn Fn(&SessionLabel) -> bool| {
        let of = |calls: &[RawCall]| labels.sessions.iter().find(|label| label.session == calls[0].session).unwrap();
        FITTED.others.iter().zip(denied).filter(|(calls, denied)| **denied && wanted(of(calls))).count()
    };
    let hijacked = |label: &SessionLabel| label.label == Label::Injection;
    let (want, requests) = (count(&all, &hijacked), count(&deaf, &hijacked));
    assert!(want >= 10 && requests * 2 < want, "{want} are denied, {requests} of them by requests alone");
    let got = count(&hears, &hijacked);
    assert!(got * 10 >= want * 9, "{got} of {want}");
    let clean = |label: &SessionLabel| label.outcome == Outcome::Clean;
    let (before, after) = (count(&all, &clean), count(&hears, &clean));
    assert!(after <= before + 1, "{before} clean sessions are denied where a door sees results, {after} by the log's");
}

#[tokio::test]
async fn whose_results_come_by_a_door_is_not_judged_by_what_the_log_told() {
    let parts = vedette::parts::for_data_sets(&config(), FITTED.detector.clone()).unwrap();
    for calls in FITTED.others.iter().take(60) {
        let ((state, owner), (alone, _)) = (door(&parts), door(&parts));
        let mut engine = Engine::new(&parts);
        for call in calls {
            let ask = async |state: &AppState| {
                let judged = state.judge(Question::of(request(call), "native")).await.unwrap();
                state.scorer.result(RawCall { phase: Phase::Result, ..call.clone() }).await.unwrap();
                let scored = judged.scored.unwrap();
                (scored.verdict.clone(), judged.decision.would)
            };
            assert_eq!(ask(&state).await, ask(&alone).await, "call {}", call.id);
            engine.reads(call).iter().for_each(|(_, record)| owner.standings().hear(record));
        }
    }
}

#[tokio::test]
async fn an_owner_that_takes_a_session_over_goes_by_what_the_log_has_of_it() {
    let parts = vedette::parts::for_data_sets(&config(), FITTED.detector.clone()).unwrap();
    let (mut hijacks, mut caught, mut deaf) = (0, 0, 0);
    for calls in FITTED.others.iter().take(150) {
        // The call that an owner of the whole session denies, after a result that was told to it and one that was not.
        let mut whole = vedette::pipeline::Pipeline::new(Arc::clone(&parts));
        let denied = calls.iter().position(|call| {
            let judged = whole.judge(call).unwrap();
            whole.decide(&judged).would == Ladder::Deny
        });
        let Some(at) = denied.filter(|at| *at >= 2) else { continue };
        hijacks += 1;
        for hears in [true, false] {
            let ((state, owner), mut engine) = (door(&parts), Engine::new(&parts));
            for (_, record) in calls[..at].iter().flat_map(|call| engine.reads(call)).filter(|_| hears) {
                owner.standings().hear(&record);
            }
            state.judge(Question::of(request(&calls[at - 1]), "native")).await.unwrap();
            let harmless = serde_json::json!("ok").into();
            state
                .scorer
                .result(RawCall { phase: Phase::Result, result: harmless, ..calls[at - 1].clone() })
                .await
                .unwrap();
            let judged = state.judge(Question::of(request(&calls[at]), "native")).await.unwrap();
            *if hears { &mut caught } else { &mut deaf } += u32::from(judged.decision.would == Ladder::Deny);
        }
    }
    assert!(hijacks >= 5 && deaf == 0 && caught * 10 >= hijacks * 8, "{caught} of {hijacks}; {deaf} without the log");
}

#[test]
fn what_a_compacted_topic_keeps_of_a_session_is_its_standing_and_its_sketch() {
    let parts = vedette::parts::for_data_sets(&config(), FITTED.detector.clone()).unwrap();
    let key = vedette::key::for_data_sets();
    let mut told = 0;
    for calls in FITTED.others.iter().take(60) {
        // The last one is on its way: its standing is newer than the sketch.
        let mut calls = calls.clone();
        calls.last_mut().unwrap().result = None;
        let mut engine = Engine::new(&parts);
        let written: Vec<(Vec<u8>, StandingRecord)> = calls.iter().flat_map(|call| engine.reads(call)).collect();
        let sketch = written.iter().rev().find_map(|(_, record)| record.sketch.clone());
        let kept: BTreeMap<Vec<u8>, StandingRecord> = written.iter().cloned().collect();
        let last = schema::seal(calls.last().unwrap(), &key);
        // Partitions come in any order.
        for kept in [kept.values().collect::<Vec<_>>(), kept.values().rev().collect()] {
            let (_, owner) = door(&parts);
            kept.into_iter().for_each(|record| owner.standings().hear(record));
            let (standing, heard) = owner.standings().before(&last).unwrap();
            assert_eq!((standing.budgets.calls as usize, &heard), (calls.len(), &sketch));
        }
        told += u32::from(sketch.is_some() && written.last().unwrap().1.sketch.is_none());
    }
    assert!(told > 5, "of too few sessions the sketch is not in the last record: {told}");
}

#[test]
fn an_engine_that_is_told_so_writes_no_sketches() {
    let parts = vedette::parts::for_data_sets(&config(), FITTED.detector.clone()).unwrap();
    let sketches = |wanted: bool| {
        let mut engine = Engine { judge: Judge::new(Arc::clone(&parts)).sketches(wanted), offset: 0 };
        let records = FITTED.others.iter().take(60).flatten().flat_map(|call| engine.reads(call)).collect::<Vec<_>>();
        (records.iter().filter(|(_, record)| record.sketch.is_some()).count(), records.len())
    };
    let ((some, all), (none, as_many)) = (sketches(true), sketches(false));
    assert!(some > 20 && none == 0 && all == as_many, "{some} of {all}, {none} of {as_many}");
}

#[test]
fn sessions_of_one_id_under_two_tenants_are_told_apart() {
    let parts = vedette::parts::for_data_sets(&config(), FITTED.detector.clone()).unwrap();
    let call = FITTED.others.iter().flatten().find(|call| call.result.is_some()).unwrap();
    let mut engine = Engine::new(&parts);
    let of =
        |tenant: &str, id: &str| RawCall { tenant: tenant.parse().unwrap(), id: id.parse().unwrap(), ..call.clone() };
    let (one, other) = (of("one", "c-1"), of("other", "c-2"));
    let (told, told_of_other) = (engine.reads(&one), engine.reads(&other));
    assert_ne!(told[0].0, told_of_other[0].0, "one would be compacted away");
    let (_, owner) = door(&parts);
    owner.standings().hear(&told[0].1);
    let key = vedette::key::for_data_sets();
    let known = |call: &RawCall| owner.standings().last(&schema::seal(call, &key)).is_some();
    assert!(known(&one) && !known(&other));
}
