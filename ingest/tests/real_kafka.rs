//! What every later test against a real Kafka takes for granted, shown once on the broker the harness starts.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::kafka::RealKafka;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

/// Longest any single wait may take before the test fails; an answer normally takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn a_thousand_calls_go_in_and_the_same_thousand_come_out() {
    let broker = RealKafka::shared();
    let topic = broker.topic("calls", 4, &[]);
    let producer: BaseProducer = broker.client().create().unwrap();

    let sent: BTreeSet<String> = (0..1_000).map(|n| format!("call {n}")).collect();
    send(&producer, &topic, &sent);
    producer.flush(PATIENCE).unwrap();

    assert_eq!(read(broker, &topic, "read_committed", sent.len()), sent);
}

#[test]
fn an_aborted_transaction_is_never_seen_by_a_committed_reader() {
    let broker = RealKafka::shared();
    let topic = broker.topic("verdicts", 1, &[]);
    let producer: BaseProducer = broker.client().set("transactional.id", broker.unique("slot")).create().unwrap();
    producer.init_transactions(PATIENCE).unwrap();
    let batch = |name: &str| -> BTreeSet<String> { (0..100).map(|n| format!("{name} {n}")).collect() };
    let (first, aborted, second) = (batch("first"), batch("aborted"), batch("second"));

    for committed in [&first, &second] {
        producer.begin_transaction().unwrap();
        send(&producer, &topic, committed);
        producer.commit_transaction(PATIENCE).unwrap();
        if committed == &first {
            producer.begin_transaction().unwrap();
            send(&producer, &topic, &aborted);
            // Written to the log before the abort, or there would be nothing to hide.
            producer.flush(PATIENCE).unwrap();
            producer.abort_transaction(PATIENCE).unwrap();
        }
    }

    let committed: BTreeSet<String> = first.union(&second).cloned().collect();
    assert_eq!(read(broker, &topic, "read_committed", committed.len()), committed);
    let everything: BTreeSet<String> = committed.union(&aborted).cloned().collect();
    assert_eq!(read(broker, &topic, "read_uncommitted", everything.len()), everything);
}

#[test]
fn a_broker_of_ones_own_can_be_taken_away() {
    let broker = RealKafka::start();
    let bootstrap = broker.bootstrap().to_owned();
    drop(broker);
    assert!(std::net::TcpStream::connect(bootstrap).is_err(), "the port still answers");
}

fn send(producer: &BaseProducer, topic: &str, payloads: &BTreeSet<String>) {
    for payload in payloads {
        producer.send(BaseRecord::<str, str>::to(topic).payload(payload).key(payload)).unwrap();
    }
}

/// Reads `topic` from its start until `count` distinct payloads are in and every partition's end is reached.
fn read(broker: &RealKafka, topic: &str, isolation: &str, count: usize) -> BTreeSet<String> {
    let consumer: BaseConsumer = broker
        .client()
        .set("group.id", broker.unique("reader"))
        .set("auto.offset.reset", "earliest")
        .set("isolation.level", isolation)
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let partitions = consumer.fetch_metadata(Some(topic), PATIENCE).unwrap().topics()[0].partitions().len();

    let (mut seen, mut ended) = (BTreeSet::new(), BTreeSet::new());
    let started = Instant::now();
    while seen.len() < count || ended.len() < partitions {
        assert!(started.elapsed() < PATIENCE, "{} of {count} records after {PATIENCE:?}", seen.len());
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => {
                seen.insert(message.payload_view::<str>().unwrap().unwrap().to_owned());
            }
            Some(Err(rdkafka::error::KafkaError::PartitionEOF(partition))) => {
                ended.insert(partition);
            }
            Some(Err(error)) => panic!("cannot read `{topic}`: {error}"),
        }
    }
    seen
}
