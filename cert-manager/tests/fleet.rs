//! What an operator sees of the fleet, over TLS, and who does not see it.

use std::fs;
use std::path::Path;

use crate::common::live::Server;
use crate::common::{Device, Pending, START, desk, office};
use cert_manager::agent::channel::{Channel, ChannelError, Identity};
use cert_manager::agent::drive::{Agent, Moment};
use cert_manager::agent::storage::Disk;
use cert_manager::agent::store::Store;
use cert_manager::authority::{Authority, self_signed_authority, subordinate_authority};
use cert_manager::bundle::{ApiRange, Kind};
use cert_manager::ca::{self, Config, FactoryConfig, Init};
use cert_manager::est::client::TlsChannel;
use cert_manager::est::server::wall_clock;
use cert_manager::facts::{Serial, parse_certificate};
use cert_manager::fleet::{PAGE_DEFAULT, PAGE_MAX};
use cert_manager::http::{Request, Response};
use cert_manager::keys::KeyStore;
use cert_manager::ledger::rules::{Enrolment, Grant};
use cert_manager::ledger::{Answer, ClassPolicy, Ledger};
use cert_manager::pem;
use cert_manager::risk::Risk;
use cert_manager::rotation::Step;
use cert_manager::time::{Millis, Span, Validity};
use cert_manager::trust::Trust;
use rcgen::{KeyPair, PublicKeyData};
use serde_json::{Value, json};

/// An authority in a folder, and what a client needs to reach it.
struct Place {
    folder: tempfile::TempDir,
    trust: Trust,
    server: Server,
}

impl Place {
    fn open(config: impl FnOnce(&Path) -> Config) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trust = ca::init(folder.path(), &Init::default()).unwrap();
        let server = Server::start(folder.path(), &config(folder.path()), Risk::Amber);
        Self { folder, trust, server }
    }

    fn get(&self, identity: Option<&Identity>, query: &str) -> Result<Response, ChannelError> {
        self.ask(identity, &Request::get("/v1/fleet").asking(query))
    }

    fn ask(&self, identity: Option<&Identity>, request: &Request) -> Result<Response, ChannelError> {
        let mut channel = TlsChannel::new(self.server.url.parse().unwrap());
        channel.believe(&self.trust.anchors(wall_clock()), wall_clock());
        channel.exchange(identity, request)
    }

    /// The first page of which `good` holds: the word of a device is written beside the answer it gets, so it may be
    /// there a moment later.
    fn once(&self, operator: &Identity, good: impl Fn(&Value) -> bool) -> Value {
        let pages = (0..1_000).map(|_| json(&self.get(Some(operator), "").unwrap()));
        pages.into_iter().find(good).expect("a page as awaited")
    }

    fn operator(&self, name: &str) -> Identity {
        let out = tempfile::tempdir().unwrap();
        let made = ca::operator_add(self.folder.path(), &name.parse().unwrap(), out.path(), Span::days(1)).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&made.key).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        let again = ca::operator_add(self.folder.path(), &name.parse().unwrap(), out.path(), Span::days(1));
        assert!(again.is_err(), "what lies there is not replaced");
        let chain = pem::certificates(&fs::read(made.certificate).unwrap()).unwrap();
        Identity { chain, key: KeyStore::Files.find(&fs::read(made.key).unwrap()).unwrap() }
    }

    /// A device with an agent of its own, enrolled.
    fn device(&self, folder: &Path, name: &str, class: &str) -> Agent<Disk, TlsChannel> {
        let token = ca::token(self.folder.path(), None, class, Span::hours(1)).unwrap().expose().to_owned();
        let store = Store::open(Disk::open(folder).unwrap()).unwrap();
        let channel = TlsChannel::new(self.server.url.parse().unwrap());
        let trust = self.trust.clone();
        let mut agent = Agent::wake(name.parse().unwrap(), store, channel, trust, Some(token.into())).unwrap();
        while !matches!(agent.step(moment()).unwrap(), Step::Wait { .. }) {}
        agent
    }

    fn publish(&self, api: ApiRange) {
        let file = self.folder.path().join("file");
        fs::write(&file, "model").unwrap();
        ca::bundle_publish(self.folder.path(), Kind::Model, &file, Span::days(30), api).unwrap();
    }
}

fn moment() -> Moment {
    Moment { local: wall_clock(), elapsed: Span::ZERO }
}

fn json(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.first_line());
    assert_eq!(response.header("content-type"), Some("application/json"));
    serde_json::from_slice(&response.body).unwrap()
}

fn press(_: &Path) -> Config {
    let press = ClassPolicy { enrolment: Enrolment::Approved, ..ClassPolicy::default() };
    Config {
        classes: [("default".to_owned(), Default::default()), ("press".to_owned(), press)].into(),
        ..Config::default()
    }
}

#[test]
fn an_operator_sees_every_device_what_it_holds_and_what_does_not_fit() {
    let place = Place::open(press);
    place.publish(ApiRange { from: 1, until: 1 });
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut device = place.device(one.path(), "dev-1", "default");
    device.fetch_bundle(Kind::Model, moment()).unwrap();
    place.device(two.path(), "press-7", "press");
    place.publish(ApiRange { from: 2, until: 3 });
    let ada = place.operator("ada");
    let page = place.once(&ada, |page| !page["devices"][0]["holds"].is_null());
    assert_eq!((&page["v"], &page["next"]), (&json!(1), &Value::Null));
    assert_eq!(page["newest"]["root"], 1);
    assert_eq!(page["newest"]["model"]["version"], 2);
    assert_eq!(page["newest"]["model"]["api"], json!({"from": 2, "until": 3}));
    assert_eq!(page["newest"]["policy"], Value::Null);
    let row = &page["devices"][0];
    let view = device.store().look().unwrap().newest.unwrap();
    assert_eq!(row["device"], "dev-1");
    assert_eq!((&row["class"], &row["state"], &row["certificates"]), (&json!("default"), &json!("good"), &json!(1)));
    assert_eq!(row["serial"], view.facts.serial.to_string());
    assert_eq!(row["not_after_ms"], view.facts.validity.until.0);
    assert_eq!(row["key"], view.facts.key.id.to_string());
    assert_eq!(row["issued"]["risk"], "green", "a first certificate is asked for by no known device");
    assert_eq!((&row["issued"]["trust_version"], &row["issued"]["bundle_version"]), (&json!(1), &json!(1)));
    let holds = json!({"api": 1, "root": 1, "model": 0, "policy": 0, "trust": 0, "at_ms": row["holds"]["at_ms"]});
    assert_eq!(row["holds"], holds, "what it said when it looked, before it took the model");
    assert_eq!(row["skew"], "device-too-old", "the newest model does not run on it");
    let waits = &page["devices"][1];
    assert_eq!(
        (&waits["device"], &waits["state"], &waits["serial"]),
        (&json!("press-7"), &json!("waiting"), &Value::Null)
    );
    assert!(waits["waiting_since_ms"].is_u64());
    // The next look says what it holds now.
    device.fetch_bundle(Kind::Model, moment()).unwrap_err();
    place.once(&ada, |page| page["devices"][0]["holds"]["model"] == 1);
    assert_eq!(
        serde_json::to_value(ca::list(place.folder.path()).unwrap()).unwrap()[1],
        *waits,
        "the list says the same"
    );
    place.server.stop();
}

#[test]
fn nobody_but_an_operator_reads_the_fleet_and_an_operator_does_nothing_else() {
    let place = Place::open(|_| Config::default());
    let folder = tempfile::tempdir().unwrap();
    let device = place.device(folder.path(), "dev-1", "default").credentials().unwrap().unwrap();
    let (ada, bob) = (place.operator("ada"), place.operator("bob"));
    for (who, identity) in [("nobody", None), ("a device", Some(&device))] {
        assert_eq!(place.get(identity, "").unwrap().status, 403, "{who}");
    }
    for identity in [&ada, &bob] {
        assert_eq!(place.get(Some(identity), "").unwrap().status, 200);
    }
    for (query, status) in [("limit=0", 400), ("limit=x", 400), ("after=a/b", 400), ("page=2", 400), ("limit=500", 200)]
    {
        assert_eq!(place.get(Some(&ada), query).unwrap().status, status, "{query}");
    }
    let mut channel = TlsChannel::new(place.server.url.parse().unwrap());
    channel.believe(&place.trust.anchors(wall_clock()), wall_clock());
    for (request, status) in [
        (Request::post("/v1/probe", "application/json", vec![]), 403),
        (Request::get("/v1/bundles/model"), 403),
        (Request::post("/.well-known/est/simplereenroll", "application/pkcs10", vec![]), 403),
        (Request::post("/.well-known/est/simpleenroll", "application/pkcs10", vec![]), 403),
        (Request::get("/v1/status"), 200),
    ] {
        assert_eq!(channel.exchange(Some(&ada), &request).unwrap().status, status, "{request:?}");
    }
    // No anchor of devices: whoever trusts these does not take an operator for one.
    let operators = pem::certificates(&fs::read(place.folder.path().join("operators.pem")).unwrap()).unwrap();
    assert!(!place.trust.anchors(Millis(0)).contains(&operators[0]));
    // Taken away: on the connection that is open, too.
    assert_eq!(channel.exchange(Some(&ada), &Request::get("/v1/fleet")).unwrap().status, 200);
    assert_eq!(ca::operator_remove(place.folder.path(), &"ada".parse().unwrap()).unwrap(), 1);
    assert_eq!(channel.exchange(Some(&ada), &Request::get("/v1/fleet")).unwrap().status, 403);
    assert_eq!(place.get(Some(&bob), "").unwrap().status, 200, "only hers");
    assert!(ca::operator_remove(place.folder.path(), &"ada".parse().unwrap()).is_err());
    place.server.stop();
}

#[test]
fn an_operator_sees_what_the_server_counts() {
    let place = Place::open(|_| Config::default());
    let folder = tempfile::tempdir().unwrap();
    let device = place.device(folder.path(), "dev-1", "default").credentials().unwrap().unwrap();
    ca::revoke(place.folder.path(), &"dev-1".parse().unwrap(), "lost").unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let csr = params.serialize_request(&key).unwrap();
    let body = cert_manager::est::wire::encode_body(csr.der());
    let renewal = Request::post("/.well-known/est/simplereenroll", "application/pkcs10", body);
    assert_eq!(place.ask(Some(&device), &renewal).unwrap().status, 403);
    let page = place.ask(Some(&place.operator("ada")), &Request::get("/metrics")).unwrap();
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").unwrap().starts_with("text/plain; version=0.0.4"));
    let page = String::from_utf8(page.body).unwrap();
    for line in [
        "vedette_ca_requests_total{route=\"enroll\",status=\"200\"} 1",
        "vedette_ca_requests_total{route=\"reenroll\",status=\"403\"} 1",
        "vedette_ca_refusals_total{why=\"revoked\"} 1",
        "vedette_ca_jobs_waiting 0",
        "vedette_ca_root_version 1",
        "vedette_ca_ledger_failures_total 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is missing in\n{page}");
    }
    assert!(!page.contains("dev-1"), "labels are words of ours: {page}");
    place.server.stop();
}

#[test]
fn a_makers_intermediate_with_our_name_makes_no_device_of_ours() {
    let (key, now) = (KeyPair::generate().unwrap(), wall_clock());
    let life = Validity { from: now - Span::days(1), until: now + Span::days(30) };
    let maker = Authority::new(self_signed_authority("maker", &key, life).unwrap(), key, None).unwrap();
    let place = Place::open(|folder| {
        fs::write(folder.join("maker.pem"), pem::encode("CERTIFICATE", maker.certificate())).unwrap();
        let factory = FactoryConfig { certificate: folder.join("maker.pem"), class: "default".to_owned() };
        Config { factories: vec![factory], ..Config::default() }
    });
    let ours = pem::certificates(&fs::read(place.folder.path().join("authority-1.pem")).unwrap()).unwrap();
    let name = parse_certificate(&ours[0]).unwrap().common_name.unwrap();
    let key = KeyPair::generate().unwrap();
    let false_ca = subordinate_authority(&name, &key.subject_public_key_info(), &maker, life).unwrap();
    let false_ca = Authority::new(false_ca, key, None).unwrap();
    let key = KeyPair::generate().unwrap();
    let (device, serial) = ("dev-1".parse().unwrap(), Serial::new(&[7]).unwrap());
    let leaf =
        false_ca.issue((&device, "default"), &key.subject_public_key_info(), Grant::Full, &serial, life).unwrap();
    let forged = Identity { chain: vec![leaf, false_ca.certificate().to_vec()], key: key.into() };
    let mut channel = TlsChannel::new(place.server.url.parse().unwrap());
    channel.believe(&place.trust.anchors(now), now);
    let probe = Request::post("/v1/probe", "application/json", vec![]);
    assert_eq!(channel.exchange(Some(&forged), &probe).unwrap().status, 403);
    // An honest device is one, makers or not.
    let folder = tempfile::tempdir().unwrap();
    let honest = place.device(folder.path(), "dev-2", "default").credentials().unwrap().unwrap();
    assert_eq!(channel.exchange(Some(&honest), &probe).unwrap().status, 204);
    place.server.stop();
}

#[test]
fn pages_hold_every_device_once_in_order_and_no_more_than_asked() {
    let (ledger, office) = (Ledger::in_memory().unwrap(), office());
    for n in 0..PAGE_MAX + 20 {
        Device::enrol(&format!("dev-{n:03}"), &ledger, &office, START);
    }
    let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let (entries, more) = ledger.page(after.as_ref(), PAGE_DEFAULT).unwrap();
        assert!(entries.len() <= PAGE_DEFAULT);
        seen.extend(entries.iter().map(|entry| entry.device().to_owned()));
        pages += 1;
        if !more {
            break;
        }
        after = seen.last().map(|name| name.parse().unwrap());
    }
    let all: Vec<_> = (0..PAGE_MAX + 20).map(|n| format!("dev-{n:03}")).collect();
    assert_eq!((seen, pages), (all, 6));
    assert_eq!(ledger.page(after.as_ref(), 1).unwrap().0.len(), 1);
}

#[test]
fn every_state_has_its_name_on_the_page() {
    let (desk, _) = desk();
    let enrol = |name: &str| Device::enrol(name, &desk.ledger, &desk.office, START);
    let (mut good, mut late, mut forked) = (enrol("a-good"), enrol("b-late"), enrol("c-forked"));
    enrol("d-expired");
    let revoked = enrol("e-revoked");
    desk.ledger.revoke(&revoked.name, "lost", START).unwrap();
    let mut clone = forked.clone();
    let now = START + Span::days(60);
    assert!(matches!(good.renew(1, &desk.ledger, &desk.office, now), Answer::Issued { .. }));
    assert!(matches!(forked.renew(2, &desk.ledger, &desk.office, now), Answer::Issued { .. }));
    clone.pending = Some(Pending::new(3));
    assert!(matches!(desk.ledger.apply(&[clone.renewal()], &desk.office, now).unwrap()[0], Answer::Refused(_)));
    let now = START + Span::days(100);
    assert!(matches!(late.renew(4, &desk.ledger, &desk.office, now), Answer::Issued { .. }));
    let operator = cert_manager::desk::Peer::Operator { name: "ada".parse().unwrap() };
    let page = json(&desk.answer(&operator, &Request::get("/v1/fleet"), now));
    let states: Vec<_> = page["devices"].as_array().unwrap().iter().map(|row| row["state"].clone()).collect();
    assert_eq!(states, ["good", "quarantined", "forked", "expired", "revoked"]);
    assert_eq!(page["devices"][1]["returns"], 1);
}
