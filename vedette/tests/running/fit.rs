//! `vedette fit` from a topic by time, on a real Kafka.

use super::engine::VEDETTE;
use crate::kafka::RealKafka;
use ingest::Output;
use ingest::produce::send_all;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{Offset, TopicPartitionList};
use std::path::Path;
use std::process::Command;

/// Whether it went well, and what was said, in one line.
fn fit(folder: &Path, arguments: &str) -> (bool, String) {
    let output = Command::new(VEDETTE).arg("fit").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.success(), said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" "))
}

fn calls(topic: &str, from: u64, to: u64) -> impl Iterator<Item = Output> {
    (from..to).map(move |n| {
        let (session, seq) = (n / 4, n % 4);
        let tool = ["read", "find", "write", "send"][seq as usize];
        let payload = format!(r#"{{"at":{n},"session":"s-{session}","seq":{seq},"tool":"{tool}","args":{{"x":{n}}}}}"#);
        Output { topic: topic.to_owned(), key: format!("s-{session}").into_bytes(), payload: payload.into_bytes() }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_since_a_time_is_learned_from_and_what_is_gone_by_then_is_told() {
    let broker = RealKafka::shared();
    let folder = tempfile::tempdir().unwrap();
    let (topic, at) = (broker.topic("traffic", 1, &[]), broker.bootstrap());
    send_all(at, calls(&topic, 0, 400)).await.unwrap();
    let newest = ingest::peek::newest(at, &topic, 1).await.unwrap();
    let learn =
        |since: &str| fit(folder.path(), &format!("--brokers {at} --topic {topic} --since {since} --out model"));
    let (well, said) = learn("1h");
    assert!(well && said.contains("learned from 100 sessions, 400 calls"), "{said}");
    // Nothing is stamped after the newest record.
    let (well, said) = learn(&(newest[0].at.0 + 1).to_string());
    assert!(!well && said.contains("holds no call to learn from that is so young"), "{said}");

    let admin: AdminClient<DefaultClientContext> = broker.client().create().unwrap();
    let mut up_to = TopicPartitionList::new();
    up_to.add_partition_offset(&topic, 0, Offset::Offset(200)).unwrap();
    admin.delete_records(&up_to, &AdminOptions::new()).await.unwrap();
    let (well, said) = learn("14d");
    assert!(!well && said.contains("no longer holds all that is asked for: its oldest record is of 20"), "{said}");
    let (well, said) = fit(folder.path(), &format!("--brokers {at} --topic {topic} --out model"));
    assert!(well && said.contains("learned from 50 sessions, 200 calls"), "{said}");
    let (well, said) = fit(folder.path(), &format!("--brokers {at} --topic no-such-topic --out model"));
    assert!(!well && said.contains("no-such-topic") && said.contains("does not exist"), "{said}");
}
