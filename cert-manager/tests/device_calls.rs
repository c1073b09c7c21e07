//! The device's calls: sealed before they are written, kept through power cuts, one chain, sent once for good.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Mutex;

use crate::common::START;
use crate::common::sim::SimDisk;
use cert_manager::agent::bundles::BundleState;
use cert_manager::agent::calls::upload::{UploadError, Uploaded, upload};
use cert_manager::agent::calls::{CallError, CallLog, ChainError, FILES_MAX, check_chain};
use cert_manager::agent::channel::{Channel, ChannelError, Identity};
use cert_manager::agent::storage::Storage;
use cert_manager::bundle::Skew;
use cert_manager::http::{Request, Response};
use cert_manager::time::{Millis, Span};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SECRET: &str = "gb29nwbk60161331926819";

fn record(n: u64) -> Vec<u8> {
    format!(
        "{{\"id\":\"c-{n}\",\"at\":{},\"session\":\"s\",\"device\":\"not-mine\",\"tool\":\"send_money\",\
         \"args\":{{\"to\":\"{SECRET}\"}},\"result\":\"sent to {SECRET}\"}}",
        START.0 + n
    )
    .into_bytes()
}

fn open(disk: SimDisk) -> CallLog<SimDisk> {
    CallLog::open(disk, &"dev-9".parse().unwrap(), [7; 32]).unwrap()
}

/// Every line on the disk, oldest first.
fn lines(disk: &SimDisk) -> Vec<u8> {
    let names = disk.names("calls").unwrap().into_iter().filter(|name| name.ends_with(".ndjson"));
    names.flat_map(|name| disk.read(&format!("calls/{name}")).unwrap().unwrap()).collect()
}

/// The other end: takes calls once by id, as `POST /v1/calls` promises, and checks the chain.
#[derive(Default)]
struct Door {
    taken: BTreeSet<String>,
    bodies: Vec<u8>,
    answers: Vec<Response>,
    lose: bool,
}

impl Channel for Door {
    fn exchange(&mut self, _: Option<&Identity>, request: &Request) -> Result<Response, ChannelError> {
        assert_eq!((request.path.as_str(), request.header("content-encoding")), ("/v1/calls", Some("gzip")));
        if let Some(answer) = self.answers.pop() {
            return Ok(answer);
        }
        let mut body = Vec::new();
        flate2::read::GzDecoder::new(request.body.as_slice()).read_to_end(&mut body).unwrap();
        for line in body.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            let call: serde_json::Value = serde_json::from_slice(line).unwrap();
            if self.taken.insert(call["id"].as_str().unwrap().to_owned()) {
                self.bodies.extend_from_slice(&[line, b"\n"].concat());
            }
        }
        match std::mem::take(&mut self.lose) {
            true => Err(ChannelError::Failed("the answer was lost".to_owned())),
            false => Ok(Response::empty(202)),
        }
    }

    fn knock(&mut self) -> bool {
        true
    }

    fn believe(&mut self, _: &[Vec<u8>], _: Millis) {}
}

#[test]
fn a_call_is_sealed_and_is_this_devices_whatever_it_says() {
    let mut log = open(SimDisk::default());
    log.model = BundleState { version: 3, stale: true, skew: Some(Skew::DeviceTooOld) };
    assert_eq!(log.push(&record(1), START).unwrap(), 1);
    log.sync().unwrap();
    let written = String::from_utf8(lines(&log.into_storage())).unwrap();
    assert!(!written.contains(SECRET), "{written}");
    let call: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!((&call["device"], &call["tool"]), (&"dev-9".into(), &"send_money".into()));
    assert_eq!(
        (&call["edge"]["model"]["skew"], &call["edge"]["model"]["stale"]),
        (&"device-too-old".into(), &true.into())
    );
}

#[test]
fn what_is_no_call_is_refused_with_its_reason_and_changes_nothing() {
    let mut log = open(SimDisk::default());
    for (bad, word) in [(&b"{"[..], "Malformed"), (b"{\"at\":1}", "Missing"), (b"[]", "WrongType")] {
        let refused = log.push(bad, START).unwrap_err();
        assert!(matches!(refused, CallError::Record(_)) && refused.to_string().contains(word), "{refused}");
    }
    assert_eq!(log.counted(), (0, 0));
    assert!(!log.waits().unwrap());
}

#[test]
fn an_altered_a_missing_and_an_inserted_line_show() {
    let mut log = open(SimDisk::default());
    for n in 1..=4 {
        log.push(&record(n), START).unwrap();
    }
    let good = lines(&log.into_storage());
    let ends = check_chain(&good).unwrap().unwrap();
    assert_eq!((ends.0.n, ends.1.n), (1, 4));
    let split: Vec<&[u8]> = good.split_inclusive(|b| *b == b'\n').collect();
    let altered =
        [split[0], &String::from_utf8_lossy(split[1]).replace("send_money", "read_inbox").into_bytes(), split[2]];
    assert_eq!(check_chain(&altered.concat()), Err(ChainError::Broken(2)));
    assert_eq!(check_chain(&[split[0], split[2]].concat()), Err(ChainError::Broken(1)));
    assert_eq!(check_chain(&[split[0], split[1], split[1]].concat()), Err(ChainError::Broken(2)));
    assert_eq!(check_chain(b"{}\n"), Err(ChainError::Malformed(0)));
}

/// Pushes calls, sends some, pushes more; gives the log and how many were acknowledged to the programs.
fn life(mut log: CallLog<SimDisk>, door: &mut Door) -> (CallLog<SimDisk>, u64) {
    let mut acknowledged = 0;
    for round in 0..3u64 {
        for n in 0..3 {
            let pushed = log.push(&record(round * 3 + n), START);
            match pushed.map_err(|_| ()).and_then(|n| log.sync().map(|()| n).map_err(|_| ())) {
                Ok(n) => acknowledged = n,
                Err(()) => return (log, acknowledged),
            }
        }
        if round < 2 {
            let shared = Mutex::new(log);
            let sent = upload(&shared, door, None);
            log = shared.into_inner().unwrap();
            if sent.is_err() {
                return (log, acknowledged);
            }
        }
    }
    (log, acknowledged)
}

#[test]
fn power_may_go_at_any_moment_and_no_acknowledged_call_is_lost() {
    let mut cuts = 0;
    for at in 1.. {
        let mut through = false;
        for seed in 0..20 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut door = Door::default();
            let mut disk = SimDisk::default();
            disk.cut_at = Some(at);
            let (disk, acknowledged) = match CallLog::open(disk.clone(), &"dev-9".parse().unwrap(), [7; 32]) {
                Err(_) => (SimDisk::default(), 0),
                Ok(log) => {
                    let (log, acknowledged) = life(log, &mut door);
                    (log.into_storage(), acknowledged)
                }
            };
            through = !disk.is_off() && acknowledged == 9;
            let mut log = open(disk.power_on(&mut rng));
            log.push(&record(99), START).unwrap_or_else(|e| panic!("cut {at} seed {seed}: {e}"));
            let shared = Mutex::new(log);
            assert!(matches!(upload(&shared, &mut door, None), Ok(Uploaded::All(_))), "cut {at} seed {seed}");
            for n in 0..acknowledged {
                assert!(door.taken.contains(&format!("c-{n}")), "cut {at} seed {seed}: call {n} of {acknowledged}");
            }
            // What arrived, repeats left out, is one chain from its first call on.
            let ends = check_chain(&door.bodies).unwrap_or_else(|e| panic!("cut {at} seed {seed}: {e}")).unwrap();
            assert_eq!((ends.0.n, ends.1.lost), (1, 0), "cut {at} seed {seed}");
            cuts += usize::from(!through);
        }
        if through {
            break;
        }
    }
    println!("{cuts} cuts: every acknowledged call arrived, in one chain");
    assert!(cuts >= 20 * 20, "{cuts} cuts");
}

#[test]
fn an_answer_that_is_lost_doubles_nothing_and_a_busy_door_is_waited_for() {
    let mut log = open(SimDisk::default());
    for n in 1..=5 {
        log.push(&record(n), START).unwrap();
    }
    let shared = Mutex::new(log);
    let mut door = Door { lose: true, ..Door::default() };
    assert!(matches!(upload(&shared, &mut door, None), Err(UploadError::Channel(_))));
    door.answers = vec![Response::empty(429).with("retry-after", "7")];
    assert_eq!(upload(&shared, &mut door, None).unwrap(), Uploaded::Later(0, Span::seconds(7)));
    door.answers = vec![Response::text(401, "who are you")];
    let refused = upload(&shared, &mut door, None).unwrap_err().to_string();
    assert_eq!(refused, "the calls were not taken: 401 who are you");
    assert_eq!(upload(&shared, &mut door, None).unwrap(), Uploaded::All(1));
    assert_eq!(door.taken.len(), 5);
    assert_eq!(check_chain(&door.bodies).unwrap().unwrap().1.n, 5);
    assert!(!shared.into_inner().unwrap().waits().unwrap());
}

#[test]
fn a_device_cut_off_for_long_keeps_the_newest_calls_and_says_how_many_it_dropped() {
    let mut log = open(SimDisk::default());
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut pushed = 0;
    while log.counted().1 == 0 {
        pushed += 1;
        // Long results make long lines: the cap is reached sooner.
        let text: String = (0..3_000).map(|_| format!("word{} ", rng.random_range(0..1_000_000))).collect();
        let record = format!(
            "{{\"id\":\"c-{pushed}\",\"at\":{},\"session\":\"s\",\"tool\":\"t\",\"result\":\"{text}\"}}",
            START.0
        );
        log.push(record.as_bytes(), START).unwrap();
        assert!(pushed < 20_000, "never full");
    }
    let (n, lost) = log.counted();
    let disk = log.into_storage();
    let kept = lines(&disk);
    let ends = check_chain(&kept).unwrap().unwrap();
    assert_eq!((ends.0.n, ends.1.n, ends.1.lost), (lost + 1, n, lost), "the oldest went, the chain holds");
    assert!(disk.names("calls").unwrap().len() <= FILES_MAX + 1, "one more for head.json");
}
