//! An engine and a Kafka that speak TLS and SCRAM with each other. Only in a build with the feature.

use super::engine::{Engine, VEDETTE, ready};
use super::verdicts;
use crate::certificates::certificates;
use crate::kafka::RealKafka;
use ingest::read_back::Reader;
use schema::topics;
use std::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_speaks_tls_and_scram_to_kafka_and_its_password_is_nowhere() {
    const PASSWORD: &str = "hunter2hunter2";
    let (authority, certificate, key) = certificates();
    let broker = RealKafka::start_secure(&certificate, &key, "vedette", PASSWORD);
    ingest::topics::create(broker.bootstrap(), &vedette::topics::with_partitions(2)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority).unwrap();
    std::fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
    let settings = "[kafka]\ntls = { authorities = \"ca.pem\" }\n\
         sasl = { username = \"vedette\", password_file = \"password\" }\n";
    let secure = broker.secure();
    let engine = Engine::start(folder.path(), &secure, settings, ready);
    let (status, answer) = engine.post("", b"{\"id\":\"c-1\",\"at\":1,\"session\":\"s\",\"tool\":\"t\"}\n");
    assert_eq!(status, 202, "{answer}");
    let mut judged = Reader::start(broker.bootstrap(), topics::VERDICTS).await.unwrap();
    assert_eq!(verdicts(&mut judged, 1).await[0].id.as_str(), "c-1");
    engine.stop();

    let vedette = |line: &str| {
        let mut command = Command::new(VEDETTE);
        command.args(line.split(' ')).env("RUST_LOG", "debug").current_dir(folder.path());
        let output = command.output().unwrap();
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.contains(PASSWORD), "{line}");
        (output.status.success(), said)
    };
    assert!(!std::fs::read_to_string(folder.path().join("log")).unwrap().contains(PASSWORD));
    let (printed, said) = vedette("check-config");
    assert!(printed && said.contains("password_file"), "{said}");
    let (_, said) = vedette(&format!("doctor --brokers {secure}"));
    assert!(said.contains("ok    brokers"), "{said}");
    // What is no way in is told with why, and with what to do.
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let told = |line: &str, words: [&str; 2]| {
        let (well, said) = vedette(line);
        // The report folds long lines; undo that.
        let said = said.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(!well && words.iter().all(|word| said.contains(word)), "{line}, {words:?}: {said}");
    };
    let doctor = |broker: &str| format!("doctor --brokers {broker}");
    put("password", "hunter3");
    told(&doctor(&secure), ["Authentication failed", "check `kafka.sasl`"]);
    put("ca.pem", &certificates().0);
    let words = ["certificate verify failed", "`kafka.tls.authorities` must hold the authority"];
    told(&doctor(&secure), words);
    told(&format!("engine --brokers {secure}"), words);
    told(&doctor(broker.bootstrap()), ["SSL handshake failed", "check that the port is a TLS listener"]);
}
