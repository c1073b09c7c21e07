//! An engine in a process of its own, to be killed without warning.

use super::Running;
use ingest::checkpoint::Bucket;
use ingest::cluster::Cluster;
use ingest::engine::{EngineConfig, Limits, Membership};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// What the process is told.
pub struct Told<'a> {
    pub brokers: &'a str,
    pub group: &'a str,
    pub instance: &'a str,
    pub membership: Membership,
    pub calls: &'a str,
    pub verdicts: &'a str,
    pub checkpoints: &'a Path,
}

/// Killed with SIGKILL on drop.
pub struct Process(Child);

impl Process {
    /// Runs [`an_engine_process`] of this test binary.
    pub fn start(told: &Told<'_>) -> Self {
        let membership = if told.membership == Membership::Dynamic { "dynamic" } else { "static" };
        let words = [told.brokers, told.group, told.instance, membership, told.calls, told.verdicts].join(" ");
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "support::process::an_engine_process", "--nocapture"])
            .env("ENGINE_PROCESS", words)
            .env("ENGINE_CHECKPOINTS", told.checkpoints)
            .stdout(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// No test: what a [`Process`] runs. Serves until killed where this process is one; else returns at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_process() {
    let Ok(told) = std::env::var("ENGINE_PROCESS") else { return };
    let [brokers, group, instance, membership, calls, verdicts] = told.split(' ').collect::<Vec<_>>()[..] else {
        panic!("`{told}`")
    };
    let store = Bucket::open(&std::env::var("ENGINE_CHECKPOINTS").unwrap()).unwrap();
    // The least a broker takes: the group misses the killed soon.
    let config = EngineConfig {
        inputs: vec![calls.to_owned()],
        group: group.to_owned(),
        instance: instance.to_owned(),
        membership: if membership == "static" { Membership::Static(instance.to_owned()) } else { Membership::Dynamic },
        limits: Limits { batch_records_max: 100, checkpoint_records: 700, ..Limits::default() },
        checkpoints: Some(Arc::new(store)),
        ..EngineConfig::new(Cluster::new(brokers).with("session.timeout.ms", "6000"))
    };
    panic!("{}", Running::start(config, verdicts).failed().await);
}
