//! The yardstick: the least a transactional consumer can do, tuned as well as we know. One thread takes records, parses
//! them and hands an answer of a verdict's size to the producer; every `BATCH` records the offsets join the transaction.

use crate::kafka::RealKafka;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Message, Offset};
use std::io::Write as _;
use std::time::{Duration, Instant};

/// Records a transaction (KAFKA.md measured 1,000 to 50,000).
const BATCH: u64 = 30_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// What the echo reads of a call.
#[derive(serde::Deserialize)]
struct Call<'a> {
    id: &'a str,
    session: &'a str,
    tool: &'a str,
    at: u64,
}

/// Echoes the `count` records of `input` into `output`, again and again until `least` is over; records a second, joining
/// the group and the first fetch left out.
pub fn per_s(broker: &RealKafka, input: &str, output: &str, count: u64, least: Duration) -> f64 {
    let (mut seconds, mut records) = (0.0, 0);
    while seconds < least.as_secs_f64() {
        seconds += once(broker, input, output, count);
        records += count;
    }
    records as f64 / seconds
}

fn once(broker: &RealKafka, input: &str, output: &str, count: u64) -> f64 {
    let group = broker.unique("echo");
    let consumer: BaseConsumer = broker
        .client()
        .set("group.id", &group)
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("queued.max.messages.kbytes", "65536")
        .set("fetch.queue.backoff.ms", "2")
        .create()
        .expect("a consumer");
    let producer: ThreadedProducer<DefaultProducerContext> = broker
        .client()
        .set("transactional.id", &group)
        .set("compression.type", "lz4")
        .set("linger.ms", "5")
        .set("batch.num.messages", "100000")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "500000")
        .create()
        .expect("a producer");
    producer.init_transactions(PATIENCE).expect("transactions");
    consumer.subscribe(&[input]).expect("a subscription");

    let (mut started, mut done, mut in_batch) = (None, 0, 0);
    let mut answer = Vec::with_capacity(512);
    while done + in_batch < count {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.expect("a record");
        started.get_or_insert_with(Instant::now);
        if in_batch == 0 {
            producer.begin_transaction().expect("a transaction");
        }
        let call: Call<'_> = serde_json::from_slice(message.payload().expect("a payload")).expect("a call");
        answer.clear();
        let Call { id, session, tool, at } = call;
        write!(
            answer,
            r#"{{"v":1,"id":"{id}","session":"{session}","how":"explicit","sure":1.0,"risk":0.0312,"p_value":0.5121,"pattern":"none","model":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","tool":"{tool}","at":{at},"exposed":false,"evidence":[]}}"#
        )
        .expect("memory");
        producer
            .send(BaseRecord::<[u8], [u8]>::to(output).key(session.as_bytes()).payload(&answer))
            .map_err(|(error, _)| error)
            .expect("room in the queue");
        in_batch += 1;
        if in_batch == BATCH || done + in_batch == count {
            commit(&consumer, &producer);
            (done, in_batch) = (done + in_batch, 0);
        }
    }
    started.expect("a start").elapsed().as_secs_f64()
}

fn commit(consumer: &BaseConsumer, producer: &ThreadedProducer<DefaultProducerContext>) {
    // flush() and commit_transaction() wait up to 100 ms when they find a record in flight.
    while producer.in_flight_count() > 0 {
        std::thread::sleep(Duration::from_micros(200));
    }
    let mut offsets = consumer.position().expect("positions");
    let known: Vec<_> = offsets.elements().iter().map(|e| (e.topic().to_owned(), e.partition(), e.offset())).collect();
    offsets = rdkafka::TopicPartitionList::new();
    for (topic, partition, offset) in known.iter().filter(|(.., offset)| matches!(offset, Offset::Offset(_))) {
        offsets.add_partition_offset(topic, *partition, *offset).expect("an offset");
    }
    let group = consumer.group_metadata().expect("a group");
    producer.send_offsets_to_transaction(&offsets, &group, PATIENCE).expect("offsets sent");
    producer.commit_transaction(PATIENCE).expect("a commit");
}
