//! Devices that meet while both are cut off: every cell of the rule as documented, and real handshakes. Prints the table.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::common::live::Server;
use crate::common::{START, authority};
use cert_manager::agent::drive::{Agent, Moment, STATUS_FILE};
use cert_manager::agent::storage::Disk;
use cert_manager::agent::store::Store;
use cert_manager::ca::{self, Config, Init};
use cert_manager::est::client::TlsChannel;
use cert_manager::est::server::wall_clock;
use cert_manager::facts::{CertFacts, Serial, parse_certificate};
use cert_manager::ledger::rules::Grant;
use cert_manager::ledger::store::{Revocation, RevocationKind};
use cert_manager::peers::{Admission, Grace, GraceConfig, PeerRefusal, Word, admit};
use cert_manager::revocation::{StatusList, status_list};
use cert_manager::risk::Risk;
use cert_manager::rotation::Step;
use cert_manager::sign::SigningKey;
use cert_manager::time::{Millis, Span, Validity};
use cert_manager::tls::live::LivePair;
use cert_manager::tls::peers::PeerVerifier;
use rcgen::{KeyPair, PublicKeyData};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{CertificateError, ClientConnection, Error, ServerConnection};

const LONGEST: Span = Span::days(30);
const UNTIL: Millis = Millis(START.0 + Span::days(90).0);

fn grace(classes: &[&str]) -> Grace {
    let classes = classes.iter().map(|class| (*class).to_owned()).collect();
    GraceConfig { classes, longest_ms: LONGEST }.check().unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Status {
    None,
    BeforeExpiry,
    BeforeExpiryAndOnIt,
    AfterExpiry,
    AfterExpiryAndOnIt,
    /// The list is from before, but a signed time, or a certificate of its own, came later.
    HeardAfterExpiry,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Class {
    Listed,
    Other,
    None,
}

/// The documented answer, written independently of the rule.
fn documented(late: Span, status: Status, class: Class, grant: Grant, on: bool) -> Result<Admission, PeerRefusal> {
    let on_list = matches!(status, Status::BeforeExpiryAndOnIt | Status::AfterExpiryAndOnIt);
    let heard = matches!(status, Status::AfterExpiry | Status::HeardAfterExpiry);
    match (grant, on_list, late, on && class == Class::Listed) {
        (Grant::Quarantine, ..) => Err(PeerRefusal::Quarantine),
        (_, true, ..) => Err(PeerRefusal::Revoked),
        (_, _, Span::ZERO, _) => Ok(Admission::Good),
        (.., false) => Err(PeerRefusal::Expired),
        _ if status == Status::None => Err(PeerRefusal::NoStatus),
        _ if heard => Err(PeerRefusal::NewerStatus),
        (_, _, late, _) if late > LONGEST => Err(PeerRefusal::TooLate),
        _ => Ok(Admission::Grace),
    }
}

#[test]
fn every_cell_of_the_rule_for_peers_is_as_documented() {
    let (key, authority, device) = (SigningKey::generate().unwrap(), authority(), KeyPair::generate().unwrap());
    let certificate = |class: Class, grant| {
        let class = match class {
            Class::Listed => "press",
            Class::Other => "lamp",
            Class::None => "no name: left out",
        };
        let (name, serial) = ("dev-9".parse().unwrap(), Serial::new(&[7; 16]).unwrap());
        let life = Validity { from: START, until: UNTIL };
        let der = authority.issue((&name, class), &device.subject_public_key_info(), grant, &serial, life).unwrap();
        parse_certificate(&der).unwrap()
    };
    println!("| late | status list | class | certificate | grace | answer |\n|---|---|---|---|---|---|");
    let mut cells = 0;
    for late in [Span::ZERO, Span(1), LONGEST, Span(LONGEST.0 + 1)] {
        for status in [
            Status::None,
            Status::BeforeExpiry,
            Status::BeforeExpiryAndOnIt,
            Status::AfterExpiry,
            Status::AfterExpiryAndOnIt,
            Status::HeardAfterExpiry,
        ] {
            for class in [Class::Listed, Class::Other, Class::None] {
                for grant in [Grant::Full, Grant::Amber, Grant::Quarantine] {
                    for on in [true, false] {
                        let peer = certificate(class, grant);
                        let word = word(status, &peer, &key);
                        // What the authority has signed for is past, whatever the clock says.
                        let now = (UNTIL + late).max(word.heard);
                        let grace = if on { grace(&["press"]) } else { Grace::default() };
                        let answer = admit(&peer, &word, &grace, now);
                        let wanted = documented(now.since(UNTIL), status, class, grant, on);
                        println!("| {late} | {status:?} | {class:?} | {grant:?} | {on} | {answer:?} |");
                        assert_eq!(answer, wanted, "{late} {status:?} {class:?} {grant:?} {on}");
                        cells += 1;
                    }
                }
            }
        }
    }
    assert_eq!(cells, 432);
}

fn word(status: Status, peer: &CertFacts, key: &SigningKey) -> Word {
    let entry =
        Revocation { device: "dev-9".parse().unwrap(), at: START, why: RevocationKind::Revoked, not_after: UNTIL };
    let entries = match status {
        Status::BeforeExpiryAndOnIt | Status::AfterExpiryAndOnIt => vec![(peer.serial.to_string(), entry)],
        _ => vec![],
    };
    let made = match status {
        Status::AfterExpiry | Status::AfterExpiryAndOnIt => UNTIL + Span(1),
        _ => UNTIL,
    };
    let list = StatusList::read(&status_list(&entries, key, made), &[key.public()], None).unwrap();
    let heard = if status == Status::HeardAfterExpiry { UNTIL + Span(1) } else { made };
    match status {
        Status::None => Word { status: None, heard: START },
        _ => Word { status: Some(list), heard },
    }
}

/// A clock that says what the test wants.
#[derive(Debug)]
struct At(Millis);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_millis(self.0.0)))
    }
}

/// `caller` dials `called`, both at `at`: whether each lets the other in.
fn meet(
    caller: (&Path, Grace),
    called: (&Path, Grace),
    expects: &str,
    at: Millis,
) -> (Result<(), Error>, Result<(), Error>) {
    let pair = |folder: &Path| LivePair::follow(&folder.join("current")).unwrap();
    let dials = PeerVerifier::follow(caller.0, caller.1).unwrap().expecting(expects.parse().unwrap());
    let mut client = dials.client_config(&pair(caller.0)).unwrap();
    client.time_provider = Arc::new(At(at));
    let mut server = PeerVerifier::follow(called.0, called.1).unwrap().server_config(&pair(called.0)).unwrap();
    server.time_provider = Arc::new(At(at));
    let name = ServerName::try_from("10.0.0.7").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let (mut to_server, mut to_client) = (Ok(()), Ok(()));
    for _ in 0..8 {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        if !wire.is_empty() {
            server.read_tls(&mut wire.as_slice()).unwrap();
            to_server = to_server.and(server.process_new_packets().map(|_| ()));
        }
        let mut wire = Vec::new();
        server.write_tls(&mut wire).unwrap();
        if !wire.is_empty() {
            client.read_tls(&mut wire.as_slice()).unwrap();
            to_client = to_client.and(client.process_new_packets().map(|_| ()));
        }
    }
    assert!(to_server.is_err() || to_client.is_err() || !client.is_handshaking() && !server.is_handshaking());
    (to_client, to_server)
}

struct Pairs {
    ca: tempfile::TempDir,
    one: tempfile::TempDir,
    two: tempfile::TempDir,
    until: Millis,
}

/// Two devices of class `press`, enrolled, each with the status list of that day.
fn two_presses(revoke: Option<&str>) -> Pairs {
    let [ca_folder, one, two] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let trust = ca::init(ca_folder.path(), &Init::default()).unwrap();
    let classes = [("press".to_owned(), Default::default())].into();
    let server = Server::start(ca_folder.path(), &Config { classes, ..Config::default() }, Risk::Green);
    let mut agents = Vec::new();
    for (folder, name) in [(&one, "press-1"), (&two, "press-2")] {
        let token = ca::token(ca_folder.path(), None, "press", Span::hours(1)).unwrap().expose().to_owned();
        let store = Store::open(Disk::open(folder.path()).unwrap()).unwrap();
        // Both `root.json`, as `enroll` writes it, and the anchors come from the owner.
        let mut store = store;
        store.keep("root.json", trust.bytes()).unwrap();
        let channel = TlsChannel::new(server.url.parse().unwrap());
        let mut agent = Agent::wake(name.parse().unwrap(), store, channel, trust.clone(), Some(token.into())).unwrap();
        while !matches!(agent.step(moment()).unwrap(), Step::Wait { .. }) {}
        agents.push(agent);
    }
    if let Some(device) = revoke {
        ca::revoke(ca_folder.path(), &device.parse().unwrap(), "stolen").unwrap();
    }
    for agent in &mut agents {
        // A revoked one is served the list, too: it is for everyone.
        agent.fetch_status().unwrap();
        agent.fetch_status().unwrap(); // the same again is no rollback
    }
    let until = agents[0].store().look().unwrap().newest.unwrap().facts.validity.until;
    let until = until.min(agents[1].store().look().unwrap().newest.unwrap().facts.validity.until);
    server.stop();
    Pairs { ca: ca_folder, one, two, until }
}

fn moment() -> Moment {
    Moment { local: wall_clock(), elapsed: Span::ZERO }
}

#[test]
fn two_devices_that_are_cut_off_meet_as_the_rule_says() {
    let pairs = two_presses(None);
    let (one, two) = (pairs.one.path(), pairs.two.path());
    let expired = Err(Error::InvalidCertificate(CertificateError::Expired));
    let (off, press) = (Grace::default, || grace(&["press"]));
    let now = wall_clock();
    assert_eq!(meet((one, off()), (two, off()), "press-2", now), (Ok(()), Ok(())));
    let wrong = meet((one, off()), (two, off()), "press-3", now).0;
    assert_eq!(wrong, Err(Error::InvalidCertificate(CertificateError::NotValidForName)));
    // A clock that stands at 1970 is set right by what the authority signed.
    assert_eq!(meet((one, off()), (two, off()), "press-2", Millis(0)), (Ok(()), Ok(())));
    // A week after the certificates have expired.
    let late = pairs.until + Span::days(7);
    assert_eq!(meet((one, off()), (two, off()), "press-2", late).0, expired, "off by default");
    assert_eq!(meet((one, press()), (two, press()), "press-2", late), (Ok(()), Ok(())));
    assert_eq!(meet((one, grace(&["lamp"])), (two, press()), "press-2", late).0, expired, "another class");
    assert_eq!(meet((one, press()), (two, off()), "press-2", late).1, expired, "each decides for itself");
    let refusal = |outcome: Result<(), Error>| outcome.unwrap_err().to_string();
    let too_late = pairs.until + LONGEST + Span::days(1);
    assert!(refusal(meet((one, press()), (two, press()), "press-2", too_late).0).contains("TooLate"));
    // One of them hears from the authority: for it, the other should have, too.
    let key = std::fs::read(pairs.ca.path().join("status.key")).unwrap();
    let key = SigningKey::from_pkcs8(&key).unwrap();
    let old = std::fs::read(one.join(STATUS_FILE)).unwrap();
    let verifier = PeerVerifier::follow(one, press()).unwrap();
    let shown: Vec<_> = LivePair::follow(&two.join("current")).unwrap().pair().cert.clone();
    let at = UnixTime::since_unix_epoch(Duration::from_millis(late.0));
    assert_eq!(verifier.check(&shown[0], &[], at), Ok(Admission::Grace));
    std::fs::write(one.join(STATUS_FILE), status_list(&[], &key, pairs.until + Span::days(1))).unwrap();
    assert!(verifier.check(&shown[0], &[], at).unwrap_err().to_string().contains("NewerStatus"), "followed");
    assert!(refusal(meet((one, press()), (two, press()), "press-2", late).0).contains("NewerStatus"));
    // An older list put back does not unsay it; a list that is gone, or somebody else's, gives no grace at all.
    std::fs::remove_file(one.join(STATUS_FILE)).unwrap();
    std::fs::write(one.join(STATUS_FILE), &old).unwrap();
    assert!(verifier.check(&shown[0], &[], at).unwrap_err().to_string().contains("NewerStatus"), "not unsaid");
    for bad in [None, Some(status_list(&[], &SigningKey::generate().unwrap(), now))] {
        std::fs::remove_file(one.join(STATUS_FILE)).unwrap();
        if let Some(bytes) = bad {
            std::fs::write(one.join(STATUS_FILE), bytes).unwrap();
        } else {
            assert!(refusal(meet((one, press()), (two, press()), "press-2", late).0).contains("NoStatus"));
            std::fs::write(one.join(STATUS_FILE), b"").unwrap();
        }
        assert!(refusal(meet((one, press()), (two, press()), "press-2", late).0).contains("NoStatus"));
    }
}

#[test]
fn a_peer_on_the_list_and_one_of_another_authority_are_refused_whatever_the_grace() {
    let pairs = two_presses(Some("press-2"));
    let (one, two) = (pairs.one.path(), pairs.two.path());
    let revoked = Err(Error::InvalidCertificate(CertificateError::Revoked));
    for at in [wall_clock(), pairs.until, pairs.until + Span::days(7), pairs.until + Span::days(4_000)] {
        let met = meet((one, grace(&["press"])), (two, grace(&["press"])), "press-2", at).0;
        assert_eq!(met, revoked, "{at}");
    }
    let others = two_presses(None);
    let late = pairs.until + Span::days(7);
    for at in [wall_clock(), late] {
        let met = meet((one, grace(&["press"])), (others.two.path(), grace(&["press"])), "press-2", at).0;
        assert!(met.is_err(), "{at}");
        assert_ne!(met, revoked, "{at}");
    }
}
