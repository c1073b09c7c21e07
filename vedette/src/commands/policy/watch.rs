//! Files that are read again when they change: policies, allowlist, modes, certificates. Each whole or not at all; what is wrong with
//! one is said with its line and column, and the last good one stays in force.

use crate::config::{self, Config};
use ::policy::server::{AppState, Tls};
use metrics::counter;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What is watched.
pub struct Watch {
    policies: Watched,
    allowlist: Watched,
    config: Watched,
    tls: Option<CertificateFiles>,
}

/// A server's certificates, as files.
pub struct CertificateFiles {
    tls: Tls,
    files: config::Tls,
    watched: [Watched; 4],
}

struct Watched {
    path: Option<PathBuf>,
    seen: Option<SystemTime>,
}

impl Watch {
    /// Takes the files as they are now for read.
    pub fn new(config: &Config, config_file: Option<&Path>) -> Self {
        let policy = &config.policy;
        let named = config_file.unwrap_or(Path::new("vedette.toml"));
        Self {
            policies: Watched::new(&policy.file),
            allowlist: Watched::new(&policy.allow_file),
            config: Watched::new(named),
            tls: None,
        }
    }

    /// Also looks at the certificates that `files` name, and puts them in force in `tls`.
    #[must_use]
    pub fn with_tls(mut self, tls: Option<Tls>, files: &config::Tls) -> Self {
        self.tls = tls.map(|tls| CertificateFiles::new(tls, files));
        self
    }

    /// Looks every second, for ever.
    pub async fn run(mut self, state: Arc<AppState>) {
        let mut tick = tokio::time::interval(EVERY);
        loop {
            tick.tick().await;
            self.look(&state);
        }
    }

    /// Reads what changed since the last look.
    pub fn look(&mut self, state: &AppState) {
        self.policies.on_change("policies", |path| {
            let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
            state.policies.reload(&text).map(drop).map_err(|error| error.to_string())
        });
        self.allowlist.on_change("allowlist", |path| {
            let list = crate::commands::allow::read(path).map_err(|error| reason(&error))?;
            state.allowlist.store(Arc::new(list));
            Ok(())
        });
        self.config.on_change("configuration", |path| {
            let config = config::load(Some(path)).map_err(|error| reason(&error))?;
            state.modes.store(Arc::new(config.policy.modes().map_err(|error| error.to_string())?));
            Ok(())
        });
        if let Some(certificates) = &mut self.tls {
            certificates.look();
        }
    }
}

impl CertificateFiles {
    /// Takes the files as they are now for read, and in force in `tls`.
    pub fn new(tls: Tls, files: &config::Tls) -> Self {
        let paths = [&files.certificate, &files.key, &files.clients, &files.revoked];
        Self { tls, files: files.clone(), watched: paths.map(|path| Watched::new(path)) }
    }

    /// Looks every second, for ever.
    pub async fn run(mut self) {
        let mut tick = tokio::time::interval(EVERY);
        loop {
            tick.tick().await;
            self.look();
        }
    }

    /// Puts what changed since the last look in force.
    pub fn look(&mut self) {
        let Self { tls, files, watched } = self;
        for file in watched {
            file.on_change("certificates", |_| {
                let new = super::tls(files).map_err(|error| reason(&error))?;
                new.iter().for_each(|new| tls.replace(new));
                Ok(())
            });
        }
    }
}

impl Watched {
    fn new(path: &Path) -> Self {
        let path = Some(path.to_owned()).filter(|path| !path.as_os_str().is_empty());
        let seen = path.as_deref().and_then(changed);
        Self { path, seen }
    }

    fn on_change(&mut self, what: &'static str, read: impl FnOnce(&Path) -> Result<(), String>) {
        let Some(path) = &self.path else { return };
        let now = changed(path);
        // A file that is being replaced is gone for a moment: what is in force stays.
        if now.is_none() || now == self.seen {
            return;
        }
        self.seen = now;
        let path_shown = path.display();
        match read(path) {
            Ok(()) => {
                counter!("vedette_policy_reloads_total", "what" => what, "outcome" => "taken").increment(1);
                tracing::warn!(path = %path_shown, "{what} changed and are in force");
            }
            Err(error) => {
                counter!("vedette_policy_reloads_total", "what" => what, "outcome" => "refused").increment(1);
                tracing::error!(path = %path_shown, error, "{what} changed and are refused; the last good ones stay");
            }
        }
    }
}

/// An error and its causes, in one line.
fn reason(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(|e| e.to_string()).collect::<Vec<_>>().join(": ")
}

fn changed(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|meta| meta.modified()).ok()
}

const EVERY: Duration = Duration::from_secs(1);
