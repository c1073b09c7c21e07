//! Plan bursts: agents call as fast as a plan lets them. Order and tools come from sessions of the built-in world that
//! were not learned from; the pace, twelve calls in 800 ms, is laid over them and was in no session.

use detector::{Detector, FitOptions, TrainingSession};
use policy::{Burst, Bursts};
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use schema::{Millis, RawCall, Tool};
use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use vedette::pipeline::{Parts, Pipeline};

const CALLS: usize = 12;
const BURST_MS: usize = 800;

struct World {
    parts: Arc<Parts>,
    /// Honest sessions that were not learned from, by agent.
    held_out: Vec<Vec<RawCall>>,
    /// Tools that ever followed one another in an honest session.
    usual: HashSet<(Tool, Tool)>,
    tools: Vec<Tool>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let (set, _) = datasets::world::generate(12, 1_500);
    let key = vedette::key::for_data_sets();
    let honest: Vec<Vec<RawCall>> = set
        .calls_by_session()
        .into_iter()
        .filter(|(meta, _)| meta.split == datasets::Split::Train)
        .map(|(_, calls)| calls.into_iter().map(|index| set.calls[index].clone()).collect())
        .collect();
    let (learned, held_out) = honest.split_at(honest.len() / 2);
    let sessions: Vec<TrainingSession> = learned
        .iter()
        .map(|calls| TrainingSession {
            calls: calls.iter().map(|call| schema::seal_for_fit(call, &key)).collect(),
            pool: None,
        })
        .collect();
    let detector = Detector::new(detector::fit(&sessions, &FitOptions::default()).unwrap());
    let parts = vedette::parts::for_data_sets(&vedette::config::Config::default(), detector).unwrap();
    let pairs = honest.iter().flat_map(|calls| calls.windows(2));
    let usual = pairs.map(|pair| (pair[0].tool.clone(), pair[1].tool.clone())).collect();
    let mut tools: Vec<Tool> = honest.iter().flatten().map(|call| call.tool.clone()).collect();
    tools.sort();
    tools.dedup();
    World { parts, held_out: held_out.to_vec(), usual, tools }
});

/// Whether a plan of twelve calls in 800 ms is held up anywhere.
fn is_held_up(plan: &[RawCall]) -> bool {
    let mut pipeline = Pipeline::new(Arc::clone(&WORLD.parts));
    let bursts = Bursts::new(Burst::default());
    plan.iter().enumerate().any(|(n, call)| {
        let mut call = call.clone();
        call.session = "burst".parse().unwrap();
        call.id = format!("burst/{n}").parse().unwrap();
        call.at = Millis(1_795_343_040_000 + (n * BURST_MS / CALLS) as u64);
        let judged = pipeline.judge(&call).unwrap();
        bursts.wait_ms(&judged.call, judged.edge, call.at) > 0
    })
}

/// Sessions of one agent, one after the other, until there are twelve calls.
fn plan(rng: &mut ChaCha8Rng) -> Vec<RawCall> {
    let first = WORLD.held_out.choose(rng).unwrap();
    let mut plan = first.clone();
    while plan.len() < CALLS {
        let next = WORLD.held_out.choose(rng).unwrap();
        if next[0].agent == first[0].agent {
            plan.extend(next.iter().cloned());
        }
    }
    plan.truncate(CALLS);
    // One session is of one user on one device: else each would have a pace of its own.
    let whose = (first[0].principal.clone(), first[0].device.clone(), first[0].agent.clone(), first[0].app.clone());
    for call in &mut plan {
        (call.principal, call.device, call.agent, call.app) = whose.clone();
    }
    plan
}

/// The same calls, each with a tool that never followed the one before in any honest session.
fn foreign(rng: &mut ChaCha8Rng) -> Vec<RawCall> {
    let mut plan = plan(rng);
    for at in 1..plan.len() {
        let before = plan[at - 1].tool.clone();
        let strangers: Vec<&Tool> =
            WORLD.tools.iter().filter(|tool| !WORLD.usual.contains(&(before.clone(), (*tool).clone()))).collect();
        plan[at].tool = strangers[rng.random_range(0..strangers.len())].clone();
    }
    plan
}

#[test]
fn no_plan_of_twelve_usual_calls_in_800_ms_is_throttled() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let held_up = (0..1_000).filter(|_| is_held_up(&plan(&mut rng))).count();
    assert_eq!(held_up, 0, "of 1,000");
}

#[test]
fn twelve_calls_in_an_order_no_agent_takes_are_held_up_before_the_last() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let held_up = (0..1_000).filter(|_| is_held_up(&foreign(&mut rng)[..CALLS - 1])).count();
    assert!(held_up >= 950, "{held_up} of 1,000");
}
