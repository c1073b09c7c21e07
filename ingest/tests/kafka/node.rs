//! The process behind a [`RealKafka`](super::RealKafka): a folder, two ports, and a shell that ends the broker when we end.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// A Kafka node that was started, perhaps not up yet. Drop kills it, by pid, and removes its folder.
pub struct Node {
    folder: PathBuf,
    port: u16,
    secure_port: u16,
    shell: Child,
}

impl Node {
    /// Starts a node on two free loopback ports, its data in a fresh folder under the target folder.
    pub fn spawn(secure: Option<&Secure>) -> Self {
        let java = Command::new("java").arg("-version").output();
        assert!(java.is_ok_and(|java| java.status.success()), "the Kafka tests need Java 17: run `make kafka` first");

        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(TARGET_TMP).join(format!("kafka-node-{}-{count}", std::process::id()));
        // A crashed run may have left a folder under a pid that came round again.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("a folder for the node");
        let (port, controller_port) = two_free_ports();
        let (secure_port, _) = two_free_ports();
        let mut settings = server_properties(&folder, port, controller_port);
        if let Some(secure) = secure {
            settings = secure.added_to(&settings, secure_port);
            fs::write(
                folder.join("scram"),
                format!("SCRAM-SHA-512=[name={},password={}]", secure.user, secure.password),
            )
            .expect("the node's first user");
        }
        fs::write(folder.join("server.properties"), settings).expect("the node's settings");

        let shell = run(&folder);
        Self { folder, port, secure_port, shell }
    }

    /// Kills the node and starts it again on its ports, with what it had written.
    pub fn restart(&mut self) {
        let restarting = self.folder.join("restarting");
        fs::write(&restarting, b"").expect("a file in the node's folder");
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        fs::remove_file(&restarting).expect("the node's folder");
        self.shell = run(&self.folder);
    }

    /// Its connections stay open, and nothing is answered any more.
    pub fn halt(&self) {
        let pid = fs::read_to_string(self.folder.join("pid")).expect("the broker's pid");
        let told = Command::new("kill").args(["-STOP", pid.trim()]).status();
        assert!(told.is_ok_and(|status| status.success()), "the broker cannot be stopped");
    }

    /// The listener with TLS and SCRAM, where it was asked for.
    pub fn secure(&self) -> String {
        format!("127.0.0.1:{}", self.secure_port)
    }

    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Whether the broker stopped by itself, which it should not.
    pub fn has_ended(&mut self) -> bool {
        self.shell.try_wait().is_ok_and(|status| status.is_some())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

/// A second listener: TLS, and SCRAM-SHA-512 for one user.
pub struct Secure<'a> {
    /// PEM.
    pub certificate: &'a str,
    /// PEM, PKCS #8.
    pub key: &'a str,
    pub user: &'a str,
    pub password: &'a str,
}

impl Secure<'_> {
    fn added_to(&self, settings: &str, port: u16) -> String {
        let line = |pem: &str| pem.trim().replace("\r", "").replace('\n', "\\n");
        let settings = settings
            .replace(",CONTROLLER://", &format!(",SECURE://127.0.0.1:{port},CONTROLLER://"))
            .replace("map=PLAINTEXT:PLAINTEXT", "map=SECURE:SASL_SSL,PLAINTEXT:PLAINTEXT");
        format!(
            "{settings}inter.broker.listener.name=PLAINTEXT
listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.certificate.chain={}
listener.name.secure.ssl.keystore.key={}
",
            line(self.certificate),
            line(self.key)
        )
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // End of its standard input is what the shell waits for; see node.sh.
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn run(folder: &Path) -> Child {
    Command::new("sh")
        .args(["-c", include_str!("node.sh"), "node"])
        .args([folder, &jars()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell")
}

/// The folder of Kafka's jars: beside this build, or in the Makefile's default target folder.
fn jars() -> PathBuf {
    let beside = Path::new(TARGET_TMP).parent().map(|target| target.join("kafka"));
    let default = std::env::var("HOME").ok().map(|home| Path::new(&home).join(".cache/vedette-target/kafka"));
    let places: Vec<PathBuf> = beside.into_iter().chain(default).collect();
    // `make kafka` writes `.complete` last.
    places.iter().find(|place| place.join(".complete").exists()).cloned().unwrap_or_else(|| {
        panic!("no Kafka jars in any of {places:?}: run `make kafka` first, or name a broker in VEDETTE_TEST_KAFKA")
    })
}

/// Two distinct ports that were free a moment ago.
fn two_free_ports() -> (u16, u16) {
    let bind = || TcpListener::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
    let port_of = |listener: &TcpListener| listener.local_addr().expect("a bound address").port();
    let (first, second) = (bind(), bind());
    (port_of(&first), port_of(&second))
}

/// A single node that is broker and controller at once, with internal topics small enough to be made in no time.
fn server_properties(folder: &Path, port: u16, controller_port: u16) -> String {
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
log.cleaner.backoff.ms=100
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
",
        folder.join("data").display()
    )
}

const TARGET_TMP: &str = env!("CARGO_TARGET_TMPDIR");
