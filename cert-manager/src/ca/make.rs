//! Making an authority: keys, the issuing certificate, the first root document; and the next
//! generation of all three.

use std::path::{Path, PathBuf};

use rcgen::PublicKeyData;

use super::{CaError, Files, ONLINE, content};
use crate::agent::storage::Mode;
use crate::authority::{Authority, AuthorityError, BACKDATE, self_signed_authority, subordinate_authority};
use crate::est::server::wall_clock;
use crate::keys::{Key, KeyStore};
use crate::ledger::Ledger;
use crate::pem;
use crate::sign::{PublicKey, Role, SigningKey};
use crate::time::{Span, Validity};
use crate::trust::{Anchor, RoleKeys, RootDocument, Trust};

/// Life of an authority certificate: ten years, since a device that comes back must still find an
/// anchor it knows; a rollover does not wait for it.
pub const AUTHORITY_LIFE: Span = Span::days(3_650);
/// How long a root document may be relied on for new bundles.
pub const ROOT_LIFE: Span = Span::days(3 * 365);

/// What `vedette ca init` makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Init {
    /// Name of the authority.
    pub name: String,
    /// How many root keys are made. Default 3.
    pub root_keys: usize,
    /// How many of them must sign. Default 2: one may be lost, one may be stolen.
    pub root_threshold: usize,
    /// An existing root to be an intermediate of; `None` makes an own root.
    pub above: Option<Above>,
}

/// An existing root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Above {
    /// PEM file of its certificate, followed by those above it.
    pub certificate: PathBuf,
    /// PEM file of its key; read once, not kept.
    pub key: PathBuf,
}

impl Default for Init {
    fn default() -> Self {
        Self { name: "Vedette devices".to_owned(), root_keys: 3, root_threshold: 2, above: None }
    }
}

/// What a rollover replaces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rollover {
    /// The keys that sign root documents.
    #[default]
    RootKeys,
    /// Those, and the authority that signs certificates.
    RootKeysAndAuthority,
}

/// Makes an authority in an empty folder and gives its first root document: what devices are
/// provisioned with.
///
/// # Errors
/// [`CaError::Exists`], [`CaError::Threshold`], or a file or key that failed.
pub fn init(folder: &Path, init: &Init) -> Result<Trust, CaError> {
    let mut files = Files::open(folder)?;
    if files.read("authority-1.pem")?.is_some() {
        return Err(CaError::Exists(folder.display().to_string()));
    }
    // Before anything is written: a folder is made whole or not at all.
    check_threshold(init.root_keys, init.root_threshold)?;
    let authority = first_authority(&mut files, init)?;
    for (_, name) in ONLINE {
        files.write(name, SigningKey::generate()?.pkcs8(), Mode::Private)?;
    }
    super::operators::read(&mut files)?;
    let roots = root_keys(&mut files, 1, init.root_keys, init.root_threshold)?;
    let document = document(&files, 1, &roots, init.root_threshold, &[authority])?;
    let signers: Vec<_> = roots.iter().take(init.root_threshold).collect();
    let bytes = document.sign(&signers);
    let trust = Trust::start(&bytes)?;
    Ledger::open(&folder.join("ledger.redb"))?;
    // Last: a folder whose first document is there is complete.
    files.write("root/1.json", &bytes, Mode::Public)?;
    Ok(trust)
}

/// Makes the next generation: new root keys, signed for by the old ones, which must lie in
/// `offline/` for the moment; with a new authority, cross-certificates in both directions too.
/// Restart the server to serve it; devices walk to it by themselves.
///
/// # Errors
/// [`CaError::Threshold`] when too few of the old root keys are in `offline/`.
pub fn rotate_root(folder: &Path, rollover: Rollover) -> Result<Trust, CaError> {
    let mut files = Files::open(folder)?;
    let documents = files.roots()?;
    let newest = documents.last().ok_or_else(|| content(folder, "an authority"))?;
    let before = Trust::start(newest)?;
    let old = offline_keys(&files, before.version(), before.keys(Role::Root))?;
    let (keys, threshold) = (before.keys(Role::Root).len(), before.threshold(Role::Root));
    if old.len() < threshold {
        return Err(CaError::Threshold { keys: old.len(), threshold });
    }
    if rollover == Rollover::RootKeysAndAuthority {
        next_authority(&mut files)?;
    }
    let version = before.version() + 1;
    let new = root_keys(&mut files, version, keys, threshold)?;
    let document = document(&files, version, &new, threshold, &files.generations()?)?;
    let signers: Vec<_> = old.iter().take(threshold).chain(new.iter().take(threshold)).collect();
    let bytes = document.sign(&signers);
    let trust = before.step(&bytes)?; // what devices will do
    files.write(&format!("root/{version}.json"), &bytes, Mode::Public)?;
    Ok(trust)
}

fn first_authority(files: &mut Files, init: &Init) -> Result<Vec<u8>, CaError> {
    let key = key_pair()?;
    let now = wall_clock();
    let life = Validity { from: now - BACKDATE, until: now + AUTHORITY_LIFE };
    let certificate = match &init.above {
        None => self_signed_authority(&init.name, &key, life)?,
        Some(above) => {
            let chain = read_pem(&above.certificate)?;
            let first = chain.first().cloned().unwrap_or_default();
            let text = std::fs::read(&above.key)
                .map_err(|source| CaError::File { path: above.key.display().to_string(), source })?;
            let text = zeroize::Zeroizing::new(text);
            let root_key = KeyStore::Files.find(&text).ok_or_else(|| content(&above.key, "a private key in PEM"))?;
            let root = Authority::new(first, root_key, None)?;
            let life = Validity { until: life.until.min(root.facts().validity.until), ..life };
            let above: String = chain.iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
            files.write("above.pem", above.as_bytes(), Mode::Public)?;
            subordinate_authority(&init.name, &key.subject_public_key_info(), &root, life)?
        }
    };
    keep_authority(files, 1, &certificate, &key)?;
    Ok(certificate)
}

/// A new self-signed authority, NewWithOld and OldWithNew (RFC 4210 section 4.4).
fn next_authority(files: &mut Files) -> Result<(), CaError> {
    let generations = files.generations()?;
    let number = generations.len();
    let old_der = generations.last().cloned().ok_or_else(|| content(&files.folder, "an authority"))?;
    let old = Authority::new(old_der, files.key_pair(&format!("authority-{number}.key"))?, None)?;
    let base = old.facts().common_name.clone().unwrap_or_default();
    // Each generation has a name of its own: a chain is built by names.
    let name = format!("{} G{}", base.split(" G").next().unwrap_or_default(), number + 1);
    let key = key_pair()?;
    let now = wall_clock();
    let life = Validity { from: now - BACKDATE, until: now + AUTHORITY_LIFE };
    let certificate = self_signed_authority(&name, &key, life)?;
    let bridge = Validity { until: old.facts().validity.until.min(life.until), ..life };
    let new_with_old = subordinate_authority(&name, &key.subject_public_key_info(), &old, bridge)?;
    // Written down and found again: a key cannot be cloned.
    keep_key(files, number + 1, &key)?;
    let new = Authority::new(certificate.clone(), files.key_pair(&format!("authority-{}.key", number + 1))?, None)?;
    let old_key = files.key_pair(&format!("authority-{number}.key"))?;
    let old_with_new = subordinate_authority(&base, &old_key.subject_public_key_info(), &new, bridge)?;
    append(files, "cross.pem", &new_with_old)?;
    append(files, "backward.pem", &old_with_new)?;
    keep_authority(files, number + 1, &certificate, &key)
}

fn keep_authority(files: &mut Files, number: usize, certificate: &[u8], key: &Key) -> Result<(), CaError> {
    keep_key(files, number, key)?;
    // The certificate last: an authority counts from the moment its certificate is there.
    let text = pem::encode("CERTIFICATE", certificate);
    files.write(&format!("authority-{number}.pem"), text.as_bytes(), Mode::Public)
}

fn keep_key(files: &mut Files, number: usize, key: &Key) -> Result<(), CaError> {
    let record = KeyStore::default().record(key);
    files.write(&format!("authority-{number}.key"), record.as_bytes(), Mode::Private)
}

fn append(files: &mut Files, name: &str, certificate: &[u8]) -> Result<(), CaError> {
    let mut all = files.certificates(name)?;
    all.push(certificate.to_vec());
    let text: String = all.iter().map(|der| pem::encode("CERTIFICATE", der)).collect();
    files.write(name, text.as_bytes(), Mode::Public)
}

fn check_threshold(keys: usize, threshold: usize) -> Result<(), CaError> {
    let good = (1..=keys).contains(&threshold) && keys <= crate::trust::ENTRIES_MAX;
    if good { Ok(()) } else { Err(CaError::Threshold { keys, threshold }) }
}

fn root_keys(files: &mut Files, version: u32, count: usize, threshold: usize) -> Result<Vec<SigningKey>, CaError> {
    check_threshold(count, threshold)?;
    let mut keys = Vec::new();
    for number in 1..=count {
        let key = SigningKey::generate()?;
        files.write(&format!("offline/root-{version}-{number}.key"), key.pkcs8(), Mode::Private)?;
        keys.push(key);
    }
    Ok(keys)
}

/// Those root keys of document `version` that lie in `offline/`.
fn offline_keys(files: &Files, version: u32, public: &[PublicKey]) -> Result<Vec<SigningKey>, CaError> {
    let mut keys = Vec::new();
    for number in 1..=public.len() {
        let name = format!("offline/root-{version}-{number}.key");
        if files.read(&name)?.is_some() {
            keys.push(files.signing_key(&name)?);
        }
    }
    keys.retain(|key| public.contains(&key.public()));
    Ok(keys)
}

fn document(
    files: &Files,
    version: u32,
    roots: &[SigningKey],
    threshold: usize,
    authorities: &[Vec<u8>],
) -> Result<RootDocument, CaError> {
    let keys = roots.iter().map(SigningKey::public).collect();
    let mut roles: std::collections::BTreeMap<_, _> = [(Role::Root, RoleKeys { threshold, keys })].into();
    for (role, name) in ONLINE {
        roles.insert(role, RoleKeys { threshold: 1, keys: vec![files.signing_key(name)?.public()] });
    }
    let mut anchors = Vec::new();
    for der in authorities {
        let facts = crate::facts::parse_certificate(der).map_err(AuthorityError::Certificate)?;
        anchors.push(Anchor::new(der, facts.validity));
    }
    Ok(RootDocument { v: 1, version, expires_ms: wall_clock() + ROOT_LIFE, roles, anchors })
}

fn read_pem(path: &Path) -> Result<Vec<Vec<u8>>, CaError> {
    let bytes = std::fs::read(path).map_err(|source| CaError::File { path: path.display().to_string(), source })?;
    pem::certificates(&bytes).map_err(|_| content(path, "certificates in PEM"))
}

pub(super) fn key_pair() -> Result<Key, CaError> {
    KeyStore::default().generate().map_err(|e| AuthorityError::Sign { reason: e.to_string() }.into())
}
