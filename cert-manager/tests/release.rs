//! A device that comes back is released from quarantine when what it did has been looked at, and not before.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use crate::common::sim::{Direct, SimDisk, World};
use crate::common::{START, desk, token};
use cert_manager::agent::drive::{Agent, Moment};
use cert_manager::agent::store::Store;
use cert_manager::authority::{POLICY_DEGRADED, POLICY_QUARANTINE};
use cert_manager::device::DeviceId;
use cert_manager::risk::{Release, Risk, RiskSource};
use cert_manager::rotation::{State, Step};
use cert_manager::time::{Millis, Span};

/// A detector that says what the test wants, and remembers who asked.
struct Says {
    release: Arc<Mutex<Release>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl RiskSource for Says {
    fn risk(&self, _: &DeviceId) -> Risk {
        Risk::Green
    }

    fn release(&self, device: &DeviceId, _: Millis) -> Release {
        self.asked.lock().unwrap().push(device.to_string());
        *self.release.lock().unwrap()
    }
}

/// Enrols a device, keeps it away for half a year, brings it back; gives its state and its policies once it is
/// healthy, and how long it was in quarantine when the detector says `then` after `after`.
fn comes_back(then: Release, after: Span) -> (Vec<String>, Span, Vec<String>) {
    let (release, asked) = (Arc::new(Mutex::new(Release::Later(Span::seconds(5)))), Arc::default());
    let (mut desk, trust) = desk();
    desk.risk = Box::new(Says { release: release.clone(), asked: Arc::clone(&asked) });
    let text = token(&desk.ledger, START + Span::days(1));
    let (probed, now) = (Default::default(), START);
    let world = World { desk, now, reachable: true, probed, exchanges: 0, renewals: 0, lose_answers: 0 };
    let world = Rc::new(RefCell::new(world));
    let store = Store::open(SimDisk::default()).unwrap();
    let mut agent =
        Agent::wake("dev-9".parse().unwrap(), store, Direct(world.clone()), trust.clone(), Some(text)).unwrap();
    while !matches!(agent.step(Moment { local: START, elapsed: Span::ZERO }).unwrap(), Step::Wait { .. }) {}
    assert_eq!(*asked.lock().unwrap(), Vec::<String>::new(), "only for devices in quarantine");
    let back = START + Span::days(180);
    world.borrow_mut().now = back;
    let channel = Direct(world.clone());
    let mut agent = Agent::wake("dev-9".parse().unwrap(), agent.into_store(), channel, trust, None).unwrap();
    let mut elapsed = Span::ZERO;
    for _ in 0..2_000 {
        let moment = Moment { local: back + elapsed, elapsed };
        if elapsed >= after {
            *release.lock().unwrap() = then;
        }
        match agent.step(moment).unwrap() {
            Step::Wait { .. } if agent.state(moment).unwrap() == State::Healthy => {
                let policies = agent.store().look().unwrap().newest.unwrap().facts.policies;
                return (policies, elapsed, asked.lock().unwrap().clone());
            }
            Step::Wait { until } => {
                let newest = agent.store().look().unwrap().newest.unwrap();
                assert_eq!(newest.facts.policies, [POLICY_QUARANTINE], "it waits in quarantine");
                elapsed = Span(elapsed.0 + until.since(agent.facts(moment).unwrap().now).0);
                world.borrow_mut().now = back + elapsed;
            }
            _ => {}
        }
    }
    panic!("never released");
}

#[test]
fn a_device_is_released_once_what_it_did_was_looked_at() {
    let (policies, waited, asked) = comes_back(Release::Now, Span::seconds(12));
    assert_eq!(policies, Vec::<String>::new(), "in full");
    assert_eq!(waited, Span::seconds(15), "asked every five seconds, as it was told");
    assert_eq!(asked, ["dev-9"; 4]);
    let (_, waited, _) = comes_back(Release::Now, Span::ZERO);
    assert_eq!(waited, Span::ZERO);
}

#[test]
fn where_nobody_looks_for_too_long_the_next_certificate_is_a_short_one() {
    let (policies, waited, _) = comes_back(Release::Unscored, Span::minutes(10));
    assert_eq!(policies, [POLICY_DEGRADED]);
    assert_eq!(waited, Span::minutes(10));
}
