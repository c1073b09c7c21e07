//! What is said where the authority of the devices cannot do what is asked.

use super::Failure;
use cert_manager::ca::CaError;
use cert_manager::ledger::LedgerError;
use miette::Diagnostic;

/// Why the authority of the devices does not do what is asked.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[non_exhaustive]
pub enum CaFailure {
    /// An address that no device can ask.
    #[error("cannot listen on `{address}`")]
    #[diagnostic(
        code(vedette::ca::listen),
        help("name a free address of this machine with --listen or `ca.listen`, e.g. 127.0.0.1:8443")
    )]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// A class that the configuration does not have.
    #[error("no class `{class}` of devices; there are: {known}")]
    #[diagnostic(code(vedette::ca::no_class), help("add `[ca.classes.{class}]` to vedette.toml, or name another"))]
    NoClass {
        /// Its name.
        class: String,
        /// Those there are.
        known: String,
    },
    /// The authority refused.
    #[error("the authority cannot do that")]
    #[diagnostic(code(vedette::ca), help("{advice}"))]
    Refused {
        /// Why.
        source: Box<CaError>,
        /// What to do.
        advice: &'static str,
    },
}

impl From<CaError> for Failure {
    fn from(source: CaError) -> Self {
        let advice = match &source {
            CaError::File { .. } => "check that --dir names the authority's folder, and that this user may write there",
            CaError::Content { .. } => {
                "--dir names the folder that `vedette ca init` made; a damaged file comes back from a backup"
            }
            CaError::Exists(_) => "nothing was changed; name another --dir, or use the authority that is there",
            CaError::Threshold { .. } => {
                "bring the newest root keys (`root-N-*.key`) back into `offline/`, or ask for fewer signatures than keys"
            }
            CaError::NoOperator(_) => "`operators/` under --dir has a folder for each; nothing was changed",
            CaError::WhichKey { .. } => "name the key of the party you believe with --key; `vedette ca list` shows it",
            CaError::Ledger(LedgerError::UnknownDevice(_)) => {
                "`vedette ca list` names the devices; a new one needs `vedette ca token`"
            }
            CaError::Ledger(_) => "check the disk under --dir; nothing was written",
            CaError::Trust(_) => "root documents are damaged; bring `root/` back from a backup",
            _ => "check the files under --dir; nothing was changed",
        };
        Self::Ca(CaFailure::Refused { source: Box::new(source), advice })
    }
}
