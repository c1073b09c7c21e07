//! What a newcomer's own log says of itself, before anything is learned from it.

use crate::world::World;
use ingest::Output;
use ingest::mock::MockKafka;
use ingest::topics::TopicSpec;

#[track_caller]
fn says(told: &str, words: &[&str]) {
    for word in words {
        assert!(told.contains(word), "`{word}` is missing in\n{told}");
    }
}

/// A line of Envoy's access log, with a secret in it.
fn line(n: u32) -> String {
    format!(
        r#"{{"start_time":"2026-11-22T10:24:00.{n:03}Z","method":"POST","path":"/hotels/{n}/reserve?card=hunter2","response_code":200,"authority":"travel","request_id":"r-{n}","duration":9}}"#
    )
}

#[test]
fn a_file_is_read_line_by_line_in_the_format_that_is_named() {
    let world = World::new();
    let lines: Vec<String> = (0..30).map(line).chain(["{\"cut".to_owned(), String::new()]).collect();
    std::fs::write(world.path("access.log"), lines.join("\n")).unwrap();
    let told = world.ok("inspect --file @access.log --format envoy -n 3", &[]);
    says(
        &told,
        &["POST /hotels/{}/reserve", "31: 30 calls, 1 dead", "malformed: the JSON ends early", "missing   results"],
    );
    says(&told, &["path[]:number, card:id", "sessions  1 by who calls"]);
    assert_eq!(told.matches("    session ").count(), 3, "{told}");
    assert!(!told.contains("hunter2"), "no value is shown\n{told}");
    // Only the newest are looked at.
    says(&world.ok("inspect --file @access.log --format envoy -n 3 --sample 10", &[]), &["10: 9 calls, 1 dead"]);
    says(&world.ok("inspect --file @access.log -n 3", &[]), &["read as native", "no calls", "30 missing: no `tool`"]);
}

#[test]
fn a_data_set_is_inspected_as_any_log() {
    let told = World::new().ok("inspect --set world -n 2", &[]);
    says(&told, &["data set world", "named by the record", "present   id 100 %", "result of"]);
    assert_eq!(told.matches("    session ").count(), 2, "{told}");
}

#[test]
fn a_topic_is_read_from_its_end_in_its_configured_format() {
    let kafka = MockKafka::start(&[TopicSpec::new("gateway.log", 3)]).unwrap();
    let record = |n| Output {
        topic: "gateway.log".into(),
        key: format!("k{}", n % 5).into_bytes(),
        payload: line(n).into_bytes(),
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(ingest::produce::send_all(kafka.bootstrap(), (0..40).map(record))).unwrap();

    let world = World::new();
    let text = "[[topics]]\nname = \"gateway.log\"\nformat = \"envoy\"\nroutes = [\"POST /hotels/{hotel}/reserve\"]\n";
    std::fs::write(world.path("vedette.toml"), text).unwrap();
    let told = world.ok("inspect -n 2", &["--brokers", kafka.bootstrap()]);
    says(&told, &["topic gateway.log", "read as envoy", "40: 40 calls, 0 dead", "POST /hotels/{hotel}/reserve"]);
    says(&world.ok("inspect -n 2 --sample 7", &["--brokers", kafka.bootstrap()]), &["7: 7 calls"]);
    says(&world.refused("inspect --topic nothing", &["--brokers", kafka.bootstrap()]), &["nothing", "does not exist"]);
}
