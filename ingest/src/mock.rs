//! A Kafka inside this process: librdkafka's mock cluster. No Java, no download, no disk.
//!
//! What it keeps: about 5 MB a partition, compressed as sent; older records vanish, read or not. Whoever writes more
//! has to wait for the readers ([`crate::produce::Pace`]). It answers transactions but does not keep their offsets and
//! hides nothing of an aborted one, so an engine on it runs [`Delivery::AtLeastOnce`](crate::engine::Delivery).

use crate::IngestError;
use crate::topics::TopicSpec;
use rdkafka::mocking::MockCluster;
use std::sync::mpsc;
use std::thread::JoinHandle;

/// A running mock cluster of one broker on a free loopback port; gone when dropped.
#[derive(Debug)]
pub struct MockKafka {
    bootstrap: String,
    /// Dropped first: tells the thread that owns the cluster to end.
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl MockKafka {
    /// Starts a broker that has `topics`. Cleaning settings are ignored: the mock compacts nothing.
    pub fn start(topics: &[TopicSpec]) -> Result<Self, IngestError> {
        let (stop, stopped) = mpsc::channel::<()>();
        let (started, outcome) = mpsc::channel();
        let topics = topics.to_vec();
        // A thread of its own, because the cluster's handle cannot move between threads and ours should.
        let serve = move || match cluster(&topics) {
            Ok(cluster) => {
                let _ = started.send(Ok(cluster.bootstrap_servers()));
                let _ = stopped.recv(); // Err: the handle is gone, which is what we wait for
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        };
        let thread = std::thread::Builder::new()
            .name("mock kafka".to_owned())
            .spawn(serve)
            .map_err(|source| IngestError::Thread { what: "in-process Kafka", source })?;
        let bootstrap = outcome.recv().unwrap_or(Err(IngestError::Ended { what: "in-process Kafka" }))?;
        Ok(Self { bootstrap, stop: Some(stop), thread: Some(thread) })
    }

    /// `host:port` for `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }
}

impl Drop for MockKafka {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn cluster(
    topics: &[TopicSpec],
) -> Result<MockCluster<'static, rdkafka::producer::DefaultProducerContext>, IngestError> {
    let cluster = MockCluster::new(1).map_err(|source| IngestError::Client { what: "the in-process Kafka", source })?;
    for topic in topics {
        cluster
            .create_topic(&topic.name, i32::from(topic.partitions), 1)
            .map_err(|error| IngestError::Topic { topic: topic.name.clone(), reason: error.to_string() })?;
    }
    Ok(cluster)
}
