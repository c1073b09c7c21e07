//! Whose client certificates read the fleet: operators.
//!
//! Their authority signs for them alone: no device and no gateway trusts it. And a certificate counts only while
//! its copy lies in the folder, looked for at each request: to take it away is to remove a file.

use std::path::{Path, PathBuf};

use super::peer::Issuer;
use crate::device::DeviceId;
use crate::digest::Digest;

/// The operators of one authority.
#[derive(Debug, Clone, Default)]
pub struct Operators {
    /// Their authority; `None`: there are none.
    authority: Option<Issuer>,
    folder: PathBuf,
}

impl Operators {
    /// Operators under `authority` whose certificates lie in `folder`, as `NAME/FINGERPRINT.pem`.
    pub fn new(authority: Issuer, folder: &Path) -> Self {
        Self { authority: Some(authority), folder: folder.to_owned() }
    }

    /// Their authority.
    pub fn authority(&self) -> Option<&Issuer> {
        self.authority.as_ref()
    }

    /// Whether `name` may use the certificate with this fingerprint now.
    pub fn holds(&self, name: &DeviceId, fingerprint: Digest) -> bool {
        self.authority.is_some() && self.folder.join(certificate_path(name, fingerprint)).is_file()
    }
}

/// Where the copy of an operator's certificate lies in the folder. The name gets a suffix: `..` is a name, too.
pub fn certificate_path(name: &DeviceId, fingerprint: Digest) -> String {
    format!("{}/{fingerprint}.pem", operator_folder(name))
}

/// Folder of one operator's certificates.
pub fn operator_folder(name: &DeviceId) -> String {
    format!("{name}.operator")
}
