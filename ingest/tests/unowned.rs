//! A static member that dies between the two halves of a rebalance, on a real Kafka: what it gave up is nobody's, and an
//! engine that looks sees to it that it gets an owner.

use crate::kafka::RealKafka;
use crate::support::{Running, assert_each_answered_once, calls};
use ingest::Partition;
use ingest::checkpoint::{Bucket, CheckpointStore};
use ingest::engine::{EngineConfig, Membership};
use ingest::owners::{Looker, Owners};
use ingest::produce::send_all;
use ingest::topics::{self, TopicSpec};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Takes what it is given, and never gives anything up: as one that is killed when it is asked to.
#[derive(Default)]
struct Doomed {
    owned: Mutex<BTreeSet<i32>>,
    asked_for: Mutex<BTreeSet<i32>>,
}

impl ClientContext for Doomed {}

impl ConsumerContext for Doomed {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        let numbers = list.elements().iter().map(|element| element.partition()).collect::<Vec<_>>();
        if error == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            list.set_all_offsets(Offset::Beginning).unwrap();
            consumer.incremental_assign(list).unwrap();
            self.owned.lock().unwrap().extend(numbers);
        } else {
            self.asked_for.lock().unwrap().extend(numbers);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_whose_owner_died_between_the_halves_of_a_rebalance_gets_another() {
    let broker = RealKafka::shared();
    let (input, verdicts, group) = (broker.unique("calls"), broker.unique("verdicts"), broker.unique("group"));
    topics::create(broker.bootstrap(), &[&input, &verdicts].map(|name| TopicSpec::new(name, 2))).await.unwrap();
    let store = Arc::new(Bucket::open("memory:").unwrap());
    let config = |name: &str, look_every| EngineConfig {
        inputs: vec![input.clone()],
        group: group.clone(),
        instance: name.to_owned(),
        membership: Membership::Static(name.to_owned()),
        look_every,
        checkpoints: Some(Arc::clone(&store) as Arc<dyn CheckpointStore>),
        ..EngineConfig::new(broker.bootstrap())
    };
    let looker = Looker::new(&broker.bootstrap().into(), &group, std::slice::from_ref(&input)).unwrap();
    // Paced by the broker: each turn is some requests and their answers.
    let settled = || loop {
        if let Owners::Settled { members, unowned } = looker.look().unwrap() {
            return (members, unowned.into_keys().collect::<Vec<_>>());
        }
    };

    // The first engine's place is held by one that will be no more when it is asked to give a partition up.
    let doomed: BaseConsumer<Doomed> = broker
        .client()
        .set("group.id", &group)
        .set("group.instance.id", "one-0")
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("session.timeout.ms", "45000")
        .set("enable.auto.commit", "false")
        .create_with_context(Doomed::default())
        .unwrap();
    // Killed: it says nothing to the group, neither now nor when the test ends.
    let doomed = ManuallyDrop::new(doomed);
    doomed.subscribe(&[&input]).unwrap();
    let until = |done: &dyn Fn(&Doomed) -> bool| {
        while !done(doomed.context()) {
            drop(doomed.poll(Duration::from_millis(20)));
        }
    };
    until(&|doomed| doomed.owned.lock().unwrap().len() == 2);
    let second = Running::start(config("two", None), &verdicts);
    until(&|doomed| doomed.asked_for.lock().unwrap().len() == 1);
    let given_up = *doomed.context().asked_for.lock().unwrap().first().unwrap();

    // The hole: it comes back under its name, both are well, and one of two partitions is nobody's.
    let of_first = config("one", None);
    let mut progress = of_first.progress();
    let first = Running::start(of_first, &verdicts);
    progress.wait_for(|progress| progress.partitions == 1).await.unwrap();
    assert_eq!(settled(), (2, vec![Partition::new(&input, given_up)]));
    first.stop().await;

    // The same once more, and it looks.
    let of_first = config("one", Some(Duration::from_millis(100)));
    let meters = Arc::clone(&of_first.meters);
    let first = Running::start(of_first, &verdicts);
    send_all(broker.bootstrap(), calls(&input, 20, 10)).await.unwrap();
    assert_each_answered_once(broker.bootstrap(), &verdicts, 20, 10).await;
    while settled() != (2, vec![]) {}
    assert!(meters.rejoins_forced() > 0);
    first.stop().await;
    second.stop().await;
}
