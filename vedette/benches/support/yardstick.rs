//! Kafka's own tool.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Records a second by `ConsumerPerformance`, the time of joining the group left out.
pub fn consumer_per_s(brokers: &str, topic: &str, count: u64) -> f64 {
    let output = Command::new("java")
        .args(["-Xmx512m", "-cp", &format!("{}/*", jars().display()), "org.apache.kafka.tools.ConsumerPerformance"])
        .args(["--bootstrap-server", brokers, "--topic", topic, "--messages", &count.to_string()])
        .args(["--group", &format!("yardstick-{topic}"), "--timeout", "60000"])
        .output()
        .expect("java");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // Two lines: names of the columns, then values; `fetch.nMsg.sec` leaves the rebalance out.
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(',')).collect();
    let [names, .., values] = lines[..] else {
        panic!("no figures from ConsumerPerformance: {text}{}", String::from_utf8_lossy(&output.stderr))
    };
    let column =
        names.split(',').position(|name| name.trim() == "fetch.nMsg.sec").expect("a column of fetched records");
    values.split(',').nth(column).and_then(|value| value.trim().parse().ok()).expect("a number")
}

/// Where `make kafka` puts the jars: see `tests/kafka/node.rs`.
fn jars() -> PathBuf {
    let beside = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().map(|target| target.join("kafka"));
    let default = std::env::var("HOME").ok().map(|home| Path::new(&home).join(".cache/vedette-target/kafka"));
    beside.into_iter().chain(default).find(|place| place.join(".complete").exists()).expect("run `make kafka` first")
}
