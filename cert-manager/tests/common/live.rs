//! A real server on a loopback port, for tests that speak TLS.

use std::path::Path;
use std::time::Duration;

use cert_manager::ca::{self, Config};
use cert_manager::est::server::Limits;
use cert_manager::risk::{FixedRisk, Risk};

/// A server on a port of its own; gone when stopped.
pub struct Server {
    runtime: tokio::runtime::Runtime,
    pub url: String,
}

impl Server {
    pub fn start(folder: &Path, config: &Config, risk: Risk) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let opened = ca::open(folder, config, Box::new(FixedRisk(risk))).unwrap();
        runtime.spawn(async move {
            ca::serve(opened, listener, &["127.0.0.1".to_owned()], Limits::default()).await.unwrap();
        });
        Self { runtime, url }
    }

    pub fn stop(self) {
        self.runtime.shutdown_timeout(Duration::from_secs(5));
    }
}
