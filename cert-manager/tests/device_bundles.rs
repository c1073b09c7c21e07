//! A device fetches bundles from a real shelf: power may go at any moment, and no authority's answer puts anything
//! in force that was not signed.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use crate::common::sim::{Direct, SimDisk, World};
use crate::common::token;
use cert_manager::Digest;
use cert_manager::agent::bundles::{BundleState, FetchError, Fetched, in_force, intact};
use cert_manager::agent::channel::{Channel, ChannelError, Identity};
use cert_manager::agent::drive::{Agent, Moment};
use cert_manager::agent::storage::Storage;
use cert_manager::agent::store::Store;
use cert_manager::authority::POLICY_AMBER;
use cert_manager::bundle::{ApiRange, BundleError, CHUNK_BYTES, Kind, Skew};
use cert_manager::ca::{self, Config, Init};
use cert_manager::est::server::wall_clock;
use cert_manager::http::{Request, Response};
use cert_manager::risk::{FixedRisk, Risk};
use cert_manager::rotation::Step;
use cert_manager::time::{Millis, Span};
use cert_manager::trust::Trust;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const RUNS_HERE: ApiRange = ApiRange { from: 1, until: 1 };

/// A channel whose answers somebody may bend on the way.
#[derive(Clone)]
struct Bent {
    inner: Direct,
    bend: fn(&Request, Response) -> Response,
    pieces: Rc<RefCell<Vec<String>>>,
}

impl Channel for Bent {
    fn exchange(&mut self, identity: Option<&Identity>, request: &Request) -> Result<Response, ChannelError> {
        if request.path.matches('/').count() == 5 {
            self.pieces.borrow_mut().push(request.path.clone());
        }
        Ok((self.bend)(request, self.inner.exchange(identity, request)?))
    }

    fn knock(&mut self) -> bool {
        true
    }

    fn believe(&mut self, _: &[Vec<u8>], _: Millis) {}
}

type Device = Agent<SimDisk, Bent>;

struct Place {
    folder: tempfile::TempDir,
    trust: Trust,
    world: Rc<RefCell<World>>,
    pieces: Rc<RefCell<Vec<String>>>,
    /// When the devices were switched on.
    began: Millis,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trust = ca::init(folder.path(), &Init::default()).unwrap();
        let desk = ca::open(folder.path(), &Config::default(), Box::new(FixedRisk(Risk::Green))).unwrap().desk;
        let (now, probed) = (wall_clock(), Default::default());
        let world = World { desk, now, reachable: true, probed, exchanges: 0, renewals: 0, lose_answers: 0 };
        Self { folder, trust, world: Rc::new(RefCell::new(world)), pieces: Rc::default(), began: now }
    }

    fn moment(&self) -> Moment {
        let now = self.world.borrow().now;
        Moment { local: now, elapsed: now.since(self.began) }
    }

    fn wake(&self, disk: SimDisk, bend: fn(&Request, Response) -> Response, first: bool) -> Option<Device> {
        let store = Store::open(disk).ok()?;
        let channel = Bent { inner: Direct(self.world.clone()), bend, pieces: self.pieces.clone() };
        let token = first.then(|| token(&self.world.borrow().desk.ledger, self.world.borrow().now + Span::hours(1)));
        Some(Agent::wake("dev-9".parse().unwrap(), store, channel, self.trust.clone(), token).unwrap())
    }

    /// A device that is enrolled and sleeps.
    fn enrolled(&self, bend: fn(&Request, Response) -> Response) -> Device {
        let mut device = self.wake(SimDisk::default(), bend, true).unwrap();
        while !matches!(device.step(self.moment()).unwrap(), Step::Wait { .. }) {}
        device
    }

    /// Publishes for devices of this API.
    fn publish_for(&self, content: &[u8], life: Span) {
        let file = self.folder.path().join("file");
        std::fs::write(&file, content).unwrap();
        ca::bundle_publish(self.folder.path(), Kind::Model, &file, life, RUNS_HERE).unwrap();
    }

    fn publish(&self, content: &[u8], api: ApiRange) -> u64 {
        let file = self.folder.path().join("file");
        std::fs::write(&file, content).unwrap();
        ca::bundle_publish(self.folder.path(), Kind::Model, &file, Span::days(30), api).unwrap().version
    }

    /// What programs would read.
    fn content(&self, disk: &SimDisk) -> Vec<u8> {
        let slot = disk.read_link("bundles/model/current").unwrap().unwrap();
        disk.read(&format!("bundles/model/{slot}/content")).unwrap().unwrap()
    }
}

fn straight(_: &Request, response: Response) -> Response {
    response
}

fn content(seed: u8, pieces: u64) -> Vec<u8> {
    (0..pieces * CHUNK_BYTES - 7).map(|n| (n % 251) as u8 ^ seed).collect()
}

#[test]
fn power_may_go_at_any_moment_of_a_download_and_it_goes_on_where_it_stopped() {
    let place = Place::new();
    let (first, second) = (content(1, 1), content(2, 3));
    place.publish(&first, RUNS_HERE);
    let mut device = place.enrolled(straight);
    assert_eq!(device.fetch_bundle(Kind::Model, place.moment()).unwrap(), Fetched::Took(1));
    assert_eq!(device.fetch_bundle(Kind::Model, place.moment()).unwrap(), Fetched::Newest(1));
    place.publish(&second, RUNS_HERE);
    let held = device.into_store().into_storage();
    let (mut cuts, mut pieces_most) = (0, 0);
    for at in 1.. {
        let mut through = false;
        for seed in 0..8 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut disk = held.clone();
            disk.cut_at = Some(disk.operations + at);
            place.pieces.borrow_mut().clear();
            // Store::open makes folders too, so power may go there.
            let disk = match place.wake(disk.clone(), straight, false) {
                None => disk.power_on(&mut rng),
                Some(mut device) => {
                    let taken = device.fetch_bundle(Kind::Model, place.moment());
                    let disk = device.into_store().into_storage();
                    through = !disk.is_off();
                    assert!(!through || taken.is_ok(), "{taken:?}");
                    disk.power_on(&mut rng)
                }
            };
            // Whatever happened, one of the two is in force, whole.
            let manifest = in_force(&disk, Kind::Model, &place.trust).unwrap().unwrap();
            assert!(intact(&disk, Kind::Model, &manifest).unwrap(), "cut {at} seed {seed}");
            let mut device = place.wake(disk, straight, false).unwrap();
            device.fetch_bundle(Kind::Model, place.moment()).unwrap();
            let disk = device.into_store().into_storage();
            assert_eq!(place.content(&disk), second, "cut {at} seed {seed}");
            pieces_most = pieces_most.max(place.pieces.borrow().len());
            cuts += usize::from(!through);
        }
        if through {
            break;
        }
    }
    println!("{cuts} cuts, each made good by the next look; at most {pieces_most} pieces for a bundle of 3");
    assert!(cuts >= 20 * 8, "{cuts} cuts");
    // The piece that power took and the last one left, which may be torn, are fetched again; the whole never is.
    assert!(pieces_most <= 5, "{pieces_most} pieces");
}

#[test]
fn what_was_not_signed_is_never_in_force_and_the_old_one_goes_on() {
    fn other(request: &Request, mut response: Response) -> Response {
        if request.path.ends_with("/0") && request.path.contains("/2/") {
            response.body[5] ^= 1;
        }
        response
    }
    fn endless(request: &Request, mut response: Response) -> Response {
        if request.path.contains("/2/") {
            response.body.resize(CHUNK_BYTES as usize + 1, 0);
        }
        response
    }
    fn cut_off(request: &Request, mut response: Response) -> Response {
        if request.path.contains("/2/") {
            response.body.clear();
        }
        response
    }
    for (what, bend) in
        [("altered", other as fn(&Request, Response) -> Response), ("endless", endless), ("cut off", cut_off)]
    {
        let place = Place::new();
        place.publish(b"one", RUNS_HERE);
        let mut device = place.enrolled(bend);
        device.fetch_bundle(Kind::Model, place.moment()).unwrap();
        place.publish(&content(2, 1), RUNS_HERE);
        for _ in 0..2 {
            let refused = device.fetch_bundle(Kind::Model, place.moment());
            let content = matches!(refused, Err(FetchError::Refused { source: BundleError::Content, .. }));
            assert!(content, "{what}: {refused:?}");
        }
        assert_eq!(place.content(&device.into_store().into_storage()), b"one", "{what}");
    }
}

#[test]
fn a_rollback_needs_a_higher_number_and_a_lost_file_opens_no_way_back() {
    let place = Place::new();
    place.publish(b"one", RUNS_HERE);
    let mut device = place.enrolled(straight);
    device.fetch_bundle(Kind::Model, place.moment()).unwrap();
    let old = shelf(place.folder.path(), 1);
    place.publish(b"two", RUNS_HERE);
    assert_eq!(device.fetch_bundle(Kind::Model, place.moment()).unwrap(), Fetched::Took(2));
    // A mirror goes back to bundle 1, and the device has lost what it held.
    std::fs::remove_file(shelf(place.folder.path(), 2)).unwrap();
    assert!(old.exists());
    device.storage().remove("bundles/model/current").unwrap();
    let refused = device.fetch_bundle(Kind::Model, place.moment()).unwrap_err();
    let rolled = FetchError::Refused { kind: Kind::Model, source: BundleError::Rollback { found: 1, held: 2 } };
    assert_eq!(refused.to_string(), rolled.to_string());
    // The operator's rollback is a higher number.
    place.publish(b"two again", RUNS_HERE);
    place.publish(b"three", RUNS_HERE);
    let back = ca::bundle_rollback(place.folder.path(), Kind::Model, 1, Span::days(30)).unwrap();
    assert_eq!(device.fetch_bundle(Kind::Model, place.moment()).unwrap(), Fetched::Took(back.version));
    assert_eq!(place.content(&device.into_store().into_storage()), b"one");
}

#[test]
fn a_device_that_says_its_models_time_is_over_gets_short_certificates_until_it_runs_a_newer_one() {
    let place = Place::new();
    place.publish(b"one", RUNS_HERE); // for 30 days
    let mut device = place.enrolled(straight);
    device.fetch_bundle(Kind::Model, place.moment()).unwrap();
    let later = |days: u64| place.world.borrow_mut().now = place.began + Span::days(days);
    let policies = |device: &Device| device.store().look().unwrap().newest.unwrap().facts.policies;
    let renew = |device: &mut Device| while !matches!(device.step(place.moment()).unwrap(), Step::Wait { .. }) {};
    // Its next look, a day later, says what it holds.
    later(1);
    device.fetch_bundle(Kind::Model, place.moment()).unwrap();
    later(75);
    renew(&mut device);
    assert_eq!(policies(&device), [POLICY_AMBER]);
    place.publish(b"two", RUNS_HERE);
    let name = "dev-9".parse().unwrap();
    let receipts = || place.world.borrow().desk.ledger.receipts(&name).unwrap();
    assert_eq!(receipts().last().unwrap().receipt().risk, Risk::Amber);
    // A week of life, and within it a look that takes the newer one, and one that says so.
    assert_eq!(
        device.fetch_bundle(Kind::Model, place.moment()).unwrap_err().to_string(),
        "model bundle refused: the manifest has expired"
    );
    place.publish_for(b"three", Span::days(365));
    device.fetch_bundle(Kind::Model, place.moment()).unwrap();
    later(76);
    device.fetch_bundle(Kind::Model, place.moment()).unwrap();
    // A week's certificate is due at 2/3 of its life and up to a twelfth later: after 4.7 to 5.3 days.
    later(81);
    renew(&mut device);
    assert_eq!(policies(&device), Vec::<String>::new());
    let last = receipts().pop().unwrap();
    assert_eq!((last.receipt().risk, last.receipt().bundle_version), (Risk::Green, 3));
}

fn shelf(folder: &Path, number: u64) -> std::path::PathBuf {
    folder.join(format!("bundles/model/{number}.json"))
}

#[test]
fn a_device_too_old_for_the_newest_model_is_told_so_and_one_past_its_time_counts_as_stale() {
    let place = Place::new();
    place.publish(b"one", RUNS_HERE);
    let mut device = place.enrolled(straight);
    device.fetch_bundle(Kind::Model, place.moment()).unwrap();
    place.publish(b"two", ApiRange { from: 2, until: 3 });
    let refused = device.fetch_bundle(Kind::Model, place.moment()).unwrap_err().to_string();
    assert!(refused.contains("DeviceTooOld"), "{refused}");
    let fresh = BundleState { version: 1, stale: false, skew: Some(Skew::DeviceTooOld) };
    assert_eq!(device.bundle_state(Kind::Model, place.moment()).unwrap(), fresh);
    place.world.borrow_mut().now = wall_clock() + Span::days(31);
    let stale = BundleState { stale: true, ..fresh };
    assert_eq!(device.bundle_state(Kind::Model, place.moment()).unwrap(), stale);
    assert_eq!(place.content(&device.into_store().into_storage()), b"one", "it goes on with what it has");
}

#[test]
fn a_kind_that_nobody_published_is_no_error() {
    let place = Place::new();
    let mut device = place.enrolled(straight);
    assert_eq!(device.fetch_bundle(Kind::Policy, place.moment()).unwrap(), Fetched::NoneThere);
    assert_eq!(device.bundle_state(Kind::Policy, place.moment()).unwrap().version, 0);
    assert_eq!(Digest::of(b""), device.storage().digest("bundles/policy/current/content").unwrap());
}
