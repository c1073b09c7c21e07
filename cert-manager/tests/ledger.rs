//! The ledger keeps one line per device: honest devices never trip it, clones always do.

use std::collections::{HashMap, HashSet};

use crate::common::{Device, Pending, START, office};
use cert_manager::Digest;
use cert_manager::device::RequestId;
use cert_manager::ledger::line::{Head, Seen};
use cert_manager::ledger::rules::{Ask, ClassPolicy, Memory};
use cert_manager::ledger::{
    Answer, Credential, Grant, Job, Ledger, Line, Refusal, Ruling, Standing, Token, rule, token_hash,
};
use cert_manager::receipt::Receipt;
use cert_manager::risk::Risk;
use cert_manager::time::{Millis, Span};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

#[test]
fn a_reply_lost_after_commit_is_answered_with_the_same_bytes_a_thousand_times() {
    let (ledger, office) = (Ledger::in_memory().unwrap(), office());
    let mut device = Device::enrol("dev-9", &ledger, &office, START);
    let mut serials = HashSet::new();
    for round in 0..1_000u128 {
        let now = START + Span::minutes(round as u64);
        device.pending = Some(Pending::new(round));
        let lost = ledger.apply(&[device.renewal()], &office, now).unwrap().remove(0);
        let again = ledger.apply(&[device.renewal()], &office, now + Span::seconds(5)).unwrap().remove(0);
        assert_eq!(lost, again, "round {round}");
        assert!(device.take(&again));
        assert!(serials.insert(device.receipt.as_ref().unwrap().receipt().serial.clone()));
    }
    assert_eq!(ledger.evidence().unwrap(), []);
    assert_eq!(ledger.receipts(&device.name).unwrap().len(), 1_001);
}

#[test]
fn the_receipts_of_a_device_are_one_signed_chain() {
    let (ledger, office) = (Ledger::in_memory().unwrap(), office());
    let mut device = Device::enrol("dev-9", &ledger, &office, START);
    for round in 0..5 {
        device.renew(round, &ledger, &office, START);
    }
    let mut prev = Digest::ZERO;
    for (n, receipt) in (1..).zip(ledger.receipts(&device.name).unwrap()) {
        let said = receipt.verify(&[office.receipts.public()]).unwrap();
        assert_eq!((said.n, said.prev), (n, prev));
        prev = receipt.hash();
    }
}

#[test]
fn a_thousand_clones_are_found_by_the_second_partys_first_renewal() {
    let (ledger, office) = (Ledger::in_memory().unwrap(), office());
    for seed in 0..1_000u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut original = Device::enrol(&format!("dev-{seed}"), &ledger, &office, START);
        let mut request = u128::from(seed) << 32;
        let mut next = || {
            request += 1;
            request
        };
        for _ in 0..rng.random_range(0..4) {
            original.renew(next(), &ledger, &office, START);
        }
        let mut parties = [original.clone(), original];
        let first = rng.random_range(0..2);
        // The first party goes on as often as it likes, then the other one renews for the first time.
        for _ in 0..rng.random_range(1..4) {
            let answer = parties[first].renew(next(), &ledger, &office, START);
            assert!(matches!(answer, Answer::Issued { .. }), "seed {seed}");
        }
        let caught = parties[1 - first].renew(next(), &ledger, &office, START);
        assert_eq!(caught, Answer::Refused(Refusal::Forked), "seed {seed}");
        let after = parties[first].renew(next(), &ledger, &office, START);
        assert_eq!(after, Answer::Refused(Refusal::Forked), "seed {seed}: both parties stop");
    }
    assert_eq!(ledger.evidence().unwrap().len(), 1_000);
}

#[test]
fn ten_thousand_devices_come_back_at_once_after_expiry_and_none_is_lost() {
    const BATCH: usize = 128;
    let (ledger, office) = (Ledger::in_memory().unwrap(), office());
    let mut devices: Vec<Device> =
        (0..10_000).map(|n| Device::enrol(&format!("dev-{n}"), &ledger, &office, START)).collect();
    let now = START + Span::days(200);
    for (n, device) in devices.iter_mut().enumerate() {
        device.pending = Some(Pending::new(n as u128 + (1 << 64)));
    }
    let mut serials = HashSet::new();
    for part in devices.chunks_mut(BATCH) {
        // Every third answer of the batch is lost: those devices ask again with the same id.
        let jobs: Vec<Job> = part.iter().map(Device::renewal).collect();
        let first = ledger.apply(&jobs, &office, now).unwrap();
        let lost: Vec<Job> = jobs.into_iter().step_by(3).collect();
        let again = ledger.apply(&lost, &office, now + Span::minutes(1)).unwrap();
        assert!(first.iter().step_by(3).eq(again.iter()));
        for (device, answer) in part.iter_mut().zip(&first) {
            assert!(device.take(answer), "{}: {answer:?}", device.name);
            assert!(serials.insert(device.receipt.as_ref().unwrap().receipt().serial.clone()));
            assert_eq!(device.until, now + Span::hours(24), "a day to come back in");
        }
    }
    assert_eq!((serials.len(), ledger.evidence().unwrap()), (10_000, vec![]));
}

/// A server of rules alone, without certificates, so that 100,000 runs take seconds.
struct Server {
    line: Line,
    seen: HashMap<RequestId, Seen>,
    keys: HashSet<Digest>,
}

impl Server {
    fn renew(&mut self, ask: &Ask, now: Millis) -> Ruling {
        let memory = Memory {
            seen: self.seen.get(&ask.request).cloned(),
            knows_by: self.keys.contains(&ask.by),
            knows_new_key: self.keys.contains(&ask.new_key),
        };
        let ruling = rule(&self.line, ask, &memory, &ClassPolicy::default(), Risk::Green, now);
        if let Ruling::Issue(grant) = ruling {
            let n = self.line.head.n + 1;
            let receipt = receipt(&self.line, ask.new_key, n, now + ClassPolicy::default().life(grant), now);
            self.line.advance(&receipt, Digest::of(&n.to_be_bytes()), grant == Grant::Quarantine);
            self.keys.insert(ask.new_key);
            let device = self.line.device.clone();
            self.seen.insert(ask.request, Seen { request: ask.request, device, by: ask.by, new_key: ask.new_key, n });
        }
        ruling
    }
}

fn receipt(line: &Line, key: Digest, n: u64, not_after: Millis, now: Millis) -> Receipt {
    Receipt {
        device: line.device.clone(),
        n,
        prev: line.head.hash,
        key,
        serial: cert_manager::facts::Serial::new(&(n + 1).to_be_bytes()).unwrap(),
        not_after,
        server_time: now,
        trust_version: 1,
        bundle_version: 0,
        risk: Risk::Green,
    }
}

#[test]
fn a_hundred_thousand_honest_runs_with_crashes_raise_no_alarm() {
    for seed in 0..100_000u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut line = Line::new("dev-9".parse().unwrap(), "default");
        let key = |n: u64| Digest::of(&[seed.to_be_bytes(), n.to_be_bytes()].concat());
        let first = receipt(&line, key(1), 1, START + Span::days(90), START);
        line.advance(&first, Digest::of(&1u64.to_be_bytes()), false);
        let mut server = Server { line, seen: HashMap::new(), keys: [key(1)].into() };
        let (mut held, mut until, mut now) = (1u64, START + Span::days(90), START);
        for try_ in 0..6u64 {
            now = now + Span::days(rng.random_range(1..120));
            let request = RequestId(u128::from(try_).to_be_bytes());
            let head = Head { n: held, hash: Digest::of(&held.to_be_bytes()) };
            let ask = Ask { request, by: key(held), by_until: until, new_key: key(held + 1), head: Some(head) };
            // A crash before sending, a lost request, a lost reply: then the same request again.
            for _ in 0..rng.random_range(0..3) {
                if rng.random_bool(0.5) {
                    assert_ne!(server.renew(&ask, now), Ruling::Fork, "seed {seed}");
                }
                now = now + Span::minutes(rng.random_range(1..600));
            }
            match server.renew(&ask, now) {
                Ruling::Issue(_) | Ruling::Replay => {
                    held += 1;
                    until = server.line.not_after;
                }
                Ruling::Refuse(Refusal::BudgetSpent) => break,
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        assert_eq!(server.line.standing, Standing::Good, "seed {seed}");
    }
}

#[test]
fn revoke_then_expire_then_tidy_then_renew_is_refused() {
    let (ledger, office) = (Ledger::in_memory().unwrap(), office());
    let mut device = Device::enrol("dev-9", &ledger, &office, START);
    ledger.revoke(&device.name, "stolen", START + Span::days(1)).unwrap();
    let later = START + Span::days(600);
    assert_eq!(ledger.tidy(later).unwrap(), 1);
    let answer = device.renew(7, &ledger, &office, later);
    assert_eq!(answer, Answer::Refused(Refusal::Revoked));
    assert_eq!(ledger.revocations().unwrap().len(), 1, "the revocation outlives the certificate");
}

#[test]
fn a_token_works_once_for_its_device_until_its_time() {
    let (ledger, office) = (Ledger::in_memory().unwrap(), office());
    let token = |device: Option<&str>, voucher| {
        let device = device.map(|d| d.parse().unwrap());
        let token = Token { device, class: "default".into(), until: START, voucher, spent_by: None };
        token_hash(ledger.token(&token).unwrap().expose())
    };
    let mut request = 0u128;
    let mut enrol = |device: &str, hash, now| {
        request += 1;
        let pending = Pending::new(request);
        let job = Job::Enrol {
            device: device.parse().unwrap(),
            request: pending.request,
            credential: Credential::Token(hash),
            new_key: pending.key,
            spki: pending.spki,
        };
        let first = ledger.apply(std::slice::from_ref(&job), &office, now).unwrap().remove(0);
        let again = ledger.apply(&[job], &office, now).unwrap().remove(0);
        assert_eq!(first, again, "the same request gets the same answer");
        first
    };
    let refused = |refusal| Answer::Refused(refusal);
    let bound = token(Some("dev-1"), false);
    assert_eq!(enrol("dev-2", bound, START), refused(Refusal::Credential));
    assert_eq!(enrol("dev-1", bound, START + Span(1)), refused(Refusal::Credential));
    assert!(matches!(enrol("dev-1", bound, START), Answer::Issued { .. }));
    assert_eq!(enrol("dev-1", bound, START), refused(Refusal::Credential), "spent");
    assert_eq!(enrol("dev-1", token(None, false), START), refused(Refusal::AlreadyEnrolled));
    assert!(matches!(enrol("dev-1", token(Some("dev-1"), true), START), Answer::Issued { .. }), "a voucher");
    assert_eq!(enrol("dev-3", token_hash("guess"), START), refused(Refusal::Credential));
}

#[test]
fn an_operator_gets_a_forked_a_late_and_a_revoked_device_back() {
    let (ledger, office) = (Ledger::in_memory().unwrap(), office());
    // Forked: approve the key to believe.
    let mut original = Device::enrol("dev-1", &ledger, &office, START);
    let mut clone = original.clone();
    original.renew(1, &ledger, &office, START);
    assert_eq!(clone.renew(2, &ledger, &office, START), Answer::Refused(Refusal::Forked));
    ledger.approve(&original.name, original.key).unwrap();
    assert_eq!(clone.renew(3, &ledger, &office, START), Answer::Refused(Refusal::Forked));
    assert!(matches!(original.renew(4, &ledger, &office, START), Answer::Issued { .. }));
    assert_eq!(original.until, START + Span::hours(24), "back in quarantine first");
    assert!(matches!(original.renew(5, &ledger, &office, START), Answer::Issued { .. }));
    assert_eq!(original.until, START + Span::days(90));
    // Too late: approve.
    let mut late = Device::enrol("dev-2", &ledger, &office, START);
    let years = START + Span::days(5 * 365);
    assert_eq!(late.renew(6, &ledger, &office, years), Answer::Refused(Refusal::OutsideWindow));
    ledger.approve(&late.name, late.key).unwrap();
    assert!(matches!(late.renew(7, &ledger, &office, years), Answer::Issued { .. }));
    assert_eq!(
        ledger.approve(&"nobody".parse().unwrap(), late.key).unwrap_err().to_string(),
        "no device `nobody` in the ledger"
    );
}

#[test]
fn a_ledger_from_an_old_backup_knows_honest_devices_by_their_newer_receipts() {
    let office = office();
    let folder = tempfile::tempdir().unwrap();
    let (live, old) = (folder.path().join("ledger"), folder.path().join("backup"));
    let ledger = Ledger::open(&live).unwrap();
    let mut early = Device::enrol("early", &ledger, &office, START);
    drop(ledger);
    std::fs::copy(&live, &old).unwrap();
    let ledger = Ledger::open(&live).unwrap();
    let mut stale = early.clone();
    early.renew(1, &ledger, &office, START);
    early.renew(2, &ledger, &office, START);
    let mut newcomer = Device::enrol("newcomer", &ledger, &office, START);
    drop(ledger);
    let restored = Ledger::open(&old).unwrap();
    assert!(matches!(early.renew(3, &restored, &office, START), Answer::Issued { .. }));
    assert!(matches!(newcomer.renew(4, &restored, &office, START), Answer::Issued { .. }));
    assert_eq!(early.receipt.as_ref().unwrap().receipt().n, 4);
    assert_eq!(stale.renew(5, &restored, &office, START), Answer::Refused(Refusal::Forked), "a clone is still found");
}

#[test]
fn a_receipt_that_is_forged_or_another_devices_is_refused_and_disturbs_nobody() {
    let (ledger, office) = (Ledger::in_memory().unwrap(), office());
    let mut device = Device::enrol("dev-1", &ledger, &office, START);
    let neighbour = Device::enrol("dev-2", &ledger, &office, START);
    let own = device.receipt.clone();
    let thief = cert_manager::sign::SigningKey::generate().unwrap();
    let mut forged = own.clone().unwrap().receipt().clone();
    forged.n = 9;
    for shown in [neighbour.receipt.clone().unwrap(), forged.sign(&thief)] {
        device.receipt = Some(shown);
        assert_eq!(device.renew(1, &ledger, &office, START), Answer::Refused(Refusal::Receipt));
    }
    device.receipt = own;
    assert!(matches!(device.renew(2, &ledger, &office, START), Answer::Issued { .. }));
}
