//! A real Kafka that speaks TLS and SCRAM: records go in, and who cannot speak to it is told why. Only in a build with the
//! feature: `cargo test --release -p ingest --features tls --test secure`.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

#[path = "support/certificates.rs"]
mod certificates;
mod kafka;

use certificates::certificates;
use ingest::Output;
use ingest::cluster::Cluster;
use ingest::read_back::Reader;
use ingest::topics::TopicSpec;
use kafka::RealKafka;

const PASSWORD: &str = "hunter2hunter2";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_is_spoken_to_by_tls_and_scram_and_who_cannot_is_told_why() {
    let (authority, certificate, key) = certificates();
    let broker = RealKafka::start_secure(&certificate, &key, "vedette", PASSWORD);
    let tls = |broker: &str, authority: &str, password: &str| {
        let cluster = Cluster::new(broker).with("security.protocol", "SASL_SSL").with("ssl.ca.pem", authority);
        let cluster = cluster.with("sasl.mechanism", "SCRAM-SHA-512").with("sasl.username", "vedette");
        cluster.with("sasl.password", password)
    };
    let (secure, plain) = (broker.secure(), broker.bootstrap());
    let cluster = tls(&secure, &authority, PASSWORD);
    ingest::topics::create(&cluster, &[TopicSpec::new("t", 1)]).await.unwrap();
    let record = Output { topic: "t".into(), key: b"k".to_vec(), payload: b"hello".to_vec() };
    ingest::produce::send_all(&cluster, [record]).await.unwrap();
    assert_eq!(Reader::start(plain, "t").await.unwrap().take(1).await.unwrap()[0].payload, b"hello");

    // All at once: each is waited for until its patience ends.
    let refused = [
        (tls(&secure, &authority, "hunter3"), "Authentication failed"),
        (tls(&secure, &certificates().0, PASSWORD), "certificate verify failed"),
        (tls(plain, &authority, PASSWORD), "SSL handshake failed"),
    ];
    let asked = refused.map(|(cluster, why)| {
        (why, tokio::spawn(async move { ingest::survey::look(&cluster, "g", &["t".to_owned()]).await }))
    });
    for (why, asked) in asked {
        let error = asked.await.unwrap().unwrap_err().to_string();
        assert!(error.contains(why) && !error.contains(PASSWORD), "{why}: {error}");
    }
}
