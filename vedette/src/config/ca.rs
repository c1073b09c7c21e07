//! What can be set of the authority.

use cert_manager::ca::FactoryConfig;
use cert_manager::ledger::ClassPolicy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The authority of the devices, for `vedette ca`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ca {
    /// Where devices ask. Default: `127.0.0.1:8443`; any other address is served too, since this door is TLS.
    pub listen: String,
    /// What devices call the server, DNS names or addresses. Default: none, which means the address listened on.
    pub names: Vec<String>,
    /// CRL distribution point written into each certificate. Default: none.
    pub crl_url: String,
    /// Makers whose factory certificates (IDevID, IEEE 802.1AR) may enrol. Default: none.
    pub factories: Vec<FactoryConfig>,
    /// Lifetimes and windows by class of devices. `default` is for a class that is not here.
    pub classes: BTreeMap<String, ClassPolicy>,
}

impl Default for Ca {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8443".to_owned(),
            names: Vec::new(),
            crl_url: String::new(),
            factories: Vec::new(),
            classes: [("default".to_owned(), ClassPolicy::default())].into(),
        }
    }
}

impl Ca {
    /// As the library wants it.
    pub fn authority(&self) -> cert_manager::ca::Config {
        cert_manager::ca::Config {
            classes: self.classes.clone(),
            factories: self.factories.clone(),
            crl_url: Some(self.crl_url.clone()).filter(|url| !url.is_empty()),
        }
    }
}
