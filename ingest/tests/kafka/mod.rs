//! A real Apache Kafka for tests: one KRaft node on free loopback ports, its data under the target folder, gone when
//! the test is. Start at [`RealKafka::shared`]. `make kafka` fetches what it needs; with `VEDETTE_TEST_KAFKA=host:port`
//! the shared broker is one that is already there. A test that cannot have its broker fails and says why; none is skipped.
#![allow(dead_code, reason = "each test binary uses its own part of this module")]
#![allow(clippy::expect_used, clippy::panic, reason = "test support: a broken set-up must stop the test")]

mod node;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use node::{Node, Secure};

/// A broker that answered a metadata request before anyone got hold of it.
pub struct RealKafka {
    bootstrap: String,
    /// `None`: somebody else's broker (`VEDETTE_TEST_KAFKA`), which we leave as it is but for our topics.
    _node: Option<Node>,
}

impl RealKafka {
    /// The one broker of this test binary: the one named in `VEDETTE_TEST_KAFKA`, or a node of our own, started on
    /// first use and killed when the process ends.
    pub fn shared() -> &'static Self {
        static BROKER: OnceLock<RealKafka> = OnceLock::new();
        BROKER.get_or_init(|| match std::env::var("VEDETTE_TEST_KAFKA") {
            Ok(bootstrap) if answers_within(&bootstrap, PRESENT_MAX, || false) => Self { bootstrap, _node: None },
            Ok(bootstrap) => panic!("VEDETTE_TEST_KAFKA={bootstrap}: no broker answered there for {PRESENT_MAX:?}"),
            Err(_) => Self::start(),
        })
    }

    /// A node of the caller's own, killed and removed on drop: for tests that take the broker away. About 5 s.
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// The same with a second listener that speaks TLS with this certificate (PEM, its key as PKCS #8) and knows one user
    /// by SCRAM-SHA-512.
    pub fn start_secure(certificate: &str, key: &str, user: &str, password: &str) -> Self {
        Self::start_with(Some(&Secure { certificate, key, user, password }))
    }

    /// `host:port` of that second listener.
    pub fn secure(&self) -> String {
        self._node.as_ref().expect("a node of our own").secure()
    }

    fn start_with(secure: Option<&Secure>) -> Self {
        for _ in 0..PORT_ATTEMPTS_MAX {
            let mut node = Node::spawn(secure);
            let bootstrap = node.bootstrap();
            if answers_within(&bootstrap, START_MAX, || node.has_ended()) {
                return Self { bootstrap, _node: Some(node) };
            }
            let log = node.log();
            // Another process took a port between our looking and the broker's binding: look again.
            if !log.contains("Address already in use") {
                panic!("the Kafka node did not come up; the end of its log:\n{}", last_lines(&log, 30));
            }
        }
        panic!("no free loopback port for a Kafka node in {PORT_ATTEMPTS_MAX} attempts");
    }

    /// Kills the node and starts it again with what it had written; returns when it answers.
    pub fn restart(&mut self) {
        let node = self._node.as_mut().expect("a node of our own");
        node.restart();
        let answers = answers_within(&self.bootstrap, START_MAX, || node.has_ended());
        assert!(answers, "the node did not come back:\n{}", last_lines(&node.log(), 30));
    }

    /// Leaves the node as it is, deaf and dumb, until it is dropped.
    pub fn halt(&self) {
        self._node.as_ref().expect("a node of our own").halt();
    }

    /// `host:port` of the broker, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Client settings that reach this broker, and nothing else set.
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config
    }

    /// `name` with a tail that no other test or run has: for topics, groups and transactional ids.
    pub fn unique(&self, name: &str) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("{name}-{:x}-{:x}-{count}", since_epoch.as_millis(), std::process::id())
    }

    /// Creates a topic with a unique name and these settings (`("cleanup.policy", "compact")`), waits until every
    /// partition has a leader, and returns the name. Works inside and outside an async runtime.
    pub fn topic(&self, name: &str, partitions: u16, settings: &[(&str, &str)]) -> String {
        let name = self.unique(name);
        let mut topic = NewTopic::new(&name, i32::from(partitions), TopicReplication::Fixed(1));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("an admin client");
        // A thread of its own: a caller inside a runtime may not block on another one.
        let created = std::thread::scope(|scope| {
            let create = || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                runtime.block_on(admin.create_topics([&topic], &AdminOptions::new()))
            };
            scope.spawn(create).join().expect("the admin thread ends well")
        });
        for result in created.expect("the broker answers") {
            result.unwrap_or_else(|(topic, code)| panic!("cannot create topic `{topic}`: {code}"));
        }
        self.await_leaders(&name, partitions);
        name
    }

    fn await_leaders(&self, topic: &str, partitions: u16) {
        let consumer: BaseConsumer = self.client().create().expect("a consumer");
        let started = Instant::now();
        while started.elapsed() < START_MAX {
            // Paced by the broker: each turn is one request and its answer, or a busy machine's lack of one.
            let Ok(metadata) = consumer.fetch_metadata(Some(topic), REQUEST_MAX) else { continue };
            let led = metadata.topics().iter().flat_map(|t| t.partitions()).filter(|p| p.leader() >= 0).count();
            if led == usize::from(partitions) {
                return;
            }
        }
        panic!("topic `{topic}` has no leaders for its {partitions} partitions after {START_MAX:?}");
    }
}

/// Whether the broker names itself in its metadata within `patience`; stops early when `gave_up` says so.
fn answers_within(bootstrap: &str, patience: Duration, mut gave_up: impl FnMut() -> bool) -> bool {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "100")
        .create()
        .expect("a consumer");
    let started = Instant::now();
    while started.elapsed() < patience && !gave_up() {
        if consumer.fetch_metadata(None, REQUEST_MAX).is_ok_and(|metadata| !metadata.brokers().is_empty()) {
            return true;
        }
    }
    false
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(count)).copied().collect::<Vec<_>>().join("\n")
}

/// A node is up after 4 s on an idle machine; a busy one with two cores may take many times that.
const START_MAX: Duration = Duration::from_secs(90);
/// A broker that is said to be there answers at once, or nearly.
const PRESENT_MAX: Duration = Duration::from_secs(20);
const REQUEST_MAX: Duration = Duration::from_millis(500);
const PORT_ATTEMPTS_MAX: u32 = 3;
