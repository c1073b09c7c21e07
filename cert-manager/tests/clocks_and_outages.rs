//! Wrong clocks and long outages, in virtual time: every device comes back, none is noisy.

use std::cell::RefCell;
use std::rc::Rc;

use crate::common::sim::{Direct, SimDisk, World};
use crate::common::{START, desk, token};
use cert_manager::agent::drive::{Agent, Moment};
use cert_manager::agent::store::Store;
use cert_manager::rotation::{Chance, Facts, Held, KNOCK_EVERY, State, Step, Trouble, next_step, state};
use cert_manager::time::{Millis, Span, Validity};
use cert_manager::trust::Trust;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

type Sim = Agent<SimDisk, Direct>;

fn enrolled() -> (Sim, Rc<RefCell<World>>, Trust) {
    let (desk, trust) = desk();
    let text = token(&desk.ledger, START + Span::days(1));
    let world = World {
        desk,
        now: START,
        reachable: true,
        probed: Default::default(),
        exchanges: 0,
        renewals: 0,
        lose_answers: 0,
    };
    let world = Rc::new(RefCell::new(world));
    let store = Store::open(SimDisk::default()).unwrap();
    let channel = Direct(world.clone());
    let mut agent = Agent::wake("dev-9".parse().unwrap(), store, channel, trust.clone(), Some(text)).unwrap();
    let moment = Moment { local: START, elapsed: Span::ZERO };
    while !matches!(agent.step(moment).unwrap(), Step::Wait { .. }) {}
    (agent, world, trust)
}

/// The device boots after `away` of true time, with a local clock that says `local`; gives its state
/// once it sleeps again, and how many exchanges and certificates that took.
fn boot_after(away: Span, local: impl Fn(Millis) -> Millis) -> (State, u64, u64) {
    let (agent, world, trust) = enrolled();
    let store = agent.into_store();
    let now = START + away;
    world.borrow_mut().now = now;
    world.borrow_mut().exchanges = 0;
    let before = world.borrow().renewals;
    let mut agent = Agent::wake("dev-9".parse().unwrap(), store, Direct(world.clone()), trust, None).unwrap();
    let moment = Moment { local: local(now), elapsed: Span::ZERO };
    for _ in 0..12 {
        if matches!(agent.step(moment).unwrap(), Step::Wait { .. } | Step::Stop) {
            break;
        }
    }
    let state = agent.state(moment).unwrap();
    let world = world.borrow();
    (state, world.exchanges, world.renewals - before)
}

#[test]
fn a_device_with_any_clock_renews_when_due_with_at_most_two_extra_round_trips() {
    // With a true clock: the time, the renewal, the probe.
    let due = Span::days(75);
    let (healthy, usual, _) = boot_after(due, |now| now);
    assert_eq!((healthy, usual), (State::Healthy, 3));
    // A clock ahead asks for the time and learns the truth.
    for (what, ahead) in [("10 years ahead", Span::days(3_650)), ("1 day ahead", Span::days(1))] {
        let (state, exchanges, certificates) = boot_after(due, |now| now + ahead);
        assert_eq!((state, certificates), (State::Healthy, 1), "{what}");
        assert!(exchanges <= usual + 2, "{what}: {exchanges} exchanges");
    }
    // Ten years ahead when nothing is due: one question, no certificate.
    assert_eq!(boot_after(Span::days(10), |now| now + Span::days(3_650)), (State::Healthy, 1, 0));
}

#[test]
fn a_device_whose_clock_is_behind_or_frozen_still_comes_back_after_months() {
    for away in [Span::days(75), Span::days(200), Span::days(400)] {
        for (what, local) in [("1970", Millis(0)), ("frozen", START), ("a day behind", START + away - Span::days(1))] {
            let (agent, world, trust) = enrolled();
            let store = agent.into_store();
            world.borrow_mut().now = START + away;
            world.borrow_mut().exchanges = 0;
            let mut agent = Agent::wake("dev-9".parse().unwrap(), store, Direct(world.clone()), trust, None).unwrap();
            let mut elapsed = Span::ZERO;
            for _ in 0..12 {
                match agent.step(Moment { local, elapsed }).unwrap() {
                    Step::Wait { until } => {
                        let now = agent.facts(Moment { local, elapsed }).unwrap().now;
                        elapsed = Span(elapsed.0 + until.since(now).0.max(1));
                        world.borrow_mut().now = START + away + elapsed;
                    }
                    Step::Stop => panic!("{what} {away}: stopped"),
                    _ => {}
                }
                let facts = agent.facts(Moment { local, elapsed }).unwrap();
                if state(&facts) == State::Healthy && world.borrow().probed.len() > 1 {
                    break;
                }
            }
            let end = agent.state(Moment { local, elapsed }).unwrap();
            assert_eq!(end, State::Healthy, "{what} after {away}");
            assert!(elapsed <= Span::seconds(1), "{what} after {away}: took {elapsed}");
            let exchanges = world.borrow().exchanges;
            println!("clock {what}, {away} away: back after {exchanges} exchanges");
            // The time, renewal, probe; after expiry, through quarantine, renewal and probe once more.
            assert!(exchanges <= 3 + 2, "{what} after {away}: {exchanges} exchanges");
        }
    }
}

#[test]
fn a_healthy_device_wakes_at_most_once_a_day() {
    let (mut agent, _, _) = enrolled();
    let (mut elapsed, mut wakes) = (Span::ZERO, 0);
    while elapsed < Span::days(30) {
        let moment = Moment { local: START + elapsed, elapsed };
        match agent.step(moment).unwrap() {
            Step::Wait { until } => elapsed = until.since(START),
            Step::AskTime => continue, // the same wake-up
            other => panic!("{other:?}"),
        }
        wakes += 1;
    }
    assert!(wakes <= 30, "{wakes} wake-ups in 30 days");
}

#[test]
fn ten_thousand_devices_outlive_an_authority_that_is_away_for_72_hours() {
    let outage = Span::hours(72);
    let (mut most_attempts, mut most_knocks, mut latest) = (0, 0, Span::ZERO);
    for seed in 0..10_000u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (attempts, knocks, after) = through_outage(outage, Chance(rng.random()));
        most_attempts = most_attempts.max(attempts);
        most_knocks = most_knocks.max(knocks);
        latest = latest.max(after);
    }
    println!("at most {most_attempts} attempts, {most_knocks} knocks; last back {latest} after the authority");
    assert!(most_attempts <= 40, "{most_attempts} attempts");
    assert!(latest <= Span::hours(1), "last back after {latest}");
}

/// One device that is due when the outage begins: attempts, knocks, and how long after its end it is
/// served.
fn through_outage(outage: Span, chance: Chance) -> (u32, u32, Span) {
    let validity = Validity { from: START - Span::days(70), until: START + Span::days(20) };
    let held = Held { validity, quarantine: false, probed: true, current: true };
    let mut facts = Facts {
        now: START,
        sure: true,
        asked: None,
        held: Some(held),
        staged: true,
        credential: false,
        hint: None,
        trouble: Trouble::default(),
        chance,
    };
    let back = START + outage;
    let (mut attempts, mut knocks) = (0, 0);
    loop {
        let away = facts.now < back;
        match next_step(&facts) {
            Step::Wait { until } => {
                assert!(until > facts.now, "busy");
                facts.now = until;
            }
            Step::Knock => {
                knocks += 1;
                if away { facts.trouble.knocked = facts.now } else { facts.trouble.answered() }
            }
            Step::Send => {
                attempts += 1;
                if !away {
                    return (attempts, knocks, facts.now.since(back));
                }
                facts.trouble.failed(facts.now, true);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn knocks_are_never_further_apart_than_promised() {
    assert!(KNOCK_EVERY <= Span::hours(1));
}
