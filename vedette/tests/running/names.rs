//! Two engines of one static name.

use super::engine::{Engine, ready};
use super::verdicts;
use crate::kafka::RealKafka;
use ingest::read_back::Reader;
use schema::topics;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_engines_with_one_static_name_one_goes_on_and_the_other_says_why_it_does_not() {
    let broker = RealKafka::start();
    ingest::topics::create(broker.bootstrap(), &vedette::topics::with_partitions(2)).await.unwrap();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let start = |at: usize, ready: fn(&str) -> bool| {
        let settings = format!("instance = \"{at}\"\n[kafka]\ngroup_instance_id = \"press\"");
        Engine::start(folders[at].path(), broker.bootstrap(), &settings, ready)
    };
    let mut first = start(0, ready);
    let second = start(1, ready);
    let (status, said) = first.ended(folders[0].path());
    assert_eq!(status.code(), Some(78), "{said}");
    let said = said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    for words in ["another engine runs as `press`", "give each its own `engine.instance`", "`kafka.group_instance_id`"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    // The one that goes on has all of the work.
    let (status, answer) = second.post("", b"{\"id\":\"c-1\",\"at\":1,\"session\":\"s\",\"tool\":\"t\"}\n");
    assert_eq!(status, 202, "{answer}");
    let mut judged = Reader::start(broker.bootstrap(), topics::VERDICTS).await.unwrap();
    assert_eq!(verdicts(&mut judged, 1).await[0].id.as_str(), "c-1");
    second.stop();
}
