//! Power may go at any write, sync or rename: the device always ends with a usable pair.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::common::sim::{Direct, SimDisk, World};
use crate::common::{START, desk, token};
use cert_manager::agent::drive::{Agent, AgentError, Moment};
use cert_manager::agent::store::Store;
use cert_manager::rotation::{State, Step};
use cert_manager::time::{Millis, Span};
use cert_manager::trust::Trust;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use zeroize::Zeroizing;

type Sim = Agent<SimDisk, Direct>;

struct Run {
    world: Rc<RefCell<World>>,
    trust: Trust,
    token: Zeroizing<String>,
    /// True time of the last boot: a device counts from there.
    booted: Cell<Millis>,
}

impl Run {
    fn new() -> Self {
        let (desk, trust) = desk();
        let token = token(&desk.ledger, START + Span::days(1));
        let world = World {
            desk,
            now: START,
            reachable: true,
            probed: Default::default(),
            exchanges: 0,
            renewals: 0,
            lose_answers: 0,
        };
        Self { world: Rc::new(RefCell::new(world)), trust, token, booted: Cell::new(START) }
    }

    /// Wakes the device; gives the disk back when power goes while the folders are made.
    fn wake(&self, disk: SimDisk) -> Result<Sim, Box<SimDisk>> {
        self.booted.set(self.world.borrow().now);
        let before = disk.clone();
        let Ok(store) = Store::open(disk) else { return Err(Box::new(before)) };
        let enrolled = store.look().unwrap().newest.is_some();
        let token = (!enrolled).then(|| self.token.clone());
        let channel = Direct(self.world.clone());
        Ok(Agent::wake("dev-9".parse().unwrap(), store, channel, self.trust.clone(), token).unwrap())
    }

    fn moment(&self) -> Moment {
        let now = self.world.borrow().now;
        Moment { local: now, elapsed: now.since(self.booted.get()) }
    }

    /// Steps until the device sleeps or power goes.
    fn settle(&self, agent: &mut Sim) -> Result<State, AgentError> {
        for _ in 0..40 {
            if let Step::Wait { .. } | Step::Stop = agent.step(self.moment())? {
                return agent.state(self.moment());
            }
        }
        panic!("does not settle: {:?}", agent.facts(self.moment()));
    }

    /// Enrols and rotates twice, 65 days apart; power goes at operation `cut_at`.
    fn life(&self, cut_at: Option<u64>, seed: u64) -> Sim {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut disk = SimDisk::default();
        disk.cut_at = cut_at;
        let mut restarts = 0;
        let mut lives = 0;
        'boot: loop {
            assert!(restarts <= 1, "cut {cut_at:?} seed {seed}: more than one retry");
            let mut agent = match self.wake(disk) {
                Ok(agent) => agent,
                Err(off) => {
                    disk = off.power_on(&mut rng);
                    restarts += 1;
                    continue;
                }
            };
            while lives < 3 {
                match self.settle(&mut agent) {
                    Ok(state) => {
                        assert_eq!(
                            state,
                            State::Healthy,
                            "cut {cut_at:?} seed {seed} life {lives}: {:?}",
                            agent.memory()
                        );
                        lives += 1;
                        if lives < 3 {
                            let now = self.world.borrow().now + Span::days(69);
                            self.world.borrow_mut().now = now;
                        }
                    }
                    Err(error) => {
                        let off = agent.into_store().into_storage();
                        assert!(off.is_off(), "cut {cut_at:?} seed {seed}: {error}");
                        disk = off.power_on(&mut rng);
                        restarts += 1;
                        continue 'boot;
                    }
                }
            }
            return agent;
        }
    }
}

#[test]
fn power_cuts_at_every_operation_never_lock_a_device_out() {
    let whole = Run::new().life(None, 0).into_store().into_storage().operations;
    assert!(whole >= 60, "{whole} operations");
    let most = std::thread::scope(|scope| {
        let part = |first: u64| {
            let points = (first..=whole).step_by(4);
            scope.spawn(move || points.flat_map(|at| (0..20).map(move |seed| cut(at, seed))).max().unwrap_or(0))
        };
        let parts: Vec<_> = (1..=4).map(part).collect();
        parts.into_iter().map(|part| part.join().unwrap()).max().unwrap()
    });
    println!("{whole} points x 20 seeds = {} runs: all usable, at most {most} unconfirmed", whole * 20);
}

/// One life with one cut; gives the number of certificates that were never used.
fn cut(cut_at: u64, seed: u64) -> usize {
    let run = Run::new();
    let agent = run.life(Some(cut_at), seed);
    let view = agent.store().look().unwrap();
    assert_eq!(view.current, view.newest.as_ref().map(|pair| pair.slot), "cut {cut_at} seed {seed}");
    let rotations = view.newest.as_ref().unwrap().receipt.receipt().n;
    assert_eq!(rotations, 3, "cut {cut_at} seed {seed}: enrolment and two renewals");
    let world = run.world.borrow();
    let issued = world.desk.ledger.receipts(&"dev-9".parse().unwrap()).unwrap();
    let probed = |serial: String| world.probed.contains(&serial);
    let unconfirmed = issued.iter().filter(|r| !probed(r.receipt().serial.to_string())).count();
    assert!(unconfirmed <= 1, "cut {cut_at} seed {seed}: {unconfirmed} certificates never used");
    assert_eq!(world.desk.ledger.evidence().unwrap(), [], "cut {cut_at} seed {seed}: taken for a clone");
    unconfirmed
}

#[test]
fn an_answer_lost_on_the_way_costs_a_retry_and_no_second_certificate() {
    let run = Run::new();
    let mut agent = run.life(None, 0);
    let now = run.world.borrow().now + Span::days(69);
    run.world.borrow_mut().now = now;
    assert_eq!(agent.step(run.moment()).unwrap(), Step::Stage);
    run.world.borrow_mut().lose_answers = 1;
    assert!(agent.step(run.moment()).is_err());
    assert!(matches!(agent.step(run.moment()).unwrap(), Step::Wait { .. }), "backs off");
    run.world.borrow_mut().now = now + Span::minutes(2);
    let later = run.moment();
    assert_eq!(agent.step(later).unwrap(), Step::Send);
    assert_eq!(agent.step(later).unwrap(), Step::Probe);
    assert_eq!(agent.step(later).unwrap(), Step::Commit);
    let receipts = run.world.borrow().desk.ledger.receipts(&"dev-9".parse().unwrap()).unwrap();
    assert_eq!(receipts.len(), 4, "enrolment, two renewals, and the one whose answer was lost");
}
