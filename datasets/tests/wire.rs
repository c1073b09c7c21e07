//! A loaded call can be sent: as a native record it is read back as the same call, so a set scores the same from a file and
//! through Kafka.

use datasets::{Dataset, View, load, world};
use schema::decode::{Received, native};
use schema::{Millis, TenantKey, seal};
use std::path::PathBuf;

/// A clock that every set's times lie behind.
const NOW: Millis = Millis(1_795_343_040_062);

/// Sends every `step`th call of `set`.
fn check(set: &Dataset, step: usize) {
    let key = TenantKey::new([7; 32]);
    let received = |n: usize| Received { at: NOW, id: format!("agent.calls/0/{n}") };
    for (n, call) in set.calls.iter().enumerate().step_by(step) {
        let bytes = native::encode(call);
        let again =
            native::decode(&bytes, &received(n)).unwrap_or_else(|error| panic!("{}: {}", call.id, error.detail));
        assert_eq!(seal(&again, &key), seal(call, &key), "{}", call.id);
    }
}

#[test]
fn a_generated_set_survives_the_wire() {
    check(&world::generate(41, 200).0, 1);
}

#[test]
fn the_published_sets_survive_the_wire() {
    let named = std::env::var_os("VEDETTE_DATA");
    if named.as_deref() == Some("none".as_ref()) {
        eprintln!("not run: VEDETTE_DATA=none, so no published sets are read");
        return;
    }
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let folder = named.map_or(here, PathBuf::from);
    let sets = [
        ("agentdojo", 5),
        ("taubench_airline", 1),
        ("cloudtrail_s3_exfil", 1),
        ("s3_honeybucket", 1),
        ("hdfs_100k", 50),
    ];
    for (name, step) in sets {
        let set = load(&folder, name, &View::default());
        let hint = "set VEDETTE_DATA to the folder of the data sets, or to `none`";
        check(&set.unwrap_or_else(|error| panic!("{error}; {hint}")), step);
    }
}
