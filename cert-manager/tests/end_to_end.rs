//! The whole way over real TLS: an authority made by `ca init`, devices with folders of their own.

use std::path::Path;

use crate::common::live::Server;
use cert_manager::agent::drive::{Agent, Moment};
use cert_manager::agent::storage::Disk;
use cert_manager::agent::store::Store;
use cert_manager::ca::{self, Config, Init, Rollover};
use cert_manager::est::client::TlsChannel;
use cert_manager::est::server::wall_clock;
use cert_manager::ledger::ClassPolicy;
use cert_manager::risk::Risk;
use cert_manager::rotation::{State, Step};
use cert_manager::time::Span;
use cert_manager::trust::Trust;

type Device = Agent<Disk, TlsChannel>;

/// Certificates of this class are due as soon as they are issued: what `notBefore` lies in the past
/// is more than two thirds of their life.
fn always_due() -> Config {
    let class = ClassPolicy { full_life_ms: Span::seconds(90), ..ClassPolicy::default() };
    Config { classes: [("default".to_owned(), class)].into(), ..Config::default() }
}

fn device(folder: &Path, server: &Server, trust: &Trust, token: Option<&str>) -> Device {
    let store = Store::open(Disk::open(folder).unwrap()).unwrap();
    let channel = TlsChannel::new(server.url.parse().unwrap());
    let token = token.map(|t| t.to_owned().into());
    Agent::wake("dev-9".parse().unwrap(), store, channel, trust.clone(), token).unwrap()
}

fn moment() -> Moment {
    Moment { local: wall_clock(), elapsed: Span::ZERO }
}

fn steps(device: &mut Device, expected: &[Step]) {
    for step in expected {
        assert_eq!(device.step(moment()).unwrap(), *step);
    }
}

const ENROL: &[Step] = &[Step::Stage, Step::Send, Step::Probe, Step::Commit];
const RENEW: &[Step] = &[Step::AskTime, Step::Stage, Step::Send, Step::Probe, Step::Commit];

#[test]
fn a_device_enrols_renews_and_spends_little_on_the_wire() {
    let (ca_folder, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let trust = ca::init(ca_folder.path(), &Init::default()).unwrap();
    let server = Server::start(ca_folder.path(), &always_due(), Risk::Green);
    let token = ca::token(ca_folder.path(), None, "default", Span::hours(1)).unwrap();
    let mut agent = device(folder.path(), &server, &trust, Some(token.expose()));
    steps(&mut agent, ENROL);
    agent.channel().close();
    let (bytes, handshakes) = (agent.channel().wire_bytes(), agent.channel().handshakes());
    steps(&mut agent, RENEW);
    agent.channel().close();
    let spent = agent.channel().wire_bytes() - bytes;
    println!("{spent} bytes on the wire for a renewal");
    assert_eq!(agent.channel().handshakes() - handshakes, 2);
    assert!(spent <= 10_000, "{spent} bytes");
    let key = std::fs::metadata(folder.path().join("current/key.pem")).unwrap();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&key.permissions()) & 0o777, 0o600);
    assert_eq!(ca::list(ca_folder.path()).unwrap()[0].certificates, 2);
    server.stop();
}

#[test]
fn a_revoked_device_is_told_so_with_its_next_request() {
    let (ca_folder, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let trust = ca::init(ca_folder.path(), &Init::default()).unwrap();
    let server = Server::start(ca_folder.path(), &always_due(), Risk::Green);
    let token = ca::token(ca_folder.path(), None, "default", Span::hours(1)).unwrap();
    let mut agent = device(folder.path(), &server, &trust, Some(token.expose()));
    steps(&mut agent, ENROL);
    ca::revoke(ca_folder.path(), &"dev-9".parse().unwrap(), "lost").unwrap();
    steps(&mut agent, &[Step::AskTime, Step::Stage, Step::Send]);
    assert_eq!(agent.state(moment()).unwrap(), State::Revoked);
    // The operator's way out.
    let voucher = ca::voucher(ca_folder.path(), "dev-9".parse().unwrap(), Span::hours(1)).unwrap();
    drop(agent);
    let mut agent = device(folder.path(), &server, &trust, Some(voucher.expose()));
    agent.begin_again().unwrap();
    steps(&mut agent, &[Step::Send, Step::Probe, Step::Commit]);
    assert_eq!(agent.memory().trouble, Default::default());
    server.stop();
}

#[test]
fn a_red_device_waits_and_an_amber_one_gets_a_week() {
    let (ca_folder, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let trust = ca::init(ca_folder.path(), &Init::default()).unwrap();
    let due = Server::start(ca_folder.path(), &always_due(), Risk::Red);
    let token = ca::token(ca_folder.path(), None, "default", Span::hours(1)).unwrap();
    let mut agent = device(folder.path(), &due, &trust, Some(token.expose()));
    steps(&mut agent, ENROL);
    steps(&mut agent, &[Step::AskTime, Step::Stage, Step::Send]);
    assert!(matches!(agent.step(moment()).unwrap(), Step::Wait { .. }), "202");
    due.stop();
    drop(agent);
    std::fs::remove_file(folder.path().join("state.json")).unwrap();
    let amber = Server::start(ca_folder.path(), &Config::default(), Risk::Amber);
    let mut agent = device(folder.path(), &amber, &trust, None);
    steps(&mut agent, &[Step::Send, Step::Probe, Step::Commit]);
    let pair = agent.store().look().unwrap().newest.unwrap();
    assert_eq!(pair.facts.policies, [cert_manager::authority::POLICY_AMBER]);
    assert_eq!(pair.facts.validity.life(), Span(Span::days(7).0 + Span::minutes(5).0));
    amber.stop();
}

#[test]
fn a_device_two_authorities_behind_comes_back_with_no_hand() {
    let (ca_folder, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let trust = ca::init(ca_folder.path(), &Init::default()).unwrap();
    let server = Server::start(ca_folder.path(), &always_due(), Risk::Green);
    let token = ca::token(ca_folder.path(), None, "default", Span::hours(1)).unwrap();
    let mut agent = device(folder.path(), &server, &trust, Some(token.expose()));
    steps(&mut agent, ENROL);
    drop(agent);
    server.stop();
    for version in 2..=3 {
        let rotated = ca::rotate_root(ca_folder.path(), Rollover::RootKeysAndAuthority).unwrap();
        assert_eq!(rotated.version(), version);
    }
    let server = Server::start(ca_folder.path(), &always_due(), Risk::Green);
    let mut agent = device(folder.path(), &server, &trust, None);
    steps(&mut agent, RENEW);
    assert_eq!(agent.trust().version(), 3);
    assert_eq!(agent.store().look().unwrap().newest.unwrap().facts.issuer, "CN=Vedette devices G3");
    server.stop();
}

#[test]
fn nobody_but_the_anchors_own_is_believed() {
    let (ours, theirs, folder) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let trust = ca::init(ours.path(), &Init::default()).unwrap();
    ca::init(theirs.path(), &Init::default()).unwrap();
    let server = Server::start(theirs.path(), &Config::default(), Risk::Green);
    let mut agent = device(folder.path(), &server, &trust, Some("token"));
    assert_eq!(agent.step(moment()).unwrap(), Step::Stage);
    let error = agent.step(moment()).unwrap_err().to_string();
    assert!(error.contains("UnknownIssuer") || error.contains("BadSignature"), "{error}");
    server.stop();
}
