//! A model learned from a topic, in one sitting or two, and the same sessions on file.

use crate::world::{World, gzip, said};
use datasets::{Split, View};
use ingest::mock::MockKafka;
use ingest::produce::send_all;
use ingest::topics::TopicSpec;
use schema::RawCall;
use serde_json::json;
use vedette::commands::replay::record;

/// The built-in world's honest sessions as a set of files, in the order of their first calls; their calls as they come.
fn set(world: &World) -> Vec<RawCall> {
    let (set, _) = datasets::world::generate(3, 240);
    let mut sessions: Vec<Vec<&RawCall>> = set
        .calls_by_session()
        .into_iter()
        .filter(|(meta, calls)| meta.split == Split::Train && !calls.is_empty())
        .map(|(_, calls)| calls.into_iter().map(|index| &set.calls[index]).collect())
        .collect();
    sessions.sort_by_key(|calls| (calls[0].at, calls[0].session.to_string()));
    let meta = |calls: &Vec<&RawCall>| json!({"session": calls[0].session, "split": "train"}).to_string();
    gzip(&world.path(""), "desk.sessions", sessions.iter().map(meta));
    let line = |call: &&RawCall| {
        json!({
            "session": call.session, "seq": call.seq, "ts_ms": call.at.0, "agent": call.agent, "app": call.app,
            "principal": call.principal, "tool": call.tool, "args": call.args, "status": call.status,
            "result_bytes": call.result_bytes, "result": call.result,
        })
        .to_string()
    };
    gzip(&world.path(""), "desk.calls", sessions.iter().flatten().map(line));
    let set = datasets::load(&world.path(""), "desk", &View::default()).unwrap();
    let order = datasets::replay::stream(&set, &datasets::replay::Faults::default());
    order.into_iter().map(|(_, index)| set.calls[index].clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_and_the_same_sessions_on_file_give_one_model_to_the_byte() {
    let world = World::new();
    let calls = set(&world);
    std::fs::write(world.path("vedette.toml"), "[seal]\nkey_file = \"key\"\n").unwrap();
    world.ok("fit --data @ --set desk --out @of_file", &[]);
    let broker = MockKafka::start(&[TopicSpec::new("agent.calls", 3)]).unwrap();
    send_all(broker.bootstrap(), calls.iter().map(record)).await.unwrap();

    let brokers = ["--brokers", broker.bootstrap()];
    world.ok("fit --topic agent.calls --out @of_topic", &brokers);
    assert!(world.read("of_topic") == world.read("of_file"), "the models differ");
    assert!(!world.path("of_topic.reading").exists());

    // Interrupted: the model cannot be written, then half of what was read is lost with the machine; and more calls come.
    std::fs::create_dir(world.path("again.part")).unwrap();
    world.refused("fit --topic agent.calls --out @again", &brokers);
    std::fs::remove_dir(world.path("again.part")).unwrap();
    let kept = world.read("again.reading");
    let text = String::from_utf8(kept.clone()).unwrap();
    let values = calls.iter().flat_map(|call| call.args.as_object().into_iter().flatten());
    let words: Vec<&str> = values.filter_map(|(_, value)| value.as_str()).filter(|word| word.len() > 9).collect();
    assert!(words.len() > 100 && words.iter().all(|word| !text.contains(word)), "an argument is in the file");
    std::fs::write(world.path("again.reading"), &kept[..kept.len() / 2]).unwrap();
    let late = calls.iter().take(40).map(|call| {
        let mut call = call.clone();
        call.session = "late".parse().unwrap();
        record(&call)
    });
    send_all(broker.bootstrap(), late).await.unwrap();
    let output = world.run("fit --topic agent.calls --out @again", &brokers);
    assert!(output.status.success() && said(&output).contains("going on with the reading"), "{}", said(&output));
    assert!(world.read("again") == world.read("of_file"), "the models differ");
    assert!(!world.path("again.reading").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_is_not_there_or_holds_nothing_is_refused_with_what_to_do() {
    let world = World::new();
    let broker = MockKafka::start(&[TopicSpec::new("agent.calls", 3)]).unwrap();
    let brokers = ["--brokers", broker.bootstrap()];
    let said = world.refused("fit --topic agent.calls --out @model", &brokers);
    assert!(said.contains("`agent.calls` holds no call to learn from") && said.contains("vedette inspect"), "{said}");
    let bad = ingest::Output { topic: "agent.calls".to_owned(), key: vec![], payload: b"{".to_vec() };
    send_all(broker.bootstrap(), [bad]).await.unwrap();
    let said = world.refused("fit --topic agent.calls --out @model", &brokers);
    assert!(said.contains("1 records could not be read") && said.contains("holds no call"), "{said}");
}
