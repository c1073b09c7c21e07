//! Sessions as one ordered stream.

use datasets::replay::{Faults, stream};
use datasets::{Dataset, SessionMeta, Split};
use proptest::prelude::*;
use schema::{Agent, CallId, How, Millis, Phase, RawCall, Session, Tenant, Tool};
use std::collections::HashMap;

fn set(lengths: &[u64], times: Option<&dyn Fn(usize, u64) -> u64>) -> Dataset {
    let session = |n: usize| Session::new(&format!("s{n:03}")).unwrap();
    let call = |n: usize, seq: u64| RawCall {
        id: CallId::new(&format!("s{n:03}/{seq}")).unwrap(),
        at: Millis(times.map_or(seq * 1_000, |time| time(n, seq))),
        tenant: Tenant::new("default").unwrap(),
        session: session(n),
        how: How::Explicit,
        parent: None,
        seq: Some(seq),
        phase: Phase::Done,
        agent: Agent::new("a").unwrap(),
        principal: None,
        actor: vec![],
        device: None,
        app: None,
        tool: Tool::new("t").unwrap(),
        tool_info: None,
        args: serde_json::Value::Null,
        mission: None,
        status: None,
        result: None,
        result_bytes: None,
        segments_ms: None,
        telemetry: None,
        cost: None,
        traceparent: None,
    };
    Dataset {
        name: "x".into(),
        sessions: (0..lengths.len())
            .map(|n| SessionMeta { session: session(n), split: Split::Test, fold: None, pool: None })
            .collect(),
        calls: lengths.iter().enumerate().flat_map(|(n, length)| (0..*length).map(move |seq| call(n, seq))).collect(),
        timed: times.is_some(),
    }
}

fn per_session(set: &Dataset, stream: &[(Millis, usize)]) -> HashMap<String, Vec<u64>> {
    let mut orders: HashMap<String, Vec<u64>> = HashMap::new();
    for (_, index) in stream {
        let call = &set.calls[*index];
        orders.entry(call.session.to_string()).or_default().push(call.seq.unwrap());
    }
    orders
}

#[test]
fn a_set_with_times_is_replayed_in_their_order() {
    let set = set(&[3, 3, 3], Some(&|n, seq| 1_000 + seq * 10 + n as u64));
    let arrivals = stream(&set, &Faults::default());
    assert!(arrivals.is_sorted());
    assert!(arrivals.iter().all(|(at, index)| set.calls[*index].at == *at));
}

#[test]
fn sessions_of_a_set_without_times_are_interleaved_by_the_seed() {
    let set = set(&[20; 30], None);
    let arrivals = stream(&set, &Faults::default());
    let changes =
        arrivals.windows(2).filter(|pair| set.calls[pair[0].1].session != set.calls[pair[1].1].session).count();
    assert!(changes > 300, "only {changes} changes of session in {} calls", arrivals.len());
    assert_eq!(arrivals, stream(&set, &Faults::default()));
    assert_ne!(arrivals, stream(&set, &Faults { seed: 1, ..Faults::default() }));
}

#[test]
fn a_permuted_file_is_the_same_stream() {
    let forward = set(&[5, 2, 9, 4], None);
    let mut backward = forward.clone();
    backward.sessions.reverse();
    backward.calls.sort_by(|a, b| b.session.cmp(&a.session).then(a.seq.cmp(&b.seq)));
    let ids = |set: &Dataset| {
        stream(set, &Faults::default()).iter().map(|(at, n)| (*at, set.calls[*n].id.clone())).collect::<Vec<_>>()
    };
    assert_eq!(ids(&forward), ids(&backward));
}

#[test]
fn faults_come_in_the_share_asked_for() {
    let set = set(&[50; 100], None);
    let repeated = stream(&set, &Faults { repeated: 0.1, ..Faults::default() });
    assert!((5_350..5_650).contains(&repeated.len()), "{}", repeated.len());
    let count = |faults| {
        let arrivals = stream(&set, &faults);
        assert_eq!(arrivals.len(), set.calls.len());
        per_session(&set, &arrivals)
            .values()
            .flat_map(|order| order.windows(2))
            .filter(|pair| pair[0] > pair[1])
            .count()
    };
    assert_eq!(count(Faults::default()), 0);
    assert!(count(Faults { reordered: 0.1, ..Faults::default() }) > 200);
    assert!(count(Faults { late: 0.1, ..Faults::default() }) > 200);
}

proptest! {
    #[test]
    fn no_call_is_lost_and_without_faults_none_overtakes(
        lengths in proptest::collection::vec(0u64..12, 1..12),
        seed in any::<u64>(), late in 0.0..1.0f64, repeated in 0.0..1.0f64, reordered in 0.0..1.0f64,
        stepping in any::<bool>(),
    ) {
        // Times that step back within a session, as a clock may.
        let back = |n: usize, seq: u64| 10_000 + (n as u64 * 37 + seq * 71) % 500;
        let set = set(&lengths, stepping.then_some(&back));
        let calm = stream(&set, &Faults { seed, ..Faults::default() });
        prop_assert_eq!(calm.len(), set.calls.len());
        prop_assert!(per_session(&set, &calm).values().all(|order| order.is_sorted()));
        let rough = stream(&set, &Faults { late, repeated, reordered, seed });
        let mut seen = vec![0; set.calls.len()];
        rough.iter().for_each(|(_, index)| seen[*index] += 1);
        prop_assert!(seen.iter().all(|times| (1..=2).contains(times)));
        prop_assert!(rough.is_sorted_by_key(|(at, _)| *at));
    }
}
