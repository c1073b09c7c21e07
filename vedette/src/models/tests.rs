//! Announcements, and a partition under one model after the other.

use super::*;
use crate::commands::{fit, replay};
use crate::operator::Judge;
use crate::pipeline::Parts;
use crate::source::{Loaded, Selection};
use ingest::checkpoint::{Entries, Scope};
use ingest::{Operator as _, Outputs};
use schema::DeadLetter;
use std::path::Path;

const AT: u64 = 1_795_343_040_000;

fn record(key: &str, payload: &str) -> Record {
    Record {
        topic: topics::MODELS.into(),
        partition: 0,
        offset: 7,
        at: Millis(AT),
        key: Some(key.as_bytes().to_vec()),
        payload: payload.as_bytes().to_vec(),
    }
}

fn of(output: Output) -> Record {
    Record { key: Some(output.key), payload: output.payload, ..record("", "") }
}

/// A world and two models of it, the newer one as a file has it, too.
fn models() -> (Loaded, [Arc<Detector>; 2], Vec<u8>) {
    let (set, _) = datasets::world::generate(3, 240);
    let loaded = Loaded { set, sequences: false };
    let selection = Selection { split: crate::cli::Split::Train, ..Selection::default() };
    let sessions = fit::sealed(&loaded, &selection, &crate::key::for_data_sets()).unwrap();
    let [old, new] = [7, 8].map(|seed| fit::learn(&sessions, seed).unwrap());
    assert_ne!(old.digest(), new.digest());
    let bytes = new.to_bytes();
    (loaded, [old, new].map(|model| Arc::new(Detector::new(model))), bytes)
}

fn parts(detector: &Arc<Detector>) -> Arc<Parts> {
    let parts = crate::parts::for_data_sets(&crate::config::Config::default(), Detector::learning()).unwrap();
    Arc::new(Parts { detector: Arc::clone(detector), ..(*parts).clone() })
}

fn group(base: &Arc<Detector>) -> Arc<Models> {
    Arc::new(Models::new("g", TenantKey::new([7; 32]), Arc::clone(base), None))
}

#[test]
fn a_takeover_folds_again_under_the_models_that_were_in_force() {
    let (loaded, [old, new], _) = models();
    let partition = Partition::new(topics::CALLS, 0);
    let calls: Vec<Record> = loaded
        .set
        .calls
        .iter()
        .take(300)
        .zip(0..)
        .map(|(call, offset)| {
            let output = replay::record(call);
            Record {
                topic: topics::CALLS.into(),
                partition: 0,
                offset,
                at: call.at,
                key: None,
                payload: output.payload,
            }
        })
        .collect();
    let swap = 120_i64;

    // Live: announced in the middle of a batch, taken up with the first record of the next.
    let live = group(&old);
    let mut judge = Judge::new(parts(&old)).under(Some(live.of(&partition))).kept();
    judge.begin(0, 0);
    let mut said = Vec::new();
    for call in &calls {
        if call.offset == swap - 5 {
            live.current.store(Arc::clone(&new));
        }
        if call.offset == swap {
            judge.complete(&mut Outputs::default());
        }
        let mut out = Outputs::default();
        judge.apply(call, &mut out);
        said.extend(out.iter().map(|output| (call.offset, output.to_output())));
    }
    assert_eq!(live.changes(), 1);
    let verdicts = said.iter().filter(|(_, output)| output.topic == topics::VERDICTS);
    for (offset, output) in verdicts {
        let verdict: schema::Verdict = serde_json::from_slice(&output.payload).unwrap();
        let in_force = if *offset < swap { &old } else { &new };
        assert_eq!(verdict.model, in_force.digest(), "offset {offset}");
    }
    let changes: Vec<Record> =
        said.into_iter().filter(|(_, output)| output.topic == topics::MODELS).map(|(_, output)| of(output)).collect();
    assert_eq!(changes.len(), 2, "where the partition began, and the swap");

    // Taken over by a process that was started with the new model and knows what was said of the partition. (The old
    // one it has to have from somewhere: in an engine, from its file.)
    let folded = |changes: &[Record]| {
        let successor = group(&new);
        {
            let mut known = successor.known();
            known.loaded.insert(old.digest(), Arc::clone(&old));
            successor.take_in(&mut known, changes);
        }
        let mut judge = Judge::new(parts(&new)).under(Some(successor.of(&partition))).kept();
        judge.begin(0, calls.len() as i64);
        for call in &calls {
            judge.apply(call, &mut Outputs::default());
            judge.complete(&mut Outputs::default());
        }
        assert_eq!(judge.model(), Some(new.digest()));
        assert_eq!(successor.changes(), 0, "nothing is taken up in silence");
        Entries::folded([&judge.entries(Scope::All)])
    };
    judge.complete(&mut Outputs::default());
    let left = Entries::folded([&judge.entries(Scope::All)]);
    assert!(folded(&changes) == left, "the same to the byte");
    assert!(folded(&[]) != left, "which the new model alone does not leave");
    let of_others: Vec<Record> = changes
        .iter()
        .map(|change| Record { key: Some([change.key.as_deref().unwrap(), b"2"].concat()), ..change.clone() })
        .collect();
    assert!(folded(&of_others) != left, "what another group says of the partition is none of ours");
}

#[test]
fn what_is_not_what_it_says_or_is_older_is_refused_and_the_last_good_model_stays() {
    let (_, [old, new], bytes) = models();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new");
    std::fs::write(&path, &bytes).unwrap();
    let models = group(&old);
    let take = |records: &[Record]| {
        let mut known = models.known();
        models.take_in(&mut known, records);
        std::mem::take(&mut known.letters)
    };
    let mut refused = 0;
    let mut check = |record: Record, word: &str| {
        let letters = take(&[record]);
        refused += 1;
        let letter: DeadLetter = serde_json::from_slice(&letters[0].payload).unwrap();
        assert!(letter.detail.contains(word), "{word}: {letter:?}");
        assert_eq!((letter.reason, letter.topic.as_str(), letter.offset), (DeadReason::Refused, topics::MODELS, 7));
        assert_eq!(models.refused(), refused);
    };
    let good = |at| announcement(new.digest(), &path, Millis(at));
    check(record("model/x", "{"), "no announcement");
    check(record("model/x", &String::from_utf8(good(AT).payload).unwrap()), "its key names another");
    check(of(announcement(new.digest(), Path::new("near/by"), Millis(AT))), "no path of a file on this machine");
    check(of(announcement(new.digest(), Path::new("/no/such/file"), Millis(AT))), "cannot be read");
    check(of(announcement(old.digest(), &path, Millis(AT))), "its file has the digest sha256:");
    let torn = folder.path().join("torn");
    std::fs::write(&torn, &bytes[..bytes.len() - 1]).unwrap();
    check(of(announcement(Digest::of(&bytes[..bytes.len() - 1]), &torn, Millis(AT))), "cannot be used");
    assert_eq!(models.current().digest(), old.digest(), "the last good one stays");

    let guarded = Models {
        trust: folder.path().join("no-root.json"),
        ..Models::new("g", TenantKey::new([7; 32]), Arc::clone(&old), None)
    };
    guarded.take_in(&mut guarded.known(), &[of(good(AT))]);
    assert_eq!((guarded.current().digest(), guarded.refused()), (old.digest(), 1), "what nobody signed");

    assert!(take(&[of(good(AT))]).is_empty());
    assert_eq!(models.current().digest(), new.digest());
    check(of(good(AT - 1)), "announced before the one in force");
    assert!(take(&[of(good(AT + 1))]).is_empty(), "the same again, later, is no fault");
}
